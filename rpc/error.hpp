// SPDX-License-Identifier: Apache-2.0
// The errors of JSON-RPC: codes and words that clients parse (docs/spec/rpc.md, section 3).
#pragma once

#include <optional>
#include <string>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "rpc/backend.hpp"

namespace trainyard::rpc {

inline constexpr int kParseError = -32700;
inline constexpr int kInvalidRequest = -32600;
inline constexpr int kMethodNotFound = -32601;
inline constexpr int kInvalidParams = -32602;
inline constexpr int kServerError = -32000;
inline constexpr int kTimedOut = -32002;
inline constexpr int kResponseTooLarge = -32003;
inline constexpr int kLimitExceeded = -32005;  ///< graph-node halves its range on this code alone
inline constexpr int kPrunedHistory = 4444;    ///< as geth has it since it drops old blocks
inline constexpr int kReverted = 3;
inline constexpr int kSyncTimeout = 4;  ///< EIP-7966

struct Error {
    int code = kServerError;
    std::string message;
    std::string data = {};  ///< JSON text; empty: no member `data`
};

[[nodiscard]] Error invalid_params(std::string message);
[[nodiscard]] Error server_error(std::string message);
[[nodiscard]] Error pruned_history();
/// What Solidity says about a revert: the text of Error(string), or of the code of Panic(uint256).
[[nodiscard]] std::optional<std::string> revert_reason(BytesView data);
/// "execution reverted: <reason>" with the data, as geth words Error(string) and Panic(uint256).
[[nodiscard]] Error reverted(BytesView data);
[[nodiscard]] Error to_error(const CallError& error);
[[nodiscard]] Error to_error(StateError error);
[[nodiscard]] Error to_error(BlobError error);

}  // namespace trainyard::rpc
