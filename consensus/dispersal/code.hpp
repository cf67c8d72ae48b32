// SPDX-License-Identifier: Apache-2.0
// A body as shards of a Reed-Solomon code, any `data` of which rebuild it, under one commitment.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "consensus/dispersal/plan.hpp"
#include "core/bytes.hpp"
#include "core/result.hpp"

namespace trainyard::consensus::dispersal {

inline constexpr size_t kBodySizeMax_bytes = size_t{2} << 20;

/// What a header says of a dispersed body: enough to check a single shard.
struct Commitment {
    uint32_t body_size_bytes = 0;
    Hash root;  ///< Merkle root over the shards
    bool operator==(const Commitment&) const = default;
};

struct Shard {
    uint16_t index = 0;
    Bytes data;
    std::vector<Hash> path;  ///< siblings from the shard up to the root
    bool operator==(const Shard&) const = default;
};

struct Dispersed {
    Commitment commitment;
    std::vector<Shard> shards;  ///< all of them, by index
};

enum class RebuildError {
    too_few,       ///< fewer than `data` different shards
    inconsistent,  ///< the shards do not come from one body: the disperser's fault, and all see it
};

/// ceil(body size / data): the size of each shard in bytes.
[[nodiscard]] size_t shard_size_bytes(const ShardPlan& plan, uint32_t body_size_bytes);

/// Precondition: 0 < body.size() <= kBodySizeMax_bytes.
[[nodiscard]] Dispersed disperse(BytesView body, const ShardPlan& plan);

/// The root that disperse() would give, without keeping the shards.
[[nodiscard]] Commitment commitment_of(BytesView body, const ShardPlan& plan);

/// True if `shard` belongs to `commitment` under `plan`: index, size and path.
[[nodiscard]] bool verify_shard(const Commitment& commitment, const ShardPlan& plan,
                                const Shard& shard);

/// The body, from shards that passed verify_shard. It is encoded again and must give the same
/// commitment; so all who rebuild it, from whichever shards, get the same body or all refuse it.
[[nodiscard]] Result<Bytes, RebuildError> rebuild(const Commitment& commitment,
                                                  const ShardPlan& plan,
                                                  const std::vector<Shard>& shards);

}  // namespace trainyard::consensus::dispersal
