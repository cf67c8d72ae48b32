// SPDX-License-Identifier: Apache-2.0
// eth_call, eth_estimateGas and eth_createAccessList on the state after a block.
#include "node/backend/scene.hpp"
#include "node/backend/words.hpp"

namespace trainyard::node::backend {

consensus::CallRequest request_of(const rpc::CallRequest& r) {
    consensus::CallRequest out;
    out.from = r.from.value_or(Address{});
    out.to = r.to;
    out.gas = r.gas;
    out.max_fee_per_gas = r.max_fee_per_gas.value_or(r.gas_price.value_or(Uint256()));
    out.max_priority_fee_per_gas =
        r.max_priority_fee_per_gas.value_or(r.gas_price.value_or(Uint256()));
    out.value = r.value;
    out.data = r.data;
    out.access_list = r.access_list;
    out.authorizations = r.authorizations;
    return out;
}

rpc::CallOutcome outcome_of(vm::Status status, Bytes output, uint64_t gas_used,
                            std::vector<Log> logs) {
    using Status = rpc::CallOutcome::Status;
    rpc::CallOutcome out;
    out.status = status == vm::Status::success  ? Status::success
                 : status == vm::Status::revert ? Status::reverted
                                                : Status::failed;
    out.output = std::move(output);
    out.gas_used = gas_used;
    out.logs = std::move(logs);
    if (out.status == Status::failed) out.error = vm::to_text(status);
    return out;
}

namespace {

using Kind = rpc::CallError::Kind;

rpc::CallError refused(consensus::TxInvalid why) {
    return {Kind::invalid_tx, std::string(consensus::to_text(why)), {}};
}

rpc::CallError error_of(const consensus::EstimateError& e) {
    switch (e.kind) {
        case consensus::EstimateError::Kind::refused:
            return refused(*e.tx_error);
        case consensus::EstimateError::Kind::gas_exceeds_allowance:
            return {Kind::gas_exceeds_allowance,
                    "gas required exceeds allowance (" + std::to_string(e.allowance) + ")",
                    {}};
        case consensus::EstimateError::Kind::reverted:
            return {Kind::reverted, {}, e.output};
        case consensus::EstimateError::Kind::failed:
            return {Kind::failed, std::string(vm::to_text(e.status)), {}};
    }
    return {Kind::failed, {}, {}};
}

void apply(const BlockOverrides& overrides, consensus::BlockEnv& env) {
    env.number = overrides.number.value_or(env.number);
    env.timestamp = overrides.time.value_or(env.timestamp);
    env.gas_limit = overrides.gas_limit.value_or(env.gas_limit);
    env.beneficiary = overrides.fee_recipient.value_or(env.beneficiary);
    env.base_fee = overrides.base_fee_per_gas.value_or(env.base_fee);
    env.blob_base_fee = overrides.blob_base_fee.value_or(env.blob_base_fee);
    if (overrides.prev_randao) env.prev_randao = from_hash(*overrides.prev_randao);
}

}  // namespace

Result<Done, rpc::CallError> NodeBackend::check_state(const Hash& block_hash) const {
    if (parts_.chain.keeps_state(block_hash)) return Done{};
    return unexpected(rpc::CallError{Kind::state_unavailable, "the state was pruned", {}});
}

Result<std::unique_ptr<NodeBackend::Scene>, rpc::CallError> NodeBackend::scene(
    const Hash& block_hash, const rpc::Overrides& overrides) const {
    const auto block = parts_.chain.by_hash(block_hash);
    auto view = parts_.chain.view(block_hash);
    if (block == nullptr || view == nullptr)
        return unexpected(rpc::CallError{Kind::unknown_block, "header not found", {}});
    if (auto whole = check_state(block_hash); !whole) return unexpected(whole.error());
    if (overrides.block.beacon_root || overrides.block.withdrawals)
        return unexpected(
            rpc::CallError{Kind::invalid_tx,
                           "beaconRoot and withdrawals can be overridden by eth_simulateV1 alone",
                           {}});
    auto env = consensus::env_of(block->block.header, parts_.chain.config());
    apply(overrides.block, env);
    consensus::ExecutionContext context{parts_.chain.config(), env,
                                        parts_.chain.hashes_up_to(block_hash), nullptr};
    auto over = consensus::apply_overrides(*view, overrides.accounts, context.rules());
    if (!over) return unexpected(rpc::CallError{Kind::invalid_tx, to_text(over.error()), {}});
    return std::make_unique<Scene>(
        std::move(view), std::move(*over), std::move(context),
        [&now_ms = parts_.now_ms, end_ms = parts_.now_ms() + parts_.call_ms] {
            return now_ms() > end_ms;
        });
}

/// Whether what ran in the scene counts: it had its time, and its state was there to the end.
Result<Done, rpc::CallError> NodeBackend::check_end(const Hash& block_hash,
                                                    const Scene& scene) const {
    if (!scene.watch.is_over()) return check_state(block_hash);
    const std::string limit = std::to_string(parts_.call_ms / 1000) + "s";
    return unexpected(
        rpc::CallError{Kind::too_slow, "execution aborted (timeout = " + limit + ")", {}});
}

Result<rpc::CallOutcome, rpc::CallError> NodeBackend::call(const Hash& block_hash,
                                                           const rpc::CallRequest& request,
                                                           const rpc::Overrides& overrides) const {
    const auto on = scene(block_hash, overrides);
    if (!on) return unexpected(on.error());
    auto done = consensus::simulate_call((*on)->view, (*on)->context, request_of(request));
    if (auto whole = check_end(block_hash, **on); !whole) return unexpected(whole.error());
    if (!done) return unexpected(refused(done.error()));
    return outcome_of(done->status, std::move(done->output), done->gas_used, std::move(done->logs));
}

Result<uint64_t, rpc::CallError> NodeBackend::estimate_gas(const Hash& block_hash,
                                                           const rpc::CallRequest& request,
                                                           const rpc::Overrides& overrides) const {
    const auto on = scene(block_hash, overrides);
    if (!on) return unexpected(on.error());
    const auto gas = consensus::estimate_gas((*on)->view, (*on)->context, request_of(request));
    if (auto whole = check_end(block_hash, **on); !whole) return unexpected(whole.error());
    if (!gas) return unexpected(error_of(gas.error()));
    return *gas;
}

Result<rpc::AccessListOutcome, rpc::CallError> NodeBackend::create_access_list(
    const Hash& block_hash, const rpc::CallRequest& request) const {
    const auto on = scene(block_hash, {});
    if (!on) return unexpected(on.error());
    auto made = consensus::create_access_list((*on)->view, (*on)->context, request_of(request));
    if (auto whole = check_end(block_hash, **on); !whole) return unexpected(whole.error());
    if (!made) return unexpected(refused(made.error()));
    rpc::AccessListOutcome out{std::move(made->access_list), made->outcome.gas_used, {}};
    if (made->outcome.status != vm::Status::success)
        out.error = made->outcome.status == vm::Status::revert
                        ? "execution reverted"
                        : std::string(vm::to_text(made->outcome.status));
    return out;
}

}  // namespace trainyard::node::backend
