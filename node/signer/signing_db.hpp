// SPDX-License-Identifier: Apache-2.0
// The history of one consensus key on disk, asked before each signature.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "node/signer/history.hpp"
#include "state/kv.hpp"

namespace trainyard::node::signer {

/// A database belongs to one key on one chain, for good.
struct Owner {
    consensus::bft::ChainIdentity chain;
    PublicKey key;
    bool operator==(const Owner&) const = default;
};

/// Thread-safe; one process has the store open at a time (state::KvError::locked).
///
/// Keys, all under "sign": "sign/owner" version u8 | chain id u64 | genesis 32 | key 33;
/// "sign/mark" epoch u64 | view u64; "sign/view" epoch u64 big-endian | view u64 big-endian: flags
/// u8 (1 notarized, 2 finalized, 4 nullified), then the hashes of the first two. Integers in values
/// are little-endian.
class SigningDb {
public:
    static constexpr size_t kViewsKept = 4096;

    /// Buffered: the caller syncs the store before a signature leaves the process.
    [[nodiscard]] static Result<std::unique_ptr<SigningDb>, std::string> open(
        state::Kv& kv, const Owner& owner, state::Durability durability);
    /// Whose database the store holds; nullopt if it holds none. An error is a damaged store.
    [[nodiscard]] static Result<std::optional<Owner>, std::string> owner_of(const state::Kv& kv);

    /// Records the vote, unless that is refused; then it may be signed.
    [[nodiscard]] Result<Done, Refusal> admit(const consensus::bft::ChainIdentity& chain,
                                              const consensus::bft::Vote& vote);
    [[nodiscard]] bool holds(const consensus::bft::Vote& vote) const;
    [[nodiscard]] History history() const;
    [[nodiscard]] Position newest() const;
    /// Nothing is known of this key: a new one, or the database was lost.
    [[nodiscard]] bool is_empty() const;
    [[nodiscard]] const Owner& owner() const { return owner_; }

    /// Both are synced. Merging gives the views where the histories contradict each other.
    [[nodiscard]] Result<Done, state::KvError> raise_mark(const Position& to);
    [[nodiscard]] Result<std::vector<Position>, state::KvError> merge_in(const History& other);

private:
    SigningDb(state::Kv& kv, Owner owner, state::Durability durability)
        : kv_(kv), owner_(std::move(owner)), durability_(durability) {}
    [[nodiscard]] Result<Done, state::KvError> replace(History next);

    state::Kv& kv_;
    const Owner owner_;
    const state::Durability durability_;
    mutable std::mutex mutex_;
    History history_;
};

/// Reads the history of any store; an error says what is damaged. Nothing is guessed.
[[nodiscard]] Result<History, std::string> read_history(const state::Kv& kv);

}  // namespace trainyard::node::signer
