// SPDX-License-Identifier: Apache-2.0
// How much of the past a store keeps.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace trainyard::state {

/// From all to little; a store can go down this list, never up.
enum class Pruning : uint8_t {
    archive,    ///< everything
    full,       ///< all blocks and receipts, states of the last blocks
    validator,  ///< what consensus needs, with a margin for those who ask
};
[[nodiscard]] std::string_view to_text(Pruning mode);
[[nodiscard]] std::optional<Pruning> pruning_from(std::string_view text);

/// So many of the last final blocks have their state, and their body, receipts and index.
struct Retention {
    std::optional<uint64_t> states, blocks;  ///< nullopt: all
};
[[nodiscard]] Retention retention_of(Pruning mode);

}  // namespace trainyard::state
