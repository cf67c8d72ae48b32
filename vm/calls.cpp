// SPDX-License-Identifier: Apache-2.0
// Calls, creations and SELFDESTRUCT: how gas is passed on and what of it comes back.
#include <algorithm>
#include <limits>

#include "vm/arithmetic.hpp"
#include "vm/instructions.hpp"
#include "vm/opcodes.hpp"

namespace trainyard::vm {
namespace {

/// The operands of a call, whichever opcode it is.
struct CallOperands {
    Uint256 gas;
    Address target;
    Uint256 value;
    Uint256 input_offset, input_size, output_offset, output_size;
    bool has_value = false;  ///< transfers or pretends to transfer something
};

CallOperands read_operands(const Uint256* top, uint8_t opcode) {
    const bool takes_value = opcode == op::call || opcode == op::callcode;
    const int shift = takes_value ? 0 : 1;
    CallOperands c;
    c.gas = top[0];
    c.target = word_address(top[-1]);
    if (takes_value) c.value = top[-2];
    c.input_offset = top[-3 + shift];
    c.input_size = top[-4 + shift];
    c.output_offset = top[-5 + shift];
    c.output_size = top[-6 + shift];
    c.has_value = !c.value.is_zero();
    return c;
}

int64_t pay_memory(Machine& m, const CallOperands& c, int64_t gas) {
    gas = touch_memory(m, c.input_offset, c.input_size, gas);
    return gas < 0 ? gas : touch_memory(m, c.output_offset, c.output_size, gas);
}

/// EIP-2929, EIP-7702, EIP-150 and EIP-161: accesses, value and new account.
int64_t pay_extras(Machine& m, const CallOperands& c, uint8_t opcode, int64_t gas,
                   std::optional<Address>& delegate) {
    const bool metered = m.rules.access_is_warm_or_cold;
    if (metered && m.host.access_account(c.target) == Access::cold)
        gas -= kColdAccountGas - kWarmAccessGas;
    if (m.rules.set_code_tx && gas >= 0) delegate = m.host.delegate_of(c.target);
    if (delegate)
        gas -= m.host.access_account(*delegate) == Access::cold ? kColdAccountGas : kWarmAccessGas;
    if (c.has_value) gas -= kCallValueGas;
    const bool may_create = opcode == op::call && (c.has_value || !m.rules.empty_accounts_vanish);
    if (may_create && gas >= 0 && !m.host.account_exists(c.target)) gas -= kNewAccountGas;
    return gas;
}

/// How much of `gas` goes to the callee; negative if it asks for more than there is (before
/// EIP-150).
int64_t gas_for_call(const Rules& rules, const Uint256& wanted, int64_t gas) {
    const int64_t available = rules.call_keeps_64th ? gas - gas / 64 : gas;
    if (wanted.fits_u64() && wanted.low() <= static_cast<uint64_t>(available))
        return static_cast<int64_t>(wanted.low());
    return rules.call_keeps_64th ? available : kNoGas;
}

Message make_message(const Machine& m, const CallOperands& c, uint8_t opcode,
                     const std::optional<Address>& delegate) {
    Message out;
    out.kind = opcode == op::delegatecall ? CallKind::delegate_call
               : opcode == op::callcode   ? CallKind::call_code
                                          : CallKind::call;
    out.is_static = m.message.is_static || opcode == op::staticcall;
    out.depth = m.message.depth + 1;
    const bool keeps_account = opcode == op::delegatecall || opcode == op::callcode;
    out.recipient = keeps_account ? m.message.recipient : c.target;
    out.sender = opcode == op::delegatecall ? m.message.sender : m.message.recipient;
    out.value = opcode == op::delegatecall ? m.message.value : c.value;
    out.code_address = delegate.value_or(c.target);
    out.is_delegated = delegate.has_value();
    if (!c.input_size.is_zero())
        out.input = {m.memory.data() + c.input_offset.low(), c.input_size.low()};
    return out;
}

/// The parts of `used` that the caller gets back are in the result already.
int64_t settle(Machine& m, CallResult& result, int64_t gas, int64_t given) {
    m.refund += result.gas_refund;
    m.return_data = std::move(result.output);
    return gas - (given - result.gas_left);
}

}  // namespace

Step do_call(Machine& m, Uint256* top, int64_t gas, uint8_t opcode) {
    const CallOperands c = read_operands(top, opcode);
    Uint256& success = top[opcode == op::call || opcode == op::callcode ? -6 : -5];
    if (opcode == op::call && c.has_value && m.message.is_static)
        return {gas, Status::static_violation};
    gas = pay_memory(m, c, gas);
    if (gas < 0) return {gas};
    std::optional<Address> delegate;
    gas = pay_extras(m, c, opcode, gas, delegate);
    if (gas < 0) return {gas};
    int64_t given = gas_for_call(m.rules, c.gas, gas);
    if (given < 0) return {kNoGas};

    success = 0;
    m.return_data.clear();
    if (c.has_value) {
        given += kCallStipend;
        gas += kCallStipend;
    }
    if (m.message.depth >= kDepthMax) return {gas};
    if (c.has_value && m.host.balance(m.message.recipient) < c.value) return {gas};

    Message message = make_message(m, c, opcode, delegate);
    message.gas = given;
    CallResult result = m.host.call(message);
    const uint64_t copied = std::min<uint64_t>(
        c.output_size.fits_u64() ? c.output_size.low() : std::numeric_limits<uint64_t>::max(),
        result.output.size());
    if (copied > 0)
        std::memcpy(m.memory.data() + c.output_offset.low(), result.output.data(), copied);
    if (result.status == Status::success) success = 1;
    return {settle(m, result, gas, given)};
}

Step do_create(Machine& m, Uint256* top, int64_t gas, CallKind kind) {
    if (m.message.is_static) return {gas, Status::static_violation};
    const bool salted = kind == CallKind::create2;
    const Uint256 value = top[0], offset = top[-1], size = top[-2];
    Uint256& created = top[salted ? -3 : -2];
    gas = touch_memory(m, offset, size, gas);
    if (gas < 0) return {gas};
    if (m.rules.init_code_is_metered && size.low() > kInitCodeSizeMax)
        return {gas, Status::init_code_too_large};
    gas -= words_of(size.low()) *
           ((m.rules.init_code_is_metered ? kInitCodeWordGas : 0) + (salted ? kHashWordGas : 0));
    if (gas < 0) return {gas};

    Message message;
    message.kind = kind;
    message.depth = m.message.depth + 1;
    message.sender = m.message.recipient;
    message.value = value;
    if (salted) message.salt = word_hash(top[-3]);
    if (!size.is_zero()) message.input = {m.memory.data() + offset.low(), size.low()};
    message.gas = m.rules.call_keeps_64th ? gas - gas / 64 : gas;

    created = 0;
    m.return_data.clear();
    if (m.message.depth >= kDepthMax) return {gas};
    if (!value.is_zero() && m.host.balance(m.message.recipient) < value) return {gas};

    CallResult result = m.host.call(message);
    if (result.status == Status::success) {
        created = address_word(result.created);
        result.output.clear();  // EIP-211: nothing but revert data comes back
    }
    return {settle(m, result, gas, message.gas)};
}

Step do_selfdestruct(Machine& m, Uint256* top, int64_t gas) {
    if (m.message.is_static) return {gas, Status::static_violation};
    const Address beneficiary = word_address(top[0]);
    if (m.rules.access_is_warm_or_cold && m.host.access_account(beneficiary) == Access::cold)
        gas -= kColdAccountGas;
    if (gas < 0) return {gas};
    if (m.rules.call_keeps_64th) {
        // EIP-161 asks for the price only where something is really moved.
        const bool moves =
            !m.rules.empty_accounts_vanish || !m.host.balance(m.message.recipient).is_zero();
        if (moves && !m.host.account_exists(beneficiary)) gas -= kNewAccountGas;
        if (gas < 0) return {gas};
    }
    if (m.host.selfdestruct(m.message.recipient, beneficiary) && !m.rules.small_refunds)
        m.refund += kSelfdestructRefund;
    return {gas};
}

}  // namespace trainyard::vm
