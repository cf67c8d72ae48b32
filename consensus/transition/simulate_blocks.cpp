// SPDX-License-Identifier: Apache-2.0
// Simulated blocks: planned first, then executed one on top of the other.
#include "consensus/transition/simulate_blocks.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "consensus/rules/work.hpp"
#include "consensus/transition/evm.hpp"
#include "consensus/transition/system.hpp"
#include "consensus/transition/transaction.hpp"
#include "consensus/transition/transfer_logs.hpp"
#include "consensus/transition/world.hpp"
#include "core/hash.hpp"

namespace trainyard::consensus {
namespace {

using Kind = SimulateError::Kind;

template <class T>
using Simulated = Result<T, SimulateError>;

Unexpected<SimulateError> fail(Kind kind, const Uint256& have = {}, const Uint256& want = {}) {
    SimulateError error;
    error.kind = kind;
    error.have = have;
    error.want = want;
    return unexpected(std::move(error));
}

/// A block with its number and time; `asked` is null where it fills a gap.
struct Planned {
    const BlockCalls* asked = nullptr;
    uint64_t number = 0, timestamp = 0;
};

/// Numbers and times in order, gaps filled.
Simulated<std::vector<Planned>> plan(const SimulateRequest& request, const Header& base) {
    std::vector<Planned> blocks;
    uint64_t number = base.number, timestamp = base.timestamp;
    for (const auto& asked : request.blocks) {
        const uint64_t next = asked.block.number.value_or(number + 1);
        if (next <= number) return fail(Kind::number_order, next, number);
        if (next - base.number > kSimulatedBlocksMax) return fail(Kind::too_many_blocks);
        while (++number < next)
            blocks.push_back({nullptr, number, timestamp += kSimulatedBlockSeconds});
        const uint64_t then = asked.block.time.value_or(timestamp + kSimulatedBlockSeconds);
        if (then <= timestamp) return fail(Kind::timestamp_order, then, timestamp);
        timestamp = then;
        blocks.push_back({&asked, number, timestamp});
    }
    return blocks;
}

Tx make_tx(const CallArgs& call, bool has_fee_market, uint64_t chain_id) {
    Tx tx;
    tx.type = !call.authorizations.empty()        ? TxType::set_code
              : !call.blob_hashes.empty()         ? TxType::blob
              : has_fee_market && !call.gas_price ? TxType::dynamic_fee
              : call.has_access_list              ? TxType::access_list
                                                  : TxType::legacy;
    if (tx.type != TxType::legacy) tx.chain_id = chain_id;
    const Uint256 price = call.gas_price.value_or(Uint256());
    tx.max_fee_per_gas = call.max_fee_per_gas.value_or(price);
    tx.max_priority_fee_per_gas = call.max_priority_fee_per_gas.value_or(price);
    tx.to = call.to;
    tx.value = call.value;
    tx.data = call.data;
    tx.access_list = call.access_list;
    tx.max_fee_per_blob_gas = call.max_fee_per_blob_gas.value_or(Uint256());
    tx.blob_hashes = call.blob_hashes;
    tx.authorizations = call.authorizations;
    return tx;
}

class Simulation {
public:
    Simulation(const SimulateInput& input, const SimulateRequest& request)
        : input_(input),
          request_(request),
          layered_(input.nodes, new_nodes_),
          parent_(input.base),
          gas_left_(input.gas_max),
          watch_(input.is_time_up) {}

    [[nodiscard]] Simulated<std::vector<SimulatedBlock>> run();

private:
    /// A block in execution.
    struct Running {
        Running(const state::StateView& state, AppliedOverrides o, const Header& h,
                ExecutionContext c, bool trace_transfers)
            : over(std::move(o)),
              view(state, over.diff),
              header(h),
              context(std::move(c)),
              world(view, context.rules()),
              evm(world, with_tracer(trace_transfers)) {}
        Running(const Running&) = delete;
        Running& operator=(const Running&) = delete;

        const ExecutionContext& with_tracer(bool trace_transfers) {
            context.moved = &over.moved;
            if (trace_transfers) context.tracer = &transfers;
            return context;
        }

        AppliedOverrides over;
        state::OverlayView view;
        Header header;
        ExecutionContext context;
        TransferLogs transfers;
        World world;
        Evm evm;
        uint64_t blob_gas_used = 0;
        SimulatedBlock out;
    };

