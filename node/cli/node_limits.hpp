// SPDX-License-Identifier: Apache-2.0
// Where a node ends on purpose: its halt height, and forks that this release does not know.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "core/block.hpp"
#include "node/config/genesis.hpp"

namespace trainyard::node::cli {

/// Thread-safe.
class NodeLimits {
public:
    /// `halt_height` 0: none. `on_fork` is called once, with what to do, when a block comes that
    /// the unknown fork governs.
    NodeLimits(uint64_t halt_height, std::optional<config::Fork> unknown_fork,
               std::function<void(const std::string&)> on_fork)
        : halt_height_(halt_height), fork_(std::move(unknown_fork)), on_fork_(std::move(on_fork)) {}

    /// False: the block is neither voted for, executed nor taken over.
    [[nodiscard]] bool allows(const Header& header) const;
    [[nodiscard]] bool is_last(uint64_t height) const {
        return halt_height_ != 0 && height >= halt_height_;
    }

private:
    const uint64_t halt_height_;
    const std::optional<config::Fork> fork_;
    const std::function<void(const std::string&)> on_fork_;
    mutable std::atomic<bool> told_{false};
};

/// Why a node of this release may not run now; empty where it may. `now_s`: unix seconds.
[[nodiscard]] std::string fork_objection(const std::optional<config::Fork>& unknown,
                                         uint64_t now_s);
/// "the fork 'x' comes at 1800000000 and is unknown to trainyard 0.1.0: install 0.2.0 before that".
[[nodiscard]] std::string fork_words(const config::Fork& fork);

}  // namespace trainyard::node::cli
