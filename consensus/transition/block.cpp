// SPDX-License-Identifier: Apache-2.0
// The loop over transactions that applying and building share.
#include "consensus/transition/block.hpp"

#include <algorithm>
#include <atomic>

#include "consensus/rules/work.hpp"
#include "consensus/transition/parallel.hpp"
#include "consensus/transition/system.hpp"
#include "core/assert.hpp"
#include "core/hash.hpp"
#include "core/old_tx.hpp"
#include "state/side_by_side.hpp"

namespace trainyard::consensus {
namespace {

BlockInvalid fault(BlockFault what) {
    return {what, 0, {}};
}

/// A block in execution: the world, the machine over it, and what has come out so far.
struct Execution {
    ExecutionContext context;
    World world;
    Evm evm;
    BlockOutcome outcome;
    std::function<Hash(const state::StateDiff&)> root_after;  ///< set before Byzantium

    Execution(const state::StateView& view, const Header& header, const BlockHashes& hashes,
              const ChainConfig& config, vm::CodeCache* codes)
        : context{config, env_of(header, config), remembered(hashes), nullptr, codes},
          world(view, context.rules(), codes),
          evm(world, context) {}
    Execution(const Execution&) = delete;
    Execution& operator=(const Execution&) = delete;
};

/// Gas and blobs that the transactions before have left.
Result<Done, TxInvalid> check_room(const Execution& e, const Tx& tx) {
    const BlockOutcome& out = e.outcome;
    if (tx.gas_limit > e.context.env.gas_limit - out.gas_used)
        return unexpected(TxInvalid::gas_above_block_limit);
    const uint64_t blob_gas = tx.blob_hashes.size() * kBlobGas;
    if (out.blob_gas_used + blob_gas > e.context.fork().blobs.max * kBlobGas)
        return unexpected(TxInvalid::blob_too_many);
    return Done{};
}

void take(Execution& e, const Tx& tx, const Address& sender, TxOutcome done) {
    BlockOutcome& out = e.outcome;
    out.gas_used += done.gas_used;
    out.blob_gas_used += tx.blob_hashes.size() * kBlobGas;
    done.receipt.cumulative_gas_used = out.gas_used;
    if (e.root_after) done.receipt.post_state = e.root_after(e.world.diff());
    for (size_t i = 0; i < Bloom::size(); ++i) out.bloom[i] |= done.receipt.bloom[i];
    out.receipts.push_back(std::move(done.receipt));
    out.senders.push_back(sender);
}

/// Executes one transaction if it is valid and fits into what is left of the block.
Result<Done, TxInvalid> add_transaction(Execution& e, const Tx& tx, const Address& sender) {
    if (auto ok = check_transaction(e.world, e.context, tx, sender); !ok) return ok;
    if (auto ok = check_room(e, tx); !ok) return ok;
    take(e, tx, sender, run_transaction(e.evm, tx, sender));
    return Done{};
}

Result<Done, BlockInvalid> begin(Execution& e, const Header& header, const Header& parent) {
    if (auto begun = begin_block(e.evm, header, parent); !begun)
        return unexpected(fault(begun.error()));
    return Done{};
}

Result<Done, BlockInvalid> finish(Execution& e, const Block& block,
                                  const state::SideBySide& side_by_side = {}) {
    const auto rewards = block_rewards(block.header, block.ommers, e.context.rules());
    if (!rewards.empty()) apply_rewards(e.world, rewards);
    if (block.withdrawals) apply_withdrawals(e.world, *block.withdrawals);
    if (e.context.rules().requests) {
        const auto hash = collect_requests(e.evm, e.outcome.receipts);
        if (!hash) return unexpected(fault(hash.error()));
        e.outcome.requests_hash = *hash;
    }
    constexpr size_t kSideBySideLeast = 64;  // receipts
    state::run_both(
        e.outcome.receipts.size() < kSideBySideLeast ? state::SideBySide() : side_by_side,
        [&] { e.outcome.receipts_root = receipts_root(e.outcome.receipts); },
        [&] { e.outcome.diff = e.world.diff(); });
    return Done{};
}

Result<Done, BlockInvalid> add_all(Execution& e, std::span<const Tx> txs,
                                   std::span<const Address> senders) {
    const auto range = e.context.rules().low_s_only ? SRange::low_s : SRange::any_s;
    for (size_t i = 0; i < txs.size(); ++i) {
        const auto fail = [i](TxInvalid error) {
            return unexpected(BlockInvalid{BlockFault::bad_transaction, i, error});
        };
        const auto sender =
            senders.empty() ? recover_sender(txs[i], range) : Result<Address, TxError>(senders[i]);
        if (!sender) return fail(TxInvalid::bad_signature);
        if (const auto added = add_transaction(e, txs[i], *sender); !added)
            return fail(added.error());
    }
    return Done{};
}

/// True if nearly all gas goes to transfers that can run no code. They take less time than keeping
/// them apart on several threads.
bool is_plain(const std::vector<Tx>& txs) {
    constexpr uint64_t kTransferGas = 21000, kPlainShare = 4;
    uint64_t all = 0, plain = 0;
    for (const Tx& tx : txs) {
        all += tx.gas_limit / kTransferGas;
        plain += tx.to && tx.gas_limit == kTransferGas ? 1 : 0;
    }
    return (all - plain) * kPlainShare <= all;
}

/// On all threads; of the transactions before the first whose signature is bad.
std::vector<Address> recover_senders(const std::vector<Tx>& txs, const vm::Rules& rules,
                                     Executor& executor) {
    const auto range = rules.low_s_only ? SRange::low_s : SRange::any_s;
    std::vector<Result<Address, TxError>> found(txs.size(), unexpected(TxError::bad_signature));
    std::atomic<size_t> next = 0;
    executor.run([&] {
        for (size_t i = next++; i < txs.size(); i = next++)
            found[i] = recover_sender(txs[i], range);
    });
    std::vector<Address> senders;
    senders.reserve(txs.size());
    for (size_t i = 0; i < found.size() && found[i]; ++i) senders.push_back(*found[i]);
    return senders;
}

/// A block on its way through execution, and what it rests on.
struct Case {
    const state::StateView& parent_state;
    const Header& parent;
    const Block& block;
    const Lineage& lineage;
    const ChainConfig& config;
};

/// Checks the body and adds its transactions one after the other, with signatures and accounts read
/// on all threads beforehand.
Result<Done, BlockInvalid> add_all_read_ahead(Execution& e, const Case& c,
                                              const state::SideBySide& side_by_side) {
    const auto& txs = c.block.txs;
    std::span<const Address> known = c.lineage.senders;
    std::vector<Address> recovered;
    if (known.empty())
        known = recovered = recover_senders(txs, e.context.rules(), *c.lineage.executor);
    std::vector<Address> ahead(known.begin(), known.end());
    for (const Tx& tx : txs)
        if (tx.to) ahead.push_back(*tx.to);
    const auto accounts = c.parent_state.accounts(ahead, side_by_side);
    Result<Done, BlockInvalid> is_right = Done{}, added = Done{};
    state::run_both(
        side_by_side, [&] { is_right = check_body(c.block, c.config); },
        [&] {
            for (size_t i = 0; i < ahead.size(); ++i) e.world.preload(ahead[i], accounts[i]);
            added = begin(e, c.block.header, c.parent);
            if (added) added = add_all(e, std::span(txs).first(known.size()), known);
        });
    if (!is_right) return is_right;
    if (!added || known.size() == txs.size()) return added;
    return unexpected(
        BlockInvalid{BlockFault::bad_transaction, known.size(), TxInvalid::bad_signature});
}

Result<Done, BlockInvalid> add_all_at_once(Execution& e, const state::StateView& parent_state,
                                           const std::vector<Tx>& txs, Executor& executor) {
    Result<Done, BlockInvalid> all = Done{};
    const auto on_commit = [&](size_t i, const Address& sender,
                               Result<TxOutcome, TxInvalid> outcome) {
        Result<Done, TxInvalid> ok = outcome ? check_room(e, txs[i]) : unexpected(outcome.error());
        if (ok)
            take(e, txs[i], sender, std::move(*outcome));
        else
            all = unexpected(BlockInvalid{BlockFault::bad_transaction, i, ok.error()});
        return ok.has_value();
    };
    run_parallel(parent_state, e.world, e.context, txs, executor, on_commit);
    return all;
}

/// Checks the body first, then adds its transactions.
Result<Done, BlockInvalid> check_and_add_all(Execution& e, const Case& c, bool at_once) {
    const auto& [parent_state, parent, block, lineage, config] = c;
    if (auto ok = check_body(block, config); !ok) return ok;
    if (!block.ommers.empty())
        if (auto ok = check_ommers(block, lineage.ancestors(), config); !ok) return ok;
    if (auto begun = begin(e, block.header, parent); !begun) return begun;
    return at_once ? add_all_at_once(e, parent_state, block.txs, *lineage.executor)
                   : add_all(e, block.txs, lineage.senders);
}

Result<Done, BlockInvalid> compare(const BlockOutcome& outcome, const Header& header) {
    if (outcome.gas_used != header.gas_used) return unexpected(fault(BlockFault::bad_gas_used));
    if (outcome.receipts_root != header.receipts_root)
        return unexpected(fault(BlockFault::bad_receipts_root));
    if (outcome.bloom != header.logs_bloom) return unexpected(fault(BlockFault::bad_bloom));
    if (outcome.requests_hash != header.requests_hash)
        return unexpected(fault(BlockFault::bad_requests));
    return Done{};
}

void complete_header(Block& block, const BlockOutcome& outcome) {
    Header& header = block.header;
    header.transactions_root = transactions_root(block.txs);
    header.receipts_root = outcome.receipts_root;
    header.logs_bloom = outcome.bloom;
    header.gas_used = outcome.gas_used;
    header.requests_hash = outcome.requests_hash;
    if (header.blob_gas_used) header.blob_gas_used = outcome.blob_gas_used;
}

}  // namespace

Result<BlockOutcome, BlockInvalid> apply_block(const state::StateView& parent_state,
                                               const Header& parent, const Block& block,
                                               const Lineage& lineage, const ChainConfig& config) {
    ASSERT(lineage.senders.empty() || lineage.senders.size() == block.txs.size());
    if (auto ok = check_header(block.header, parent, config); !ok) return unexpected(ok.error());
    Execution e(parent_state, block.header, lineage.hashes, config, lineage.codes);
    if (!e.context.rules().status_in_receipt) e.root_after = lineage.root_after;
    state::SideBySide side_by_side;
    if (lineage.executor != nullptr)
        side_by_side = [&](const auto& work) { lineage.executor->run(work); };
    const bool at_once = side_by_side && !e.root_after && block.txs.size() > 1;
    const bool read_ahead =
        at_once && block.ommers.empty() && (lineage.one_by_one || is_plain(block.txs));
    const Case c{parent_state, parent, block, lineage, config};
    const auto added = read_ahead ? add_all_read_ahead(e, c, side_by_side)
                                  : check_and_add_all(e, c, at_once && !lineage.one_by_one);
    if (!added) return unexpected(added.error());
    if (auto done = finish(e, block, side_by_side); !done) return unexpected(done.error());
    if (auto same = compare(e.outcome, block.header); !same) return unexpected(same.error());
    return std::move(e.outcome);
}

Header make_header(const Header& parent, const HeaderChoice& choice, const ChainConfig& config) {
    Header header;
    header.parent_hash = hash_header(parent);
    header.ommers_hash = kEmptyListHash;
    header.beneficiary = choice.beneficiary;
    header.number = parent.number + 1;
    header.gas_limit = next_gas_limit(parent.gas_limit, config.gas_limit);
    header.timestamp =
        std::max(choice.timestamp, parent.timestamp + (config.equal_timestamps ? 0 : 1));
    header.extra_data = choice.extra_data;
    header.prev_randao = choice.prev_randao;
    const auto& rules = vm::rules_of(config.revision_at(header.number, header.timestamp));
    if (rules.fee_market) header.base_fee_per_gas = next_base_fee(parent, header.timestamp, config);
    if (rules.withdrawals) header.withdrawals_root = kEmptyTrieRoot;
    if (rules.blob_tx) {
        header.blob_gas_used = 0;
        header.excess_blob_gas = next_excess_blob_gas(parent, header.timestamp, config);
    }
    if (rules.beacon_root_contract) header.parent_beacon_block_root = Hash{};
    return header;
}

Result<BuiltBlock, BlockInvalid> build_block(const state::StateView& parent_state,
                                             const BuildInput& input) {
    constexpr uint64_t kTxGasLeast = 21000;
    constexpr uint64_t kPrefixMax = 4;  // of an item of the list, below 16 MiB
    BuiltBlock built;
    built.block.header = input.header;
    const auto& rules =
        vm::rules_of(input.config.revision_at(input.header.number, input.header.timestamp));
    if (rules.withdrawals) built.block.withdrawals.emplace();
    Execution e(parent_state, input.header, input.hashes, input.config, input.codes);
    if (auto begun = begin(e, input.header, input.parent); !begun) return unexpected(begun.error());
    // Half of the cap leaves room for the header.
    const uint64_t size_max = rules.block_size_is_capped
                                  ? std::min(input.txs_size_max, kBlockSizeMax / 2)
                                  : input.txs_size_max;
    uint64_t size = kPrefixMax;
    while (e.context.env.gas_limit - e.outcome.gas_used >= kTxGasLeast) {
        if (input.is_time_up && input.is_time_up()) break;
        auto candidate = input.next ? input.next() : std::nullopt;
        if (!candidate) break;
        const uint64_t tx_size = encode_tx(candidate->tx).size() + kPrefixMax;
        if (size + tx_size > size_max) continue;
        const auto added = add_transaction(e, candidate->tx, candidate->sender);
        if (!added) {
            built.skipped.push_back({hash_tx(candidate->tx), added.error()});
            continue;
        }
        size += tx_size;
        built.block.txs.push_back(std::move(candidate->tx));
    }
    if (auto done = finish(e, built.block); !done) return unexpected(done.error());
    built.outcome = std::move(e.outcome);
    complete_header(built.block, built.outcome);
    return built;
}

}  // namespace trainyard::consensus
