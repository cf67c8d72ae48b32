// SPDX-License-Identifier: Apache-2.0
// The node's transaction pool: PoolState behind a lock, joined to the chain.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/result.hpp"
#include "node/chain/chain.hpp"
#include "node/mempool/pool_state.hpp"

namespace trainyard::node::mempool {

/// Thread-safe. Signatures are recovered on the caller's thread, outside the lock.
class Mempool {
public:
    struct Options {
        Limits limits;
        size_t known_max = 65'536;  ///< hashes remembered so that gossip does not come back
    };

    /// `chain` must outlive the pool.
    Mempool(const chain::Chain& chain, Options options);
    ~Mempool();
    Mempool(const Mempool&) = delete;
    Mempool& operator=(const Mempool&) = delete;

    /// Called for each transaction that becomes pending, outside the lock, in nonce order per
    /// sender. Set it before anything runs.
    void on_pending(std::function<void(const PooledPtr&)> callback);

    /// Takes a transaction in. Errors are worded for eth_sendRawTransaction by `to_text`.
    [[nodiscard]] Result<PooledPtr, PoolRefusal> submit(const Tx& tx);
    /// Was this transaction here lately, or refused for good or at this head? Then there is no need
    /// to look at it again.
    [[nodiscard]] bool is_known(const Hash& hash) const;

    /// The chain's `latest` changed. Looks at accounts and recovers authorities of what waits
    /// again, so it takes time; calls of several threads, and those left out, do no harm.
    void on_head();

    /// A snapshot for a block on top of `parent`, best tip first.
    [[nodiscard]] chain::CandidateSource best(const Hash& parent) const;

    [[nodiscard]] PooledPtr find(const Hash& hash) const;
    /// The account's nonce at the chain's latest block plus its pending transactions.
    [[nodiscard]] uint64_t pending_nonce(const Address& who) const;
    struct Counts {
        uint64_t pending = 0, queued = 0;
    };
    [[nodiscard]] Counts counts() const;
    struct Entry {
        PooledPtr tx;
        bool pending = false;
    };
    [[nodiscard]] std::vector<Entry> content() const;  ///< by sender and nonce

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace trainyard::node::mempool
