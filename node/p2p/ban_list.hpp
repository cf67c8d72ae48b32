// SPDX-License-Identifier: Apache-2.0
// Bans as a text that survives restarts: one line for each.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "node/p2p/network.hpp"

namespace trainyard::p2p {

inline constexpr size_t kBansMax = 4096;
inline constexpr size_t kBanReasonMax = 200;
inline constexpr size_t kBanListBytesMax = 2u << 20;

/// "<66 hex digits> <unix milliseconds of the end> <reason>", one line each, after a line with the
/// version.
[[nodiscard]] std::string write_ban_list(const std::vector<Ban>& bans);

struct BanList {
    std::vector<Ban> bans;
    size_t lines_skipped = 0;  ///< that say of no ban: a torn end, or a hand that slipped
};
/// Takes what it can read; nothing in a file keeps a node from starting.
[[nodiscard]] BanList read_ban_list(std::string_view text);

}  // namespace trainyard::p2p
