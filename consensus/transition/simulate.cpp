// SPDX-License-Identifier: Apache-2.0
// Calls on a throw-away world, and the search for the least gas.
#include "consensus/transition/simulate.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include "consensus/transition/evm.hpp"
#include "consensus/transition/own_precompiles.hpp"
#include "consensus/transition/transaction.hpp"
#include "consensus/transition/world.hpp"
#include "vm/arithmetic.hpp"
#include "vm/opcodes.hpp"
#include "vm/precompiles.hpp"

namespace trainyard::consensus {
namespace {

constexpr uint64_t kPlainTransferGas = 21000;

Tx make_tx(const CallRequest& request, uint64_t nonce, uint64_t gas_limit) {
    Tx tx;
    tx.type = !request.authorizations.empty() ? TxType::set_code
              : !request.access_list.empty()  ? TxType::access_list
                                              : TxType::dynamic_fee;
    tx.nonce = nonce;
    tx.max_priority_fee_per_gas = request.max_priority_fee_per_gas;
    tx.max_fee_per_gas = request.max_fee_per_gas;
    tx.gas_limit = gas_limit;
    tx.to = request.to;
    tx.value = request.value;
    tx.data = request.data;
    tx.access_list = request.access_list;
    tx.authorizations = request.authorizations;
    return tx;
}

Result<Done, TxInvalid> check_call(const Tx& tx, const ExecutionContext& context,
                                   const Uint256& balance) {
    const auto& rules = context.rules();
    if (tx.max_fee_per_gas < tx.max_priority_fee_per_gas)
        return unexpected(TxInvalid::tip_above_fee_cap);
    if (auto ok = check_tx_fees(tx, rules, {context.env.base_fee, {}}); !ok) return ok;
    const auto cost = max_cost_wei(tx);
    if (!cost || balance < *cost) return unexpected(TxInvalid::insufficient_funds);
    if (!tx.to && rules.init_code_is_metered && tx.data.size() > vm::kInitCodeSizeMax)
        return unexpected(TxInvalid::init_code_too_large);
    const auto due = intrinsic_gas(tx, rules);
    if (tx.gas_limit < due.intrinsic) return unexpected(TxInvalid::intrinsic_gas_too_low);
    if (tx.gas_limit < due.floor) return unexpected(TxInvalid::floor_gas_too_low);
    return Done{};
}

bool lacks_gas(TxInvalid error) {
    return error == TxInvalid::intrinsic_gas_too_low || error == TxInvalid::floor_gas_too_low;
}

/// The search of eth_estimateGas. `lowest` fails, `highest` succeeds.
class Estimate {
public:
    Estimate(const state::StateView& view, const ExecutionContext& context,
             const CallRequest& request)
        : view_(view), context_(context), request_(request) {}

    [[nodiscard]] Result<uint64_t, EstimateError> run();

private:
    [[nodiscard]] Result<CallOutcome, TxInvalid> at(uint64_t gas) {
        request_.gas = gas;
        return simulate_call(view_, context_, request_);
    }
    [[nodiscard]] bool succeeds(uint64_t gas) {
        const auto outcome = at(gas);
        return outcome && outcome->status == vm::Status::success;
    }
    [[nodiscard]] uint64_t most() const;
    [[nodiscard]] bool is_plain_transfer() const;
    [[nodiscard]] EstimateError explain(const CallOutcome& outcome, uint64_t gas) const;

