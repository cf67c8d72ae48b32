// SPDX-License-Identifier: Apache-2.0
// Merkle-Patricia tries (Yellow Paper, appendix D) over content-addressed nodes: roots, updates,
// proofs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/hash.hpp"
#include "core/result.hpp"
#include "state/node_map.hpp"
#include "state/view.hpp"

namespace trainyard::state {

struct TrieError {
    enum class Kind {
        missing_node,  ///< a hash is referred to and nobody has its node
        bad_node,      ///< a node is no canonical trie node
    };
    Kind kind;
    Hash node;  ///< which; the zero hash for a node embedded in another
    bool operator==(const TrieError&) const = default;
};
[[nodiscard]] std::string to_text(const TrieError& error);

/// Where nodes come from. Safe to read from all threads.
class NodeSource {
public:
    virtual ~NodeSource() = default;
    /// The node (or code) of this hash that stands at `place`; null if nobody has it.
    [[nodiscard]] virtual NodePtr node(const Hash& hash, std::string_view place) const = 0;
    /// Told of errors that a reader with no error channel of its own met (see TrieView).
    virtual void report(const TrieError&) const {}
};

/// No nodes: what lies below the empty trie.
class NoNodes final : public NodeSource {
public:
    [[nodiscard]] NodePtr node(const Hash&, std::string_view) const override { return nullptr; }
};

/// The nodes of a map on top of those of `parent`. Both must outlive this.
class LayeredNodes final : public NodeSource {
public:
    LayeredNodes(const NodeSource& parent, const NodeMap& map) : parent_(parent), map_(map) {}
    [[nodiscard]] NodePtr node(const Hash& hash, std::string_view place) const override;
    void report(const TrieError& error) const override { parent_.report(error); }

private:
    const NodeSource& parent_;
    const NodeMap& map_;
};

/// A node that a change has superseded: no state after it refers to it at this place.
struct StaleNode {
    Hash hash;
    std::string place;
};

/// One trie in memory: the nodes touched are loaded, all others stay hashes.
class Trie {
public:
    /// `place` is that of its root: kAccountPlace, or the storage_place of an account.
    Trie(const NodeSource& nodes, const Hash& root, std::string_view place = kAccountPlace);
    ~Trie();
    Trie(Trie&&) noexcept;
    Trie& operator=(Trie&&) noexcept;

    /// The value under `key` as the changes so far have left it; nullopt if there is none.
    [[nodiscard]] Result<std::optional<Bytes>, TrieError> get(BytesView key);
    /// An empty value erases the key.
    [[nodiscard]] Result<Done, TrieError> put(BytesView key, BytesView value);
    // Many keys at once, in subtries side by side; the results are those of one after the other.
    // Threads call at once for different keys, and in the order of keys below one first nibble.

