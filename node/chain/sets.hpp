// SPDX-License-Identifier: Apache-2.0
// The validator sets of all epochs, as the final states of the chain fix them.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "consensus/params.hpp"
#include "consensus/staking/validator_set.hpp"
#include "core/result.hpp"
#include "state/view.hpp"
#include "state/world.hpp"

namespace trainyard::node::chain {

/// Reads the set of an epoch from a state; the error says in words why there is none.
using SetReader = std::function<Result<consensus::ValidatorSet, std::string>(
    const state::StateView&, const consensus::ChainConfig&, Epoch)>;

/// The key under which the store keeps the boundary proof of an epoch.
[[nodiscard]] Bytes boundary_key(Epoch epoch);

/// Thread-safe. A set is kept in the store from the block after the one whose state fixes it, since
/// that state may be deleted later. A set that cannot be read from the state, or is none, leaves
/// the one before in force: the same at every node, since the state is.
class StateSets final : public consensus::ValidatorSets {
public:
    struct Parts {
        const state::World& world;
        const consensus::ChainConfig& config;
        SetReader read;  ///< none: the first set is that of all epochs
        std::function<void(Epoch, const std::string& why)> on_unreadable;
    };
    StateSets(consensus::ValidatorSet first, Parts parts);

    /// Precondition for epochs from 2 on: the last block of epoch - 2 is final here.
    [[nodiscard]] consensus::SetPtr of_epoch(Epoch epoch) const override;

    /// Reads the set that a block fixes as the last one of its epoch, and records what proves it.
    void on_final(Height height);
    /// Records that are not in the store yet, for the next commit.
    [[nodiscard]] state::Batch take_unsaved();
    /// consensus::light::Boundary, encoded; nullopt where it is not recorded here.
    [[nodiscard]] std::optional<Bytes> boundary(Epoch epoch) const;

private:
    [[nodiscard]] consensus::SetPtr find(Epoch epoch) const;
    [[nodiscard]] consensus::SetPtr read(Epoch epoch) const;
    [[nodiscard]] std::optional<Hash> state_that_names(Epoch epoch) const;
    void record_boundary(Epoch epoch);

    const consensus::SetPtr first_;
    const Parts parts_;
    mutable std::mutex mutex_;
    mutable std::map<Epoch, consensus::SetPtr> known_;  ///< the latest asked for
    mutable state::Batch unsaved_;
};

}  // namespace trainyard::node::chain
