// SPDX-License-Identifier: Apache-2.0
// The instructions that need more than the stack. `top` points at the top word; results replace
// operands in place.
#pragma once

#include "vm/machine.hpp"

namespace trainyard::vm {

Step do_exp(Machine& m, Uint256* top, int64_t gas);
Step do_keccak256(Machine& m, Uint256* top, int64_t gas);
Step do_balance(Machine& m, Uint256* top, int64_t gas);
Step do_calldataload(Machine& m, Uint256* top, int64_t gas);
Step do_calldatacopy(Machine& m, Uint256* top, int64_t gas);
Step do_codecopy(Machine& m, Uint256* top, int64_t gas);
Step do_extcodesize(Machine& m, Uint256* top, int64_t gas);
Step do_extcodecopy(Machine& m, Uint256* top, int64_t gas);
Step do_returndatacopy(Machine& m, Uint256* top, int64_t gas);
Step do_extcodehash(Machine& m, Uint256* top, int64_t gas);
Step do_blockhash(Machine& m, Uint256* top, int64_t gas);
Step do_blobhash(Machine& m, Uint256* top, int64_t gas);
Step do_sload(Machine& m, Uint256* top, int64_t gas);
Step do_sstore(Machine& m, Uint256* top, int64_t gas);
Step do_tload(Machine& m, Uint256* top, int64_t gas);
Step do_tstore(Machine& m, Uint256* top, int64_t gas);
Step do_mcopy(Machine& m, Uint256* top, int64_t gas);
Step do_log(Machine& m, Uint256* top, int64_t gas, int topic_count);
/// RETURN and REVERT: `ending` tells which.
Step do_return(Machine& m, Uint256* top, int64_t gas, Status ending);
Step do_selfdestruct(Machine& m, Uint256* top, int64_t gas);
Step do_create(Machine& m, Uint256* top, int64_t gas, CallKind kind);
/// CALL, CALLCODE, DELEGATECALL and STATICCALL.
Step do_call(Machine& m, Uint256* top, int64_t gas, uint8_t opcode);

/// Any of the above by its opcode but those that end the frame, and the words of the environment.
Step run_other(Machine& m, uint8_t opcode, Uint256* top, int64_t gas);

}  // namespace trainyard::vm