    [[nodiscard]] Header begin_header(const Planned& planned, const BlockOverrides& choice) const;
    [[nodiscard]] Simulated<Done> run_block(const Planned& planned);
    [[nodiscard]] Simulated<Done> run_call(Running& block, const CallArgs& call);
    [[nodiscard]] Simulated<Tx> fill_in(Running& block, const CallArgs& call);
    [[nodiscard]] Simulated<Done> check(Running& block, const Tx& tx, const Address& from) const;
    [[nodiscard]] Simulated<Done> finish(Running& block, const BlockOverrides& choice);
    [[nodiscard]] Simulated<state::StateUpdate> root_of(const state::StateDiff& diff) const;
    [[nodiscard]] Hash hash_of(uint64_t number) const;
    [[nodiscard]] Simulated<Done> check_time() {
        if (watch_.look()) return fail(Kind::too_slow);
        return Done{};
    }
    [[nodiscard]] bool is_free(const Tx& tx) const {
        return !request_.validation && tx.max_fee_per_gas.is_zero() &&
               tx.max_priority_fee_per_gas.is_zero();
    }
    [[nodiscard]] bool has_free_blobs(const Tx& tx) const {
        return !request_.validation && tx.max_fee_per_blob_gas.is_zero();
    }

    const SimulateInput& input_;
    const SimulateRequest& request_;
    state::NodeMap new_nodes_;  ///< of all blocks so far
    state::LayeredNodes layered_;
    state::StateDiff diff_;  ///< over the base state
    Header parent_;
    std::vector<Hash> hashes_;  ///< of the simulated blocks
    uint64_t gas_left_;
    std::optional<Address> fee_recipient_;  ///< chosen last
    std::vector<SimulatedBlock> done_;
    vm::Watch watch_;
};

Simulated<std::vector<SimulatedBlock>> Simulation::run() {
    const auto blocks = plan(request_, input_.base);
    if (!blocks) return unexpected(blocks.error());
    for (const auto& planned : *blocks) {
        const auto ok = run_block(planned);
        if (watch_.is_over()) return fail(Kind::too_slow);  // whatever it looks like
        if (!ok) return unexpected(ok.error());
    }
    return std::move(done_);
}

Hash Simulation::hash_of(uint64_t number) const {
    if (number <= input_.base.number) return input_.hashes ? input_.hashes(number) : Hash{};
    const uint64_t index = number - input_.base.number - 1;
    return index < hashes_.size() ? hashes_[index] : Hash{};
}

/// What an earlier simulated block chose for its fee recipient and gas limit stays.
Header Simulation::begin_header(const Planned& planned, const BlockOverrides& choice) const {
    const auto& rules = vm::rules_of(input_.config.revision_at(planned.number, planned.timestamp));
    Header header;
    header.number = planned.number;
    header.timestamp = planned.timestamp;
    header.parent_hash = hash_of(planned.number - 1);
    header.ommers_hash = kEmptyListHash;
    header.beneficiary = choice.fee_recipient.value_or(parent_.beneficiary);
    header.gas_limit = choice.gas_limit.value_or(parent_.gas_limit);
    header.prev_randao = choice.prev_randao.value_or(Hash{});
    if (!rules.prev_randao) header.difficulty = parent_.difficulty;
    if (rules.fee_market && choice.base_fee_per_gas)
        header.base_fee_per_gas = *choice.base_fee_per_gas;
    else if (rules.fee_market)
        header.base_fee_per_gas = request_.validation
                                      ? next_base_fee(parent_, header.timestamp, input_.config)
                                      : Uint256();
    if (rules.blob_tx)
        header.excess_blob_gas = next_excess_blob_gas(parent_, header.timestamp, input_.config);
    if (rules.beacon_root_contract)
        header.parent_beacon_block_root = choice.beacon_root.value_or(Hash{});
    return header;
}

Simulated<Done> Simulation::run_block(const Planned& planned) {
    static const BlockCalls kNothing;
    const BlockCalls& asked = planned.asked != nullptr ? *planned.asked : kNothing;
    const Header header = begin_header(planned, asked.block);
    ExecutionContext context{input_.config, env_of(header, input_.config),
                             [this](uint64_t number) { return hash_of(number); }};
    context.watch = &watch_;
    context.env.blob_base_fee = asked.block.blob_base_fee.value_or(context.env.blob_base_fee);
    if (asked.block.fee_recipient) fee_recipient_ = asked.block.fee_recipient;
    // Our chains pay Staking, unless somebody else was chosen.
    context.env.beneficiary = fee_recipient_.value_or(context.env.beneficiary);
    const state::OverlayView state(input_.base_state, diff_);
    auto over = apply_overrides(state, asked.accounts, context.rules());
    if (!over) {
        SimulateError error;
        error.kind = Kind::bad_override;
        error.override_error = over.error();
        return unexpected(std::move(error));
    }
    Running block(state, std::move(*over), header, std::move(context), request_.trace_transfers);
    if (const auto begun = begin_unsealed_block(block.evm, header, parent_); !begun) {
        SimulateError error;
        error.kind = Kind::block_failed;
        error.block_fault = begun.error();
        return unexpected(std::move(error));
    }
    if (auto ok = check_time(); !ok) return ok;
    for (const auto& call : asked.calls) {
        if (auto ok = check_time(); !ok) return ok;
        if (auto ok = run_call(block, call); !ok) return ok;
    }
    return finish(block, asked.block);
}

Simulated<Tx> Simulation::fill_in(Running& block, const CallArgs& call) {
    Tx tx = make_tx(call, block.context.rules().fee_market, input_.config.chain_id);
    tx.nonce = call.nonce.value_or(block.world.account(call.from.value_or(Address{})).nonce);
    const uint64_t limit = block.header.gas_limit, used = block.header.gas_used;
    tx.gas_limit = call.gas.value_or(limit - used);
    if (tx.gas_limit > limit - used) return fail(Kind::block_gas_reached, used, limit);
    tx.gas_limit = std::min(tx.gas_limit, gas_left_);
    return tx;
}

Simulated<Done> Simulation::check(Running& block, const Tx& tx, const Address& from) const {
    const AccountEntry& account = block.world.account(from);
    const auto refuse = [&](TxInvalid why, const Uint256& have = {}, const Uint256& want = {}) {
        SimulateError error;
        error.kind = Kind::call_refused;
        error.tx_error = why;
        error.have = have;
        error.want = want;
        error.sender = from;
        error.gas = tx.gas_limit;
        return unexpected(std::move(error));
    };
    if (request_.validation && tx.nonce < account.nonce)
        return refuse(TxInvalid::nonce_too_low, tx.nonce, account.nonce);
    if (request_.validation && tx.nonce > account.nonce)
        return refuse(TxInvalid::nonce_too_high, tx.nonce, account.nonce);
    if (request_.validation && tx.nonce == std::numeric_limits<uint64_t>::max())
        return refuse(TxInvalid::nonce_max, tx.nonce);
    const auto& rules = block.context.rules();
    if (const auto ok = check_tx_shape(tx, block.context.fork(), input_.config); !ok)
        return refuse(ok.error(), tx.max_priority_fee_per_gas, tx.max_fee_per_gas);
    const FeeEnv fees{is_free(tx) ? Uint256() : block.header.base_fee_per_gas.value_or(Uint256()),
                      has_free_blobs(tx) ? Uint256() : block.evm.tx_context().blob_base_fee};
    if (const auto ok = check_tx_fees(tx, rules, fees); !ok)
        return ok.error() == TxInvalid::blob_fee_cap_too_low
                   ? refuse(ok.error(), tx.max_fee_per_blob_gas, fees.blob_base_fee)
                   : refuse(ok.error(), tx.max_fee_per_gas, fees.base_fee);
    const auto cost = max_cost_wei(tx);
    if (!cost) return refuse(TxInvalid::fee_overflow);
    if (account.balance < *cost)
        return refuse(TxInvalid::insufficient_funds, account.balance, *cost);
    const auto due = intrinsic_gas(tx, rules);
    if (tx.gas_limit < due.intrinsic)
        return refuse(TxInvalid::intrinsic_gas_too_low, tx.gas_limit, due.intrinsic);
    if (tx.gas_limit < due.floor)
        return refuse(TxInvalid::floor_gas_too_low, tx.gas_limit, due.floor);
    return Done{};
}

Simulated<Done> Simulation::run_call(Running& block, const CallArgs& call) {
    const Address from = call.from.value_or(Address{});
    auto tx = fill_in(block, call);
    if (!tx) return unexpected(tx.error());
    if (auto ok = check(block, *tx, from); !ok) return ok;
    // Payment alone sees these; BASEFEE and BLOBBASEFEE read what the block has.
    auto& env = block.context.env;
    env.base_fee = is_free(*tx) ? Uint256() : block.header.base_fee_per_gas.value_or(Uint256());
    env.blob_base_fee = has_free_blobs(*tx) ? Uint256() : block.evm.tx_context().blob_base_fee;
    Tx run = *tx;
    run.nonce = block.world.account(from).nonce;  // whatever was asked for: nonces go up by one
    block.transfers.begin();
    TxOutcome done = run_transaction(block.evm, run, from);

    gas_left_ -= done.gas_used;
    block.header.gas_used += done.gas_used;
    block.blob_gas_used += tx->blob_hashes.size() * kBlobGas;
    SimulatedCall& shown = block.out.calls.emplace_back();
    shown.status = done.status;
    shown.output = std::move(done.output);
    if (done.created) {
        const auto code = block.world.code_of(block.world.account(*done.created))->bytes();
        shown.output.assign(code.begin(), code.end());
    }
    shown.gas_used = done.gas_used;
    shown.gas_peak = done.gas_peak;
    shown.logs = request_.trace_transfers ? block.transfers.take() : done.receipt.logs;
    done.receipt.cumulative_gas_used = block.header.gas_used;
    if (!block.context.rules().status_in_receipt) {
        const auto update = root_of(state::merge(block.over.diff, block.world.diff()));
        if (!update) return unexpected(update.error());
        done.receipt.post_state = update->root;
    }
    for (size_t i = 0; i < Bloom::size(); ++i) block.header.logs_bloom[i] |= done.receipt.bloom[i];
    block.out.receipts.push_back(std::move(done.receipt));
    block.out.senders.push_back(from);
    block.out.block.txs.push_back(std::move(*tx));
    return Done{};
}

Simulated<state::StateUpdate> Simulation::root_of(const state::StateDiff& diff) const {
    auto update = state::state_root(parent_.state_root, diff, layered_);
    if (!update) return fail(Kind::state_missing);
    return std::move(*update);
}

/// Withdrawals, rewards and requests, then the roots.
Simulated<Done> Simulation::finish(Running& block, const BlockOverrides& choice) {
    const auto& rules = block.context.rules();
    Header& header = block.header;
    const auto withdrawals = choice.withdrawals.value_or(std::vector<Withdrawal>{});
    if (!withdrawals.empty() && !(rules.withdrawals && input_.config.withdrawals))
        return fail(Kind::no_withdrawals);
    const auto rewards = block_rewards(header, {}, rules);
    if (!rewards.empty()) apply_rewards(block.world, rewards);
    if (rules.withdrawals) {
        apply_withdrawals(block.world, withdrawals);
        header.withdrawals_root = withdrawals_root(withdrawals);
        block.out.block.withdrawals = withdrawals;
    }
    if (rules.requests) {
        const auto hash = collect_requests(block.evm, block.out.receipts);
        if (!hash) {
            SimulateError error;
            error.kind = Kind::block_failed;
            error.block_fault = hash.error();
            return unexpected(std::move(error));
        }
        header.requests_hash = *hash;
    }
    const auto changed = state::merge(std::move(block.over.diff), block.world.diff());
    auto update = root_of(changed);
    if (!update) return unexpected(update.error());
    new_nodes_.merge(update->new_nodes);
    diff_ = state::merge(std::move(diff_), changed);
    header.state_root = update->root;
    header.transactions_root = transactions_root(block.out.block.txs);
    header.receipts_root = receipts_root(block.out.receipts);
    if (rules.blob_tx) header.blob_gas_used = block.blob_gas_used;
    block.out.block.header = header;
    hashes_.push_back(hash_header(header));
    parent_ = header;
    done_.push_back(std::move(block.out));
    return Done{};
}

}  // namespace

Result<std::vector<SimulatedBlock>, SimulateError> simulate_blocks(const SimulateInput& input,
                                                                   const SimulateRequest& request) {
    return Simulation(input, request).run();
}

}  // namespace trainyard::consensus