    const state::StateView& view_;
    const ExecutionContext& context_;
    CallRequest request_;
};

uint64_t Estimate::most() const {
    uint64_t gas = context_.env.gas_limit;
    if (request_.gas && *request_.gas >= kPlainTransferGas) gas = std::min(gas, *request_.gas);
    if (context_.rules().tx_gas_is_capped) gas = std::min(gas, kTxGasMax);
    if (request_.max_fee_per_gas.is_zero()) return gas;
    const auto account = view_.account(request_.from);
    const Uint256 balance = account ? account->balance : Uint256();
    const Uint256 funds = balance < request_.value ? Uint256() : balance - request_.value;
    const Uint256 affordable = funds / request_.max_fee_per_gas;
    return affordable < Uint256(gas) ? affordable.low() : gas;
}

bool Estimate::is_plain_transfer() const {
    if (!request_.data.empty() || !request_.to || !request_.authorizations.empty()) return false;
    if (!request_.access_list.empty()) return false;
    const auto account = view_.account(*request_.to);
    return (!account || account->code_hash == kEmptyCodeHash) &&
           !vm::is_precompile(*request_.to, context_.rules().revision) &&
           !is_own_precompile(*request_.to, context_.config);
}

EstimateError Estimate::explain(const CallOutcome& outcome, uint64_t gas) const {
    EstimateError error;
    error.status = outcome.status;
    error.output = outcome.output;
    error.allowance = gas;
    error.kind = outcome.status == vm::Status::revert ? EstimateError::Kind::reverted
                 : outcome.status == vm::Status::out_of_gas
                     ? EstimateError::Kind::gas_exceeds_allowance
                     : EstimateError::Kind::failed;
    return error;
}

Result<uint64_t, EstimateError> Estimate::run() {
    uint64_t highest = most();
    if (is_plain_transfer() && highest >= kPlainTransferGas && succeeds(kPlainTransferGas))
        return kPlainTransferGas;
    const auto first = at(highest);
    if (!first) {
        EstimateError error;
        error.tx_error = first.error();
        error.allowance = highest;
        if (lacks_gas(first.error())) error.kind = EstimateError::Kind::gas_exceeds_allowance;
        return unexpected(std::move(error));
    }
    if (first->status != vm::Status::success) return unexpected(explain(*first, highest));
    uint64_t lowest = first->gas_used - 1;
    const uint64_t likely = (first->gas_peak + static_cast<uint64_t>(vm::kCallStipend)) * 64 / 63;
    if (likely < highest) (succeeds(likely) ? highest : lowest) = likely;
    while (lowest + 1 < highest) {
        if ((highest - lowest) * 1000 < highest * 15) break;
        const uint64_t middle = std::min(lowest + (highest - lowest) / 2, 2 * lowest);
        (succeeds(middle) ? highest : lowest) = middle;
    }
    return highest;
}

/// Writes down every account and slot that an instruction names.
class AccessRecorder final : public vm::Tracer {
public:
    void on_enter(const vm::Message&) override {}
    void on_exit(const vm::CallResult&) override {}
    void on_fault(vm::Status) override {}
    void on_step(const vm::StepView& step) override {
        namespace op = vm::op;
        const auto size = step.stack.size();
        switch (step.opcode) {
            case op::sload:
            case op::sstore:
                if (size >= 1) add(step.message.recipient, &step.stack[size - 1]);
                break;
            case op::extcodecopy:
            case op::extcodehash:
            case op::extcodesize:
            case op::balance:
            case op::selfdestruct:
                if (size >= 1) add(vm::word_address(step.stack[size - 1]), nullptr);
                break;
            case op::call:
            case op::callcode:
            case op::delegatecall:
            case op::staticcall:
                if (size >= 5) add(vm::word_address(step.stack[size - 2]), nullptr);
                break;
            default:
                break;
        }
    }
    [[nodiscard]] std::vector<AccessTuple> list(const std::set<Address>& left_out) const {
        std::vector<AccessTuple> out;
        for (const auto& [address, slots] : found_) {
            if (slots.empty() && left_out.contains(address)) continue;
            AccessTuple tuple{address, {}};
            for (const auto& slot : slots) tuple.storage_keys.push_back(to_hash(slot));
            out.push_back(std::move(tuple));
        }
        return out;
    }

private:
    void add(const Address& address, const Uint256* slot) {
        auto& slots = found_[address];
        if (slot != nullptr) slots.insert(*slot);
    }
    std::map<Address, std::set<Uint256>> found_;
};

}  // namespace

ExecutionContext context_for(const ExecutionContext& context, const CallRequest& request) {
    ExecutionContext out = context;
    if (request.max_fee_per_gas.is_zero() && request.max_priority_fee_per_gas.is_zero())
        out.env.base_fee = 0;
    return out;
}

Result<RanCall, TxInvalid> run_call(Evm& evm, const CallRequest& request) {
    const auto& context = evm.context();
    const AccountEntry& from = evm.world().account(request.from);
    const uint64_t gas = std::min(request.gas.value_or(context.env.gas_limit),
                                  static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
    RanCall ran{make_tx(request, from.nonce, gas), {}};
    if (auto ok = check_call(ran.tx, context, from.balance); !ok) return unexpected(ok.error());
    ran.done = run_transaction(evm, ran.tx, request.from);
    return ran;
}

Result<CallOutcome, TxInvalid> simulate_call(const state::StateView& view,
                                             const ExecutionContext& context,
                                             const CallRequest& request) {
    const ExecutionContext inner = context_for(context, request);
    World world(view, inner.rules(), inner.codes);
    Evm evm(world, inner);
    auto ran = run_call(evm, request);
    if (!ran) return unexpected(ran.error());
    TxOutcome& done = ran->done;
    CallOutcome out;
    out.status = done.status;
    out.output = std::move(done.output);
    out.gas_used = done.gas_used;
    out.gas_peak = done.gas_peak;
    out.logs = std::move(done.receipt.logs);
    out.created = done.created;
    if (out.created) {
        const auto code = world.code_of(world.account(*out.created))->bytes();
        out.output.assign(code.begin(), code.end());
    }
    return out;
}

Result<uint64_t, EstimateError> estimate_gas(const state::StateView& view,
                                             const ExecutionContext& context,
                                             const CallRequest& request) {
    return Estimate(view, context, request).run();
}

Result<AccessListResult, TxInvalid> create_access_list(const state::StateView& view,
                                                       const ExecutionContext& context,
                                                       const CallRequest& request) {
    constexpr int kRoundsMax = 16;  // warm slots change gas, gas may change the path
    std::set<Address> left_out(vm::precompiles_of(context.rules().revision).begin(),
                               vm::precompiles_of(context.rules().revision).end());
    for (const auto& own : own_precompiles(context.config)) left_out.insert(own);
    left_out.insert(request.from);
    left_out.insert(context.env.beneficiary);
    const auto account = view.account(request.from);
    left_out.insert(request.to ? *request.to
                               : create_address(request.from, account ? account->nonce : 0));
    AccessListResult result;
    result.access_list = request.access_list;
    for (int i = 0; i < kRoundsMax; ++i) {
        AccessRecorder recorder;
        ExecutionContext traced = context;
        traced.tracer = &recorder;
        CallRequest with_list = request;
        with_list.access_list = result.access_list;
        auto outcome = simulate_call(view, traced, with_list);
        if (!outcome) return unexpected(outcome.error());
        result.outcome = std::move(*outcome);
        auto found = recorder.list(left_out);
        if (found == result.access_list) break;
        result.access_list = std::move(found);
    }
    return result;
}

Result<state::StateDiff, ConstructorFault> run_constructor(const state::StateView& view,
                                                           const ExecutionContext& context,
                                                           const Address& address,
                                                           BytesView init_code) {
    constexpr int64_t kPlentyOfGas = int64_t{1} << 40;
    World world(view, context.rules(), context.codes);
    Evm evm(world, context);
    evm.begin(kSystemAddress, 0);
    vm::Message message;
    message.kind = vm::CallKind::create;
    message.gas = kPlentyOfGas;
    message.sender = kSystemAddress;
    message.input = init_code;
    const auto result = evm.create_at(message, address);
    if (result.status != vm::Status::success)
        return unexpected(ConstructorFault{result.status, result.output});
    world.end_transaction();
    return world.diff();
}

}  // namespace trainyard::consensus
