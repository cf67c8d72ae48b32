// SPDX-License-Identifier: Apache-2.0
// The instructions that neither loop runs itself, by opcode.
#include "core/assert.hpp"
#include "vm/arithmetic.hpp"
#include "vm/instructions.hpp"
#include "vm/opcodes.hpp"

namespace trainyard::vm {
namespace {

/// The words that depend on nothing but the message and the transaction.
Uint256 environment(Machine& m, uint8_t opcode) {
    const TxContext& tx = m.tx;
    switch (opcode) {
        case op::address:
            return address_word(m.message.recipient);
        case op::origin:
            return address_word(tx.origin);
        case op::caller:
            return address_word(m.message.sender);
        case op::callvalue:
            return m.message.value;
        case op::calldatasize:
            return m.message.input.size();
        case op::codesize:
            return m.code.size();
        case op::gasprice:
            return tx.gas_price;
        case op::returndatasize:
            return m.return_data.size();
        case op::coinbase:
            return address_word(tx.coinbase);
        case op::timestamp:
            return tx.timestamp;
        case op::number:
            return tx.number;
        case op::prevrandao:
            return tx.prev_randao;
        case op::gaslimit:
            return tx.gas_limit;
        case op::chainid:
            return tx.chain_id;
        case op::selfbalance:
            return m.host.balance(m.message.recipient);
        case op::basefee:
            return tx.base_fee;
        case op::blobbasefee:
            return tx.blob_base_fee;
    }
    ASSERT(false);
    return {};
}

}  // namespace

Step run_other(Machine& m, uint8_t opcode, Uint256* top, int64_t gas) {
    switch (opcode) {
        case op::exp:
            return do_exp(m, top, gas);
        case op::keccak256:
            return do_keccak256(m, top, gas);
        case op::balance:
            return do_balance(m, top, gas);
        case op::calldataload:
            return do_calldataload(m, top, gas);
        case op::calldatacopy:
            return do_calldatacopy(m, top, gas);
        case op::codecopy:
            return do_codecopy(m, top, gas);
        case op::extcodesize:
            return do_extcodesize(m, top, gas);
        case op::extcodecopy:
            return do_extcodecopy(m, top, gas);
        case op::returndatacopy:
            return do_returndatacopy(m, top, gas);
        case op::extcodehash:
            return do_extcodehash(m, top, gas);
        case op::blockhash:
            return do_blockhash(m, top, gas);
        case op::blobhash:
            return do_blobhash(m, top, gas);
        case op::sload:
            return do_sload(m, top, gas);
        case op::sstore:
            return do_sstore(m, top, gas);
        case op::tload:
            return do_tload(m, top, gas);
        case op::tstore:
            return do_tstore(m, top, gas);
        case op::mcopy:
            return do_mcopy(m, top, gas);
        case op::log0:
        case op::log1:
        case op::log2:
        case op::log3:
        case op::log4:
            return do_log(m, top, gas, opcode - op::log0);
        case op::create:
            return do_create(m, top, gas, CallKind::create);
        case op::create2:
            return do_create(m, top, gas, CallKind::create2);
        case op::call:
        case op::callcode:
        case op::delegatecall:
        case op::staticcall:
            return do_call(m, top, gas, opcode);
        default:
            top[1] = environment(m, opcode);
            return {gas};
    }
}

}  // namespace trainyard::vm
