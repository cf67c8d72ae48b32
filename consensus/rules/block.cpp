// SPDX-License-Identifier: Apache-2.0
// Header and body rules, base fees and roots of lists.
#include "consensus/rules/block.hpp"

#include <algorithm>
#include <limits>

#include "consensus/rules/work.hpp"
#include "core/hash.hpp"
#include "core/rlp.hpp"
#include "state/trie.hpp"

namespace trainyard::consensus {
namespace {

Result<Done, BlockInvalid> fail(BlockFault fault) {
    return unexpected(BlockInvalid{fault, 0, {}});
}

bool has_fork_fields(const Header& h, const vm::Rules& rules) {
    return h.base_fee_per_gas.has_value() == rules.fee_market &&
           h.withdrawals_root.has_value() == rules.withdrawals &&
           h.blob_gas_used.has_value() == rules.blob_tx &&
           h.excess_blob_gas.has_value() == rules.blob_tx &&
           h.parent_beacon_block_root.has_value() == rules.beacon_root_contract &&
           h.requests_hash.has_value() == rules.requests;
}

bool is_gas_limit_right(const Header& header, const Header& parent, const ChainConfig& config) {
    if (header.gas_limit > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return false;
    if (config.free_gas_limit) return true;
    const bool first_with_market =
        header.base_fee_per_gas.has_value() && !parent.base_fee_per_gas.has_value();
    return is_gas_limit_allowed(header.gas_limit,
                                parent.gas_limit * (first_with_market ? kElasticity : 1));
}

Result<Done, BlockInvalid> check_blob_fields(const Header& header, const Header& parent,
                                             const ChainConfig& config) {
    const auto& blobs = config.fork_at(header.number, header.timestamp).blobs;
    if (*header.blob_gas_used > blobs.max * kBlobGas || *header.blob_gas_used % kBlobGas != 0)
        return fail(BlockFault::bad_blob_gas);
    if (*header.excess_blob_gas != next_excess_blob_gas(parent, header.timestamp, config))
        return fail(BlockFault::bad_excess_blob_gas);
    return Done{};
}

}  // namespace

std::string_view to_text(BlockFault fault) {
    switch (fault) {
        case BlockFault::wrong_parent:
            return "the parent is another block";
        case BlockFault::bad_number:
            return "the number is not one more than the parent's";
        case BlockFault::bad_timestamp:
            return "the timestamp is before its parent's";
        case BlockFault::bad_gas_limit:
            return "the gas limit moves too far or is too small";
        case BlockFault::gas_used_above_limit:
            return "more gas used than the limit";
        case BlockFault::extra_data_too_long:
            return "the extra data is too long";
        case BlockFault::bad_base_fee:
            return "the base fee does not follow from the parent";
        case BlockFault::bad_ommers:
            return "the ommers are not allowed or not those of the header";
        case BlockFault::bad_difficulty:
            return "the difficulty does not follow from the parent, or the nonce is not zero";
        case BlockFault::bad_fork_fields:
            return "a header field is missing or too early";
        case BlockFault::bad_withdrawals:
            return "the withdrawals do not fit the header";
        case BlockFault::bad_blob_gas:
            return "the blob gas does not fit";
        case BlockFault::bad_excess_blob_gas:
            return "the excess blob gas does not follow from the parent";
        case BlockFault::bad_beacon_root:
            return "the root of the parent's beacon block is not zero";
        case BlockFault::block_too_large:
            return "the block is too large";
        case BlockFault::bad_transactions_root:
            return "the transactions root differs";
        case BlockFault::bad_transaction:
            return "a transaction is invalid";
        case BlockFault::bad_gas_used:
            return "the gas used differs";
        case BlockFault::bad_receipts_root:
            return "the receipts root differs";
        case BlockFault::bad_bloom:
            return "the logs bloom differs";
        case BlockFault::bad_state_root:
            return "the state root differs";
        case BlockFault::bad_requests:
            return "the requests differ";
        case BlockFault::bad_deposit:
            return "a deposit log has another shape";
        case BlockFault::system_contract_missing:
            return "a contract that the protocol calls is missing";
        case BlockFault::system_call_failed:
            return "a call of the protocol failed";
        case BlockFault::bad_seal:
            return "the header has no seal";
    }
    return "invalid block";
}

Uint256 next_base_fee(const Header& parent, uint64_t timestamp, const ChainConfig& config) {
    const auto revision = config.revision_at(parent.number + 1, timestamp);
    if (!vm::rules_of(revision).fee_market) return {};
    if (!parent.base_fee_per_gas) return kInitialBaseFeeWei;
    const Uint256 fee = *parent.base_fee_per_gas;
    const uint64_t target = parent.gas_limit / kElasticity;
    if (parent.gas_used == target || target == 0) return fee;
    const uint64_t distance =
        parent.gas_used > target ? parent.gas_used - target : target - parent.gas_used;
    const Uint256 change = fee * distance / target / kBaseFeeDivisor;
    if (parent.gas_used > target) return fee + std::max(change, Uint256(1));
    return fee - change;
}

Uint256 blob_base_fee(uint64_t excess_blob_gas, const BlobSchedule& schedule) {
    if (schedule.update_fraction == 0) return 1;
    // Above this ratio the fee exceeds 2^173 wei, which nobody has; the series would leave 256
    // bits.
    constexpr uint64_t kRatioMax = 120;
    if (excess_blob_gas / schedule.update_fraction > kRatioMax) return Uint256::max();
    Uint256 sum, term = schedule.update_fraction;
    for (uint64_t i = 1; !term.is_zero(); ++i) {
        sum += term;
        term = term * excess_blob_gas / (Uint256(schedule.update_fraction) * i);
    }
    return sum / schedule.update_fraction;
}

uint64_t next_excess_blob_gas(const Header& parent, uint64_t timestamp, const ChainConfig& config) {
    const auto& fork = config.fork_at(parent.number + 1, timestamp);
    const BlobSchedule& blobs = fork.blobs;
    const uint64_t excess = parent.excess_blob_gas.value_or(0);
    const uint64_t used = parent.blob_gas_used.value_or(0);
    const uint64_t target_gas = blobs.target * kBlobGas;
    if (used > std::numeric_limits<uint64_t>::max() - excess) return 0;
    if (excess + used < target_gas) return 0;
    if (vm::rules_of(fork.revision).blob_fee_has_floor && blobs.max > 0) {
        const Uint256 floor = Uint256(kBlobBaseCost) * parent.base_fee_per_gas.value_or(Uint256());
        if (floor > Uint256(kBlobGas) * blob_base_fee(excess, blobs))
            return excess + used * (blobs.max - blobs.target) / blobs.max;
    }
    return excess + used - target_gas;
}

bool is_gas_limit_allowed(uint64_t limit, uint64_t parent_limit) {
    const uint64_t distance = limit > parent_limit ? limit - parent_limit : parent_limit - limit;
    return limit >= kGasLimitMin && distance < parent_limit / kGasLimitDivisor;
}

uint64_t next_gas_limit(uint64_t parent_limit, uint64_t wanted) {
    const uint64_t step = std::max<uint64_t>(parent_limit / kGasLimitDivisor, 1) - 1;
    const uint64_t lowest = std::max(kGasLimitMin, parent_limit - step);
    return std::clamp(wanted, lowest, std::max(lowest, parent_limit + step));
}

bool is_timely(const Header& header, const Header& parent, uint64_t now_s) {
    return header.timestamp <= parent.timestamp || header.timestamp <= now_s + kAheadMax_s;
}

Result<Done, BlockInvalid> check_header(const Header& header, const Header& parent,
                                        const ChainConfig& config) {
    using enum BlockFault;
    const auto& rules = vm::rules_of(config.revision_at(header.number, header.timestamp));
    if (header.parent_hash != hash_header(parent)) return fail(wrong_parent);
    if (header.number != parent.number + 1) return fail(bad_number);
    if (header.timestamp < parent.timestamp ||
        (header.timestamp == parent.timestamp && !config.equal_timestamps))
        return fail(bad_timestamp);
    if (!is_gas_limit_right(header, parent, config)) return fail(bad_gas_limit);
    if (header.gas_used > header.gas_limit) return fail(gas_used_above_limit);
    if (header.extra_data.size() > config.extra_data_size_max) return fail(extra_data_too_long);
    if (!has_fork_fields(header, rules)) return fail(bad_fork_fields);
    if (rules.fee_market &&
        *header.base_fee_per_gas != next_base_fee(parent, header.timestamp, config))
        return fail(bad_base_fee);
    if (header.difficulty != next_difficulty(parent, header.timestamp, config))
        return fail(bad_difficulty);
    if (rules.prev_randao && !header.nonce.is_zero()) return fail(bad_difficulty);
    if (rules.prev_randao && header.ommers_hash != kEmptyListHash) return fail(bad_ommers);
    if (rules.beacon_root_contract && !config.beacon_roots &&
        !header.parent_beacon_block_root->is_zero())
        return fail(bad_beacon_root);
    return rules.blob_tx ? check_blob_fields(header, parent, config) : Done{};
}

namespace {

std::vector<Bytes> encode_all(const std::vector<Tx>& txs) {
    std::vector<Bytes> items;
    items.reserve(txs.size());
    for (const auto& tx : txs) items.push_back(encode_tx(tx));
    return items;
}

/// False only if a block with these transactions is below the cap whatever its prefixes take.
bool may_be_large(const Block& block, const std::vector<Bytes>& encoded_txs) {
    constexpr size_t kItemMax = 64;  // of a withdrawal, or of the prefix of anything
    size_t size = encode_header(block.header).size() + 4 * kItemMax;
    for (const Bytes& tx : encoded_txs) size += tx.size() + kItemMax;
    if (block.withdrawals) size += block.withdrawals->size() * kItemMax;
    return !block.ommers.empty() || size > kBlockSizeMax;
}

}  // namespace

Result<Done, BlockInvalid> check_body(const Block& block, const ChainConfig& config) {
    using enum BlockFault;
    const Header& header = block.header;
    const auto& rules = vm::rules_of(config.revision_at(header.number, header.timestamp));
    if (ommers_hash(block.ommers) != header.ommers_hash) return fail(bad_ommers);
    if (block.withdrawals.has_value() != rules.withdrawals) return fail(bad_withdrawals);
    if (rules.withdrawals) {
        if (!config.withdrawals && !block.withdrawals->empty()) return fail(bad_withdrawals);
        if (header.withdrawals_root != withdrawals_root(*block.withdrawals))
            return fail(bad_withdrawals);
    }
    const auto items = encode_all(block.txs);
    if (header.transactions_root != state::ordered_root(items)) return fail(bad_transactions_root);
    uint64_t blobs = 0;
    for (const auto& tx : block.txs) blobs += tx.blob_hashes.size();
    if (rules.blob_tx && header.blob_gas_used != blobs * kBlobGas) return fail(bad_blob_gas);
    if (rules.block_size_is_capped && may_be_large(block, items) &&
        encode_block(block).size() > kBlockSizeMax)
        return fail(block_too_large);
    return Done{};
}

Hash transactions_root(const std::vector<Tx>& txs) {
    return state::ordered_root(encode_all(txs));
}

Hash receipts_root(const std::vector<Receipt>& receipts) {
    std::vector<Bytes> items;
    items.reserve(receipts.size());
    for (const auto& receipt : receipts) items.push_back(encode_receipt(receipt));
    return state::ordered_root(items);
}

Hash withdrawals_root(const std::vector<Withdrawal>& withdrawals) {
    std::vector<Bytes> items;
    for (const auto& w : withdrawals) {
        rlp::Writer out;
        out.begin_list().number(w.index).number(w.validator_index).fixed(w.address);
        items.push_back(out.number(w.amount_gwei).end_list().take());
    }
    return state::ordered_root(items);
}

}  // namespace trainyard::consensus
