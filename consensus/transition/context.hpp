// SPDX-License-Identifier: Apache-2.0
// What execution is told about the block it runs in.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "consensus/params.hpp"
#include "core/block.hpp"
#include "core/bytes.hpp"
#include "core/uint256.hpp"
#include "state/view.hpp"
#include "vm/code_cache.hpp"
#include "vm/tracer.hpp"
#include "vm/watch.hpp"

namespace trainyard::consensus {

/// Hashes of blocks on this branch by number; asked only for the last 256. Zero if unknown.
using BlockHashes = std::function<Hash(uint64_t number)>;

/// Asks `hashes` once for each block: BLOCKHASH costs 20 gas, and a store much more. For all
/// threads, and for the blocks below one.
[[nodiscard]] BlockHashes remembered(BlockHashes hashes);

/// Threads that their owner lends for a while; consensus has none of its own.
class Executor {
public:
    virtual ~Executor() = default;
    /// Calls `work` on several threads at once, and returns when all calls have returned.
    virtual void run(const std::function<void()>& work) = 0;
};

/// What a block may ask of the chain below it and of the machine it runs on. A chain that began
/// after the Merge needs `hashes` alone.
struct Lineage {
    BlockHashes hashes;
    /// The last blocks, parent first, kOmmerDepthMax of them; asked only if there are ommers.
    std::function<std::vector<Block>()> ancestors = {};
    /// The state root that the parent's state has with this diff: receipts from before Byzantium.
    std::function<Hash(const state::StateDiff&)> root_after = {};
    /// Its threads recover signatures, read the parent's state ahead, and run transactions beside
    /// each other (then they call `hashes` too); null: one after the other. The outcome is the
    /// same.
    Executor* executor = nullptr;
    /// Recovered beforehand, one for each transaction, for execution one after the other. Empty:
    /// recovered there, which costs more than executing plain transfers.
    std::span<const Address> senders = {};
    vm::CodeCache* codes = nullptr;  ///< kept from block to block; null: codes are read anew
    bool one_by_one = false;         ///< the executor's threads run no transactions
};

struct BlockEnv {
    uint64_t number = 0;
    uint64_t timestamp = 0;
    uint64_t gas_limit = 0;
    Address beneficiary;
    Uint256 base_fee;
    Uint256 prev_randao;  ///< the difficulty before the Merge
    Uint256 blob_base_fee = 1;
};

/// Where precompiles answer in a simulated block, in place of their own addresses: nullopt frees an
/// address for code. What is not listed stays.
using MovedPrecompiles = std::map<Address, std::optional<Address>>;

/// References must outlive the execution.
struct ExecutionContext {
    const ChainConfig& config;
    BlockEnv env;
    BlockHashes hashes;
    vm::Tracer* tracer = nullptr;
    vm::CodeCache* codes = nullptr;           ///< may be null
    const MovedPrecompiles* moved = nullptr;  ///< null: the state is the chain's, not overridden
    vm::Watch* watch = nullptr;  ///< ends what nobody has to agree on; null: gas alone does

    [[nodiscard]] const ForkAt& fork() const { return config.fork_at(env.number, env.timestamp); }
    [[nodiscard]] const vm::Rules& rules() const { return vm::rules_of(fork().revision); }
};

/// The environment that a header describes.
[[nodiscard]] BlockEnv env_of(const Header& header, const ChainConfig& config);

/// The environment of a block on top of `parent`, as eth_call on "pending" sees it.
[[nodiscard]] BlockEnv env_after(const Header& parent, uint64_t timestamp,
                                 const ChainConfig& config);

}  // namespace trainyard::consensus
