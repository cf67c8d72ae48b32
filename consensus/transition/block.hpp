// SPDX-License-Identifier: Apache-2.0
// Whole blocks: applying one that came, and building one.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "consensus/rules/block.hpp"
#include "consensus/transition/context.hpp"
#include "consensus/transition/transaction.hpp"
#include "core/block.hpp"
#include "core/result.hpp"
#include "state/view.hpp"

namespace trainyard::consensus {

struct BlockOutcome {
    state::StateDiff diff;
    std::vector<Receipt> receipts;  ///< with cumulative gas
    std::vector<Address> senders;   ///< of the transactions, in order
    uint64_t gas_used = 0;
    uint64_t blob_gas_used = 0;
    Bloom bloom;
    Hash receipts_root;
    std::optional<Hash> requests_hash;  ///< from Prague on
};

/// Checks `block` against `parent` and executes it on `parent_state`.
///
/// Everything is checked except the state root, which needs the trie: the caller compares it with
/// state::state_root of the diff (BlockFault::bad_state_root). The seal of proof of work is not
/// checked. Precondition: the lineage gives ancestors before the Merge, and roots before Byzantium.
/// Cost: recovers all senders.
[[nodiscard]] Result<BlockOutcome, BlockInvalid> apply_block(const state::StateView& parent_state,
                                                             const Header& parent,
                                                             const Block& block,
                                                             const Lineage& lineage,
                                                             const ChainConfig& config);

/// A transaction that may go into a block.
struct Candidate {
    Tx tx;
    Address sender;
};

/// What the proposer chooses in a header.
struct HeaderChoice {
    Address beneficiary;
    uint64_t timestamp = 0;  ///< seconds; raised to the least that the parent allows
    Hash prev_randao;
    Bytes extra_data;
};

/// A header on top of `parent` with all that its parent and the choice decide; roots are still
/// empty.
[[nodiscard]] Header make_header(const Header& parent, const HeaderChoice& choice,
                                 const ChainConfig& config);

struct BuildInput {
    const Header& parent;
    Header header;  ///< from make_header
    BlockHashes hashes;
    const ChainConfig& config;
    std::function<std::optional<Candidate>()> next;  ///< best first; nullopt: no more
    std::function<bool()> is_time_up;                ///< asked before each candidate; may be empty
    vm::CodeCache* codes = nullptr;                  ///< may be null
    uint64_t txs_size_max = UINT64_MAX;              ///< bytes of the list of transactions
};

struct Skipped {
    Hash tx_hash;
    TxInvalid why;
};

struct BuiltBlock {
    Block block;  ///< complete but for the state root
    BlockOutcome outcome;
    std::vector<Skipped> skipped;
};

/// Fills a block with candidates until they, the gas or the time are used up. A candidate that
/// breaks a rule is skipped. Errors: system_call_failed, bad_seal.
[[nodiscard]] Result<BuiltBlock, BlockInvalid> build_block(const state::StateView& parent_state,
                                                           const BuildInput& input);

/// True if `number` is the first block of a mini-epoch, in which the Beacon contract is told R_end
/// of the one before. Mini-epoch e covers blocks e L + 1 to (e + 1) L.
[[nodiscard]] bool tells_beacon(uint64_t number, const ChainConfig& config);

}  // namespace trainyard::consensus
