// SPDX-License-Identifier: Apache-2.0
// Tiles from the auditor's seed.
#include "training/draws.hpp"

#include "core/hash.hpp"
#include "core/uint256.hpp"

namespace trainyard::training {

std::vector<TileDraw> tile_draws(const Program& program, const Hash& tile_seed, uint32_t count) {
    uint64_t all = 0;
    for (const auto& parameter : program.parameters) all += tile_count(parameter.shape);
    std::vector<TileDraw> out;
    for (uint32_t i = 0; i < count && all > 0; ++i) {
        Bytes preimage(tile_seed.begin(), tile_seed.end());
        append_le(preimage, i);
        uint64_t at = (from_hash(keccak256(preimage)) % Uint256(all)).low();
        uint32_t tensor = 0;
        while (at >= tile_count(program.parameters[tensor].shape))
            at -= tile_count(program.parameters[tensor++].shape);
        out.push_back({tensor, static_cast<uint32_t>(at)});
    }
    return out;
}

}  // namespace trainyard::training
