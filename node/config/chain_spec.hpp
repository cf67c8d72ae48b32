// SPDX-License-Identifier: Apache-2.0
// Genesis files of Ethereum's other chains, as geth writes them: any fork schedule, no validators.
#pragma once

#include <string_view>

#include "consensus/params.hpp"
#include "core/block.hpp"
#include "core/result.hpp"
#include "node/config/error.hpp"
#include "state/view.hpp"

namespace trainyard::node::config {

struct ChainSpec {
    consensus::ChainConfig config;
    Block genesis;
    state::StateDiff alloc;
};

/// The forks, blob schedules and first block of a chain. Unknown keys of `config` that name a fork
/// with a number are refused, because such a chain would be computed wrongly.
///
/// Where terminalTotalDifficulty is not zero, the forks from Paris on have no block number yet:
/// ChainConfig::set_merge_block gives it once the difficulties of the chain are known.
/// Errors: syntax, bad_value, missing, mismatch (forks out of order). At most 64 MiB of text.
[[nodiscard]] Result<ChainSpec, ConfigError> parse_chain_spec(std::string_view json);

}  // namespace trainyard::node::config
