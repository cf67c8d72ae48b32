// SPDX-License-Identifier: Apache-2.0
// Names of frame endings in the words that Ethereum tools expect, and the classes of storage
// writes.
#include "vm/host.hpp"

namespace trainyard::vm {

std::string_view to_text(Status status) {
    switch (status) {
        case Status::success:
            return "success";
        case Status::revert:
            return "execution reverted";
        case Status::out_of_gas:
            return "out of gas";
        case Status::stack_underflow:
            return "stack underflow";
        case Status::stack_overflow:
            return "stack limit reached 1024 (1024)";
        case Status::undefined_instruction:
            return "invalid opcode";
        case Status::invalid_instruction:
            return "invalid opcode: INVALID";
        case Status::bad_jump:
            return "invalid jump destination";
        case Status::static_violation:
            return "write protection";
        case Status::return_data_out_of_bounds:
            return "return data out of bounds";
        case Status::init_code_too_large:
            return "max initcode size exceeded";
        case Status::code_too_large:
            return "max code size exceeded";
        case Status::code_starts_with_ef:
            return "invalid code: must not begin with 0xef";
        case Status::code_out_of_gas:
            return "contract creation code storage out of gas";
        case Status::address_collision:
            return "contract address collision";
        case Status::nonce_overflow:
            return "nonce uint64 overflow";
        case Status::call_too_deep:
            return "max call depth exceeded";
        case Status::insufficient_balance:
            return "insufficient balance for transfer";
        case Status::precompile_failure:
            return "precompiled contract failed";
        case Status::out_of_time:
            return "out of time";
    }
    return "unknown";
}

StorageStatus storage_status(const Uint256& original, const Uint256& current,
                             const Uint256& value) {
    using enum StorageStatus;
    if (current == value) return assigned;
    if (original == current) {
        if (original.is_zero()) return added;
        return value.is_zero() ? deleted : modified;
    }
    if (original.is_zero()) return value.is_zero() ? added_deleted : assigned;
    if (current.is_zero()) return value == original ? deleted_restored : deleted_added;
    if (value.is_zero()) return modified_deleted;
    return value == original ? modified_restored : assigned;
}

}  // namespace trainyard::vm
