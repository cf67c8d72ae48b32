// SPDX-License-Identifier: Apache-2.0
// The words in which the backend says what it was told by the rules.
#pragma once

#include <string>

#include "consensus/transition/overrides.hpp"

namespace trainyard::node::backend {

[[nodiscard]] inline std::string to_text(const consensus::OverrideError& error) {
    using Kind = consensus::OverrideError::Kind;
    const std::string account = "account " + to_hex0x(error.account.bytes);
    switch (error.kind) {
        case Kind::not_a_precompile:
            return account + " is not a precompile";
        case Kind::moves_to_itself:
            return account + " is to be moved to itself";
        case Kind::target_overridden:
            return account + " is already overridden";
    }
    return account;
}

}  // namespace trainyard::node::backend
