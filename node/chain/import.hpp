// SPDX-License-Identifier: Apache-2.0
// Taking over a foreign chain, block by block, from its own encoding: any of Ethereum's forks, no
// certificates and no proof of work.
#pragma once

#include <memory>

#include "node/chain/chain.hpp"
#include "node/config/chain_spec.hpp"
#include "state/kv.hpp"
#include "state/world.hpp"

namespace trainyard::node::chain {

/// Not thread-safe. Blocks become final at once; what the store holds already is skipped, so that
/// an import that was cut off goes on where it ended.
class Importer {
public:
    /// Opens the store, or writes block 0 into an empty one. `kv` must outlive it.
    [[nodiscard]] static Result<std::unique_ptr<Importer>, ChainError> open(state::Kv& kv,
                                                                            config::ChainSpec spec);

    enum class Added : uint8_t { taken, known };
    /// Executes the next block and appends it.
    ///
    /// Errors: it does not decode, does not follow the head, is another block than the one in the
    /// store, or breaks a rule, which is named. The store then is as before.
    [[nodiscard]] Result<Added, ChainError> add(BytesView encoded);

    [[nodiscard]] state::Head head() const { return *world_->head(); }
    [[nodiscard]] uint64_t gas_used() const { return gas_used_; }
    [[nodiscard]] uint64_t txs() const { return txs_; }

private:
    Importer(std::unique_ptr<state::World> world, config::ChainSpec spec);
    [[nodiscard]] Result<consensus::BlockOutcome, consensus::BlockInvalid> apply(
        const Header& parent, const Block& block) const;
    void count_difficulty(const Header& header);

    std::unique_ptr<state::World> world_;
    config::ChainSpec spec_;
    Uint256 total_difficulty_;  ///< up to the head
    uint64_t gas_used_ = 0, txs_ = 0;
};

/// Gives the forks from Paris on their block, if the chain has come so far: the one after the first
/// whose total difficulty reaches the terminal one (EIP-3675). Reads every header of proof of work.
void find_merge(const state::World& world, consensus::ChainConfig& config);

}  // namespace trainyard::node::chain
