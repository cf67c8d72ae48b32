// SPDX-License-Identifier: Apache-2.0
// Whole blocks of calls on top of a real one, with the hashes and roots they would have:
// eth_simulateV1.
#pragma once

#include <functional>
#include <vector>

#include "consensus/rules/block.hpp"
#include "consensus/rules/tx.hpp"
#include "consensus/transition/context.hpp"
#include "consensus/transition/overrides.hpp"
#include "core/block.hpp"
#include "core/call.hpp"
#include "core/result.hpp"
#include "state/trie.hpp"
#include "state/view.hpp"

namespace trainyard::consensus {

/// Blocks from the base to the last simulated one, those in gaps counted too.
inline constexpr uint64_t kSimulatedBlocksMax = 256;
/// Between a block whose time nobody chose and the one before it.
inline constexpr uint64_t kSimulatedBlockSeconds = 12;
/// The sender of logs that show coins moving.
inline constexpr Address kTransferLogAddress =
    address::from_words(0xeeeeeeee, 0xeeeeeeeeeeeeeeee, 0xeeeeeeeeeeeeeeee);

/// References must outlive the call.
struct SimulateInput {
    const state::StateView& base_state;
    const state::NodeSource& nodes;  ///< of the trie of `base_state`
    const Header& base;
    BlockHashes hashes;  ///< of the base and of blocks below it
    const ChainConfig& config;
    uint64_t gas_max = 0;  ///< of all calls together
    std::function<bool()> is_time_up;
};

struct SimulatedCall {
    vm::Status status = vm::Status::success;
    Bytes output;  ///< return data, or the data of the revert
    uint64_t gas_used = 0;
    uint64_t gas_peak = 0;  ///< before refunds
    std::vector<Log> logs;  ///< with those of transfers, if they are asked for
};

/// The four lists run in parallel.
struct SimulatedBlock {
    Block block;
    std::vector<Receipt> receipts;
    std::vector<Address> senders;
    std::vector<SimulatedCall> calls;
};

struct SimulateError {
    enum class Kind : uint8_t {
        too_many_blocks,
        number_order,       ///< `have` is not above `want`
        timestamp_order,    ///< `have` is not above `want`
        no_withdrawals,     ///< this chain has none
        bad_override,       ///< `override_error`
        block_gas_reached,  ///< the block has used `have` of `want`
        call_refused,       ///< `tx_error`, with what the caller has and should have
        block_failed,       ///< `block_fault`, a system call
        state_missing,
        too_slow,
    };
    Kind kind = Kind::too_many_blocks;
    Uint256 have, want;
    OverrideError override_error{};
    TxInvalid tx_error{};
    Address sender{};  ///< of the call
    uint64_t gas = 0;  ///< its limit
    BlockFault block_fault{};
};

/// Executes `request` block by block. Without validation, nonces are not looked at, the base fee is
/// zero unless chosen, and a call that offers no fee pays none. No signature is needed, and no
/// sender is refused for having code. Source: execution-apis, eth_simulateV1.
[[nodiscard]] Result<std::vector<SimulatedBlock>, SimulateError> simulate_blocks(
    const SimulateInput& input, const SimulateRequest& request);

}  // namespace trainyard::consensus
