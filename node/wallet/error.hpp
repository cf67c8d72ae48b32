// SPDX-License-Identifier: Apache-2.0
// What can go wrong between a program and its keys, files and node, in words for people.
#pragma once

#include <string>

namespace trainyard::node::wallet {

enum class WalletErrorCode {
    malformed,    ///< not the format it should be
    unsupported,  ///< the right format, but a variant that we do not read
    wrong_password,
    io,           ///< a file cannot be read or written
    unreachable,  ///< the node does not answer
    timeout,
    rpc,       ///< the node answered with an error
    reverted,  ///< the contract refused
    not_found,
    too_large,
    too_late,  ///< the chain moved on without it
    too_dear,  ///< gas costs more than the operator allows
    closed,    ///< we are shutting down
};

struct WalletError {
    WalletErrorCode code = WalletErrorCode::malformed;
    std::string text;  ///< what, where, and what to do
};

}  // namespace trainyard::node::wallet
