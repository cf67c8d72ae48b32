// SPDX-License-Identifier: Apache-2.0
// Walks down a trie without building it: reads, proofs and the views that rest on them.
#include "core/rlp.hpp"
#include "state/trie.hpp"
#include "state/trie_node.hpp"

namespace trainyard::state {
namespace {

using Found = Result<std::optional<Bytes>, TrieError>;

/// The nodes of a proof, each found by its hash.
class ProofNodes final : public NodeSource {
public:
    explicit ProofNodes(const std::vector<Bytes>& proof) {
        for (const Bytes& encoded : proof)
            nodes_.emplace(keccak256(encoded), std::make_shared<const Bytes>(encoded), {});
    }
    [[nodiscard]] NodePtr node(const Hash& hash, std::string_view) const override {
        return nodes_.find(hash);
    }

private:
    NodeMap nodes_;
};

Uint256 slot_value(BytesView encoded, bool& good) {
    rlp::Reader in(encoded);
    const auto value = in.number256();
    good = value && !value->is_zero() && in.at_end();
    return good ? *value : Uint256{};
}

Hash key_of(const Address& address) {
    return keccak256(address.bytes);
}
Hash key_of(const Uint256& slot) {
    return keccak256(to_hash(slot).bytes);
}

Result<std::optional<Account>, TrieError> find_account(const NodeSource& nodes, const Hash& root,
                                                       const Address& address,
                                                       std::vector<Bytes>* proof) {
    const auto found = lookup(nodes, root, key_of(address).bytes, proof);
    if (!found) return unexpected(found.error());
    if (!*found) return std::optional<Account>();
    const auto account = decode_account(**found);
    if (!account) return unexpected(TrieError{TrieError::Kind::bad_node, root});
    return account;
}

Result<Uint256, TrieError> find_slot(const NodeSource& nodes, const Address& owner,
                                     const Hash& storage_root, const Uint256& slot,
                                     std::vector<Bytes>* proof) {
    if (storage_root == kEmptyTrieRoot) return Uint256{};
    const std::string place = storage_place(key_of(owner));
    const auto found = lookup(nodes, storage_root, key_of(slot).bytes, proof, place);
    if (!found) return unexpected(found.error());
    if (!*found) return Uint256{};
    bool good = false;
    const Uint256 value = slot_value(**found, good);
    if (!good) return unexpected(TrieError{TrieError::Kind::bad_node, storage_root});
    return value;
}

}  // namespace

std::string to_text(const TrieError& error) {
    const bool missing = error.kind == TrieError::Kind::missing_node;
    return (missing ? "missing trie node " : "malformed trie node ") + to_hex0x(error.node);
}

NodePtr LayeredNodes::node(const Hash& hash, std::string_view place) const {
    auto found = map_.find(hash);
    return found ? found : parent_.node(hash, place);
}

Found lookup(const NodeSource& nodes, const Hash& root, BytesView key, std::vector<Bytes>* proof,
             std::string_view place) {
    if (root == kEmptyTrieRoot) return std::optional<Bytes>();
    const Bytes nibbles = to_nibbles(key);
    BytesView path = nibbles;
    std::string at_place(place);
    Hash at = root;
    NodePtr kept = nodes.node(root, at_place);
    if (!kept) return unexpected(TrieError{TrieError::Kind::missing_node, root});
    if (proof != nullptr) proof->push_back(*kept);
    BytesView encoded = *kept;
    while (true) {
        const auto node = parse_node(encoded);
        if (!node) return unexpected(TrieError{TrieError::Kind::bad_node, at});
        const size_t before = path.size();
        BytesView next, value;
        if (node->children.size() == 16) {
            if (path.empty())
                value = node->value;
            else
                next = node->children[path[0]], path = path.subspan(1);
        } else if (const size_t n = node->path.size();
                   n <= path.size() &&
                   std::equal(node->path.begin(), node->path.end(), path.begin())) {
            path = path.subspan(n);
            if (!node->is_leaf)
                next = node->children[0];
            else if (path.empty())
                value = node->value;
        }
        if (!value.empty()) return std::optional<Bytes>(std::in_place, value.begin(), value.end());
        if (next.empty()) return std::optional<Bytes>();
        at_place +=
            as_text(BytesView(nibbles).subspan(nibbles.size() - before, before - path.size()));
        const auto hash = hash_in(next);
        at = hash.value_or(Hash{});
        encoded = next;  // embedded: it lies in the node that is kept
        if (!hash) continue;
        NodePtr below = nodes.node(*hash, at_place);
        if (!below) return unexpected(TrieError{TrieError::Kind::missing_node, at});
        if (proof != nullptr) proof->push_back(*below);
        kept = std::move(below);
        encoded = *kept;
    }
}

Found verify_proof(const Hash& root, BytesView key, const std::vector<Bytes>& proof) {
    return lookup(ProofNodes(proof), root, key);
}

std::optional<Account> TrieView::account(const Address& address) const {
    auto found = find_account(*nodes_, root_, address, nullptr);
    if (found) return *found;
    nodes_->report(found.error());
    return std::nullopt;
}

Uint256 TrieView::storage(const Address& address, const Uint256& slot) const {
    const auto owner = account(address);
    if (!owner || owner->storage_root == kEmptyTrieRoot) return 0;
    const auto found = find_slot(*nodes_, address, owner->storage_root, slot, nullptr);
    if (found) return *found;
    nodes_->report(found.error());
    return 0;
}

Bytes TrieView::code(const Hash& code_hash) const {
    if (code_hash == kEmptyCodeHash) return {};
    if (const auto found = nodes_->node(code_hash, kCodePlace)) return *found;
    nodes_->report({TrieError::Kind::missing_node, code_hash});
    return {};
}

Result<AccountProof, TrieError> prove_account(const NodeSource& nodes, const Hash& root,
                                              const Address& address,
                                              const std::vector<Uint256>& slots) {
    AccountProof out;
    const auto account = find_account(nodes, root, address, &out.nodes);
    if (!account) return unexpected(account.error());
    out.account = *account;
    const Hash storage_root = out.account ? out.account->storage_root : kEmptyTrieRoot;
    for (const Uint256& slot : slots) {
        StorageProof& entry = out.storage.emplace_back();
        entry.slot = slot;
        const auto value = find_slot(nodes, address, storage_root, slot, &entry.nodes);
        if (!value) return unexpected(value.error());
        entry.value = *value;
    }
    return out;
}

}  // namespace trainyard::state