    /// Shows the value under keys[i]; empty: there is none.
    using VisitValue = std::function<void(size_t i, BytesView value)>;
    [[nodiscard]] Result<Done, TrieError> visit_all(std::span<const Hash> keys,
                                                    const VisitValue& visit,
                                                    const SideBySide& side_by_side = {});
    /// Asks what goes under keys[i] instead of `before`; nullopt: it stays. Keys are distinct.
    using ChangeValue = std::function<std::optional<Bytes>(size_t i, BytesView before)>;
    [[nodiscard]] Result<Done, TrieError> change_all(std::span<const Hash> keys,
                                                     const ChangeValue& change,
                                                     const SideBySide& side_by_side = {});
    /// Keys are distinct; values[i] goes under keys[i].
    [[nodiscard]] Result<Done, TrieError> put_all(std::span<const Hash> keys,
                                                  std::span<const Bytes> values,
                                                  const SideBySide& side_by_side = {});
    /// Hashes what has changed, adds the new nodes to `out` and returns the root. With `stale`,
    /// appends the nodes that the changes have superseded. Call it once, as the last.
    [[nodiscard]] Hash commit(NodeMap& out, std::vector<StaleNode>* stale = nullptr,
                              const SideBySide& side_by_side = {});

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// The value under `key`, or nullopt if the trie shows that there is none. With `proof`, appends
/// the nodes on the way from the root, as eth_getProof lists them (embedded nodes lie in their
/// parents).
[[nodiscard]] Result<std::optional<Bytes>, TrieError> lookup(
    const NodeSource& nodes, const Hash& root, BytesView key, std::vector<Bytes>* proof = nullptr,
    std::string_view place = kAccountPlace);

/// What a proof from anybody shows about `key`: its value, its absence, or nothing (an error).
[[nodiscard]] Result<std::optional<Bytes>, TrieError> verify_proof(const Hash& root, BytesView key,
                                                                   const std::vector<Bytes>& proof);

/// The least key above `key` that has a value, and the greatest below it; nullopt where there is
/// none. Shorter keys come before those that they begin.
[[nodiscard]] Result<std::optional<Bytes>, TrieError> next_key(
    const NodeSource& nodes, const Hash& root, BytesView key,
    std::string_view place = kAccountPlace);
[[nodiscard]] Result<std::optional<Bytes>, TrieError> previous_key(
    const NodeSource& nodes, const Hash& root, BytesView key,
    std::string_view place = kAccountPlace);

/// The root over rlp(index) -> item: transactions, receipts, withdrawals of a block.
[[nodiscard]] Hash ordered_root(const std::vector<Bytes>& items);

/// An account as the trie stores it: rlp([nonce, balance, storage root, code hash]).
[[nodiscard]] Bytes encode_account(const Account& account);
[[nodiscard]] std::optional<Account> decode_account(BytesView encoded);

struct StateUpdate {
    Hash root;
    NodeMap new_nodes;                      ///< nodes and codes that `diff` brings into being
    std::vector<StaleNode> stale;           ///< nodes of the parent's state that it supersedes
    std::map<Address, Hash> storage_roots;  ///< of every account that `diff` changes and keeps
};

/// The world at `parent_root` changed by `diff`. Pure; work grows with the diff, not with the
/// world. With threads, subtries and accounts' storage are hashed side by side; the result is the
/// same.
[[nodiscard]] Result<StateUpdate, TrieError> state_root(const Hash& parent_root,
                                                        const StateDiff& diff,
                                                        const NodeSource& nodes,
                                                        const SideBySide& side_by_side = {});

/// The state that a block starts from. Accounts that are asked for together are found by one walk,
/// and the root after the block begins with the nodes that this walk has loaded.
class ParentState final : public StateView {
public:
    /// `view` reads the state of this root, whose nodes are in `nodes`. Both must outlive this.
    ParentState(const StateView& view, const NodeSource& nodes, const Hash& root);
    ~ParentState() override;
    ParentState(const ParentState&) = delete;
    ParentState& operator=(const ParentState&) = delete;

    [[nodiscard]] std::optional<Account> account(const Address& address) const override {
        return view_.account(address);
    }
    [[nodiscard]] Uint256 storage(const Address& address, const Uint256& slot) const override {
        return view_.storage(address, slot);
    }
    [[nodiscard]] Bytes code(const Hash& code_hash) const override { return view_.code(code_hash); }
    /// One caller at a time. An account that cannot be read is absent, and `nodes` is told.
    [[nodiscard]] std::vector<std::optional<Account>> accounts(
        std::span<const Address> addresses, const SideBySide& side_by_side = {}) const override;
    /// What state_root gives. Call it once, as the last.
    [[nodiscard]] Result<StateUpdate, TrieError> change(const StateDiff& diff,
                                                        const SideBySide& side_by_side = {});

private:
    const StateView& view_;
    const NodeSource& nodes_;
    const Hash root_;
    const std::unique_ptr<Trie> trie_;  ///< of the accounts
};

/// Calls `visit` for every node of a trie in the order of their keys (parents first), with the
/// nibbles that lead to it; embedded nodes come with their parents. Ends early where it says false.
using VisitNode = std::function<bool(const Hash& hash, const NodePtr& node, BytesView path)>;
[[nodiscard]] Result<Done, TrieError> visit_nodes(const NodeSource& nodes, const Hash& root,
                                                  std::string_view place, const VisitNode& visit);

/// The world at any root whose nodes there are. A read that meets a missing or broken node gives
/// "absent" and tells `nodes.report`: whoever acts on the result asks there first.
class TrieView final : public StateView {
public:
    TrieView(const NodeSource& nodes, const Hash& root) : nodes_(&nodes), root_(root) {}
    [[nodiscard]] std::optional<Account> account(const Address& address) const override;
    [[nodiscard]] Uint256 storage(const Address& address, const Uint256& slot) const override;
    [[nodiscard]] Bytes code(const Hash& code_hash) const override;
    [[nodiscard]] const Hash& root() const { return root_; }

private:
    const NodeSource* nodes_;
    Hash root_;
};

struct StorageProof {
    Uint256 slot, value;
    std::vector<Bytes> nodes;
};
struct AccountProof {
    std::optional<Account> account;
    std::vector<Bytes> nodes;
    std::vector<StorageProof> storage;  ///< in the order asked for
};

/// What eth_getProof answers.
[[nodiscard]] Result<AccountProof, TrieError> prove_account(const NodeSource& nodes,
                                                            const Hash& root,
                                                            const Address& address,
                                                            const std::vector<Uint256>& slots);

}  // namespace trainyard::state
