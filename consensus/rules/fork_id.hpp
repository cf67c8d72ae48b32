// SPDX-License-Identifier: Apache-2.0
// Which rules a chain had at a block, in four bytes that other programs can compare.
#pragma once

#include <cstdint>

#include "consensus/params.hpp"
#include "core/bytes.hpp"

namespace trainyard::consensus {

using ForkId = FixedBytes<4, struct ForkIdTag>;

/// What a fork id starts from.
struct GenesisId {
    Hash hash;
    uint64_t timestamp = 0;
};

/// CRC-32 of the genesis hash and of each number and time of a fork that has begun in a block of
/// this height and time; forks of genesis itself do not count. Source: EIP-2124, EIP-6122.
[[nodiscard]] ForkId fork_id(const ChainConfig& config, const GenesisId& genesis, uint64_t number,
                             uint64_t timestamp);

}  // namespace trainyard::consensus
