// SPDX-License-Identifier: Apache-2.0
// eth_simulateV1 on the state after a block, and its refusals in geth's words.
#include "consensus/transition/simulate_blocks.hpp"

#include "core/checksum.hpp"
#include "node/backend/scene.hpp"
#include "node/backend/words.hpp"

namespace trainyard::node::backend {
namespace {

using Kind = rpc::SimulateError::Kind;
using Why = consensus::SimulateError::Kind;

Kind kind_of(consensus::TxInvalid error) {
    switch (error) {
        case consensus::TxInvalid::nonce_too_low:
            return Kind::nonce_too_low;
        case consensus::TxInvalid::nonce_too_high:
            return Kind::nonce_too_high;
        case consensus::TxInvalid::nonce_max:
            return Kind::nonce_max;
        case consensus::TxInvalid::fee_cap_below_base_fee:
            return Kind::fee_cap_too_low;
        case consensus::TxInvalid::intrinsic_gas_too_low:
            return Kind::intrinsic_gas;
        case consensus::TxInvalid::insufficient_funds:
            return Kind::insufficient_funds;
        case consensus::TxInvalid::init_code_too_large:
            return Kind::init_code_too_large;
        default:
            return Kind::invalid_call;
    }
}

/// Who it was, what there is, and what there should be.
std::string numbers_of(const consensus::SimulateError& e) {
    const std::string have = to_decimal(e.have), want = to_decimal(e.want);
    const std::string address = ": address " + to_checksummed(e.sender);
    switch (e.tx_error) {
        case consensus::TxInvalid::nonce_too_low:
        case consensus::TxInvalid::nonce_too_high:
            return address + ", tx: " + have + " state: " + want;
        case consensus::TxInvalid::nonce_max:
            return address + ", nonce: " + have;
        case consensus::TxInvalid::fee_cap_below_base_fee:
            return address + ", maxFeePerGas: " + have + ", baseFee: " + want;
        case consensus::TxInvalid::tip_above_fee_cap:
            return address + ", maxPriorityFeePerGas: " + have + ", maxFeePerGas: " + want;
        case consensus::TxInvalid::blob_fee_cap_too_low:
            return address + ", blobGasFeeCap: " + have + ", blobBaseFee: " + want;
        case consensus::TxInvalid::insufficient_funds:
            return address + " have " + have + " want " + want;
        case consensus::TxInvalid::intrinsic_gas_too_low:
        case consensus::TxInvalid::floor_gas_too_low:
            return ": have " + have + ", want " + want;
        default:
            return address;
    }
}

rpc::SimulateError error_of(const consensus::SimulateError& e) {
    const auto order = [&](const char* what) {
        return std::string(what) + " must be in order: " + to_decimal(e.have) +
               " <= " + to_decimal(e.want);
    };
    switch (e.kind) {
        case Why::too_many_blocks:
            return {Kind::too_many_blocks, "too many blocks"};
        case Why::number_order:
            return {Kind::number_order, order("block numbers")};
        case Why::timestamp_order:
            return {Kind::timestamp_order, order("block timestamps")};
        case Why::no_withdrawals:
            return {Kind::invalid_call, "this chain has no withdrawals"};
        case Why::bad_override:
            return {e.override_error.kind == consensus::OverrideError::Kind::moves_to_itself
                        ? Kind::moves_to_itself
                        : Kind::failed,
                    to_text(e.override_error)};
        case Why::block_gas_reached:
            return {Kind::block_gas_reached,
                    "block gas limit reached: " + to_decimal(e.have) + " of " + to_decimal(e.want)};
        case Why::call_refused:
            return {kind_of(e.tx_error), "err: " + std::string(consensus::to_text(e.tx_error)) +
                                             numbers_of(e) + " (supplied gas " +
                                             std::to_string(e.gas) + ")"};
        case Why::block_failed:
            return {Kind::failed, "the block fails: " + std::string(to_text(e.block_fault))};
        case Why::state_missing:
            return {Kind::state_unavailable, {}};
        case Why::too_slow:
            return {Kind::too_slow, "execution timeout"};
    }
    return {Kind::failed, {}};
}

rpc::SimulatedBlock block_of(consensus::SimulatedBlock&& from) {
    rpc::SimulatedBlock out;
    for (auto& call : from.calls)
        out.calls.push_back(
            {outcome_of(call.status, std::move(call.output), call.gas_used, std::move(call.logs)),
             call.gas_peak});
    out.block = rpc::make_full_block(std::move(from.block), std::move(from.senders),
                                     std::move(from.receipts));
    return out;
}

}  // namespace

Result<std::vector<rpc::SimulatedBlock>, rpc::SimulateError> NodeBackend::simulate(
    const Hash& block_hash, const SimulateRequest& request, uint64_t gas_max,
    const rpc::WorkLimits& limits) const {
    const auto base = parts_.chain.by_hash(block_hash);
    const auto view = parts_.chain.view(block_hash);
    const auto nodes = parts_.chain.nodes(block_hash);
    if (base == nullptr || view == nullptr || nodes == nullptr)
        return unexpected(rpc::SimulateError{Kind::unknown_block, "header not found"});
    const auto pruned = [] {
        return unexpected(rpc::SimulateError{Kind::state_unavailable, "the state was pruned"});
    };
    if (!parts_.chain.keeps_state(block_hash)) return pruned();
    const auto hashes = parts_.chain.hashes_up_to(block_hash);
    auto blocks = consensus::simulate_blocks({*view, *nodes, base->block.header, hashes,
                                              parts_.chain.config(), gas_max, limits.is_time_up},
                                             request);
    if (!parts_.chain.keeps_state(block_hash)) return pruned();  // perhaps while it ran
    if (!blocks) return unexpected(error_of(blocks.error()));
    std::vector<rpc::SimulatedBlock> out;
    for (auto& block : *blocks) out.push_back(block_of(std::move(block)));
    return out;
}

}  // namespace trainyard::node::backend
