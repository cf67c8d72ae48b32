// SPDX-License-Identifier: Apache-2.0
// What a trace of one transaction shows, and what may be asked of it: the words of debug_trace*.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/block.hpp"
#include "core/bytes.hpp"
#include "core/uint256.hpp"

namespace trainyard {

/// One instruction, just before it ran.
struct TraceStep {
    uint64_t pc = 0;
    uint8_t opcode = 0;
    std::string_view name;  ///< of the instruction; empty where it is not defined
    uint64_t gas = 0, gas_cost = 0;
    int depth = 1;
    uint64_t refund = 0;
    std::string_view error;  ///< why it failed
    std::vector<Uint256> stack;
    Bytes memory, return_data;
    std::map<Uint256, Uint256> storage;  ///< slots of the account that were read or written so far
};
struct StepTrace {
    uint64_t gas_used = 0;
    bool failed = false;
    Bytes output;
    std::vector<TraceStep> steps;
};

/// A call, a creation or a self-destruction, with all that happened inside it.
struct CallFrame {
    struct FrameLog {
        Log log;
        uint64_t index = 0;     ///< in the transaction
        uint64_t position = 0;  ///< how many inner calls came before
    };
    std::string_view type;
    Address from;
    std::optional<Address> to;     ///< none: a creation that failed
    std::optional<Uint256> value;  ///< none: a static call
    uint64_t gas = 0, gas_used = 0;
    Bytes input, output;
    std::string_view error;  ///< empty: it succeeded
    bool reverted = false;   ///< `output` may say why
    std::vector<FrameLog> logs;
    std::vector<CallFrame> calls;
};

/// What is absent did not change, or was not asked for.
struct AccountState {
    std::optional<Uint256> balance;
    std::optional<uint64_t> nonce;
    std::optional<Bytes> code;
    std::map<Uint256, Uint256> storage;
};
/// The accounts that a transaction touched, before it; with `post`, only those that it changed.
struct StateTrace {
    std::map<Address, AccountState> pre;
    std::optional<std::map<Address, AccountState>> post;
};

using Trace = std::variant<StepTrace, CallFrame, StateTrace>;

struct TraceOptions {
    enum class Kind : uint8_t { steps, calls, state };
    Kind kind = Kind::steps;
    // of steps
    bool stack = true, storage = true, memory = false, return_data = false;
    uint64_t steps_max = 0;  ///< later ones are left out; 0: none are
    // of calls
    bool only_top_call = false, with_log = false;
    // of state
    bool diff_mode = false, no_code = false, no_storage = false, empty_accounts = false;

    std::optional<uint64_t> timeout_ms;  ///< the node has a limit of its own
};

}  // namespace trainyard
