// SPDX-License-Identifier: Apache-2.0
// The last block and the last second of a node.
#include "node/cli/node_limits.hpp"

#include "node/cli/version.hpp"

namespace trainyard::node::cli {

std::string fork_words(const config::Fork& fork) {
    return "the chain spec names the fork '" + fork.name + "' from unix time " +
           std::to_string(fork.time) + " on, which trainyard " + std::string(kVersion) +
           " does not know: install release " + fork.release + " or later";
}

std::string fork_objection(const std::optional<config::Fork>& unknown, uint64_t now_s) {
    return unknown && unknown->time <= now_s ? fork_words(*unknown) : "";
}

bool NodeLimits::allows(const Header& header) const {
    if (halt_height_ != 0 && header.number > halt_height_) return false;
    if (!fork_ || header.timestamp < fork_->time) return true;
    if (!told_.exchange(true) && on_fork_) on_fork_(fork_words(*fork_));
    return false;
}

}  // namespace trainyard::node::cli
