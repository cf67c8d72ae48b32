// SPDX-License-Identifier: Apache-2.0
// Lines of bans in and out.
#include "node/p2p/ban_list.hpp"

#include <charconv>

namespace trainyard::p2p {
namespace {

constexpr std::string_view kFirstLine = "trainyard bans 1";

std::optional<Ban> ban_from(std::string_view line) {
    const size_t first = line.find(' ');
    if (first == std::string_view::npos) return std::nullopt;
    const auto peer = fixed_from_hex<PeerId>(line.substr(0, first));
    line.remove_prefix(first + 1);
    const size_t second = line.find(' ');
    if (!peer || second == std::string_view::npos) return std::nullopt;
    Ban ban{*peer, 0, std::string(line.substr(second + 1))};
    const char* const end = line.data() + second;
    const auto [stop, failed] = std::from_chars(line.data(), end, ban.until_wall_ms);
    if (failed != std::errc{} || stop != end || ban.reason.size() > kBanReasonMax)
        return std::nullopt;
    return ban;
}

}  // namespace

std::string write_ban_list(const std::vector<Ban>& bans) {
    std::string out(kFirstLine);
    out += '\n';
    for (const Ban& ban : bans) {
        std::string reason = ban.reason.substr(0, kBanReasonMax);
        for (char& c : reason)
            if (c == '\n' || c == '\r') c = ' ';
        out +=
            to_hex(ban.peer.bytes) + " " + std::to_string(ban.until_wall_ms) + " " + reason + "\n";
    }
    return out;
}

BanList read_ban_list(std::string_view text) {
    BanList out;
    text = text.substr(0, kBanListBytesMax);
    bool is_first = true;
    while (!text.empty()) {
        const size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        // A line without its end was torn off while it was written.
        if (end == std::string_view::npos) return ++out.lines_skipped, out;
        text.remove_prefix(end + 1);
        const bool is_version = std::exchange(is_first, false) && line == kFirstLine;
        if (is_version) continue;
        auto ban = out.bans.size() < kBansMax ? ban_from(line) : std::nullopt;
        if (ban)
            out.bans.push_back(std::move(*ban));
        else
            ++out.lines_skipped;
    }
    return out;
}

}  // namespace trainyard::p2p
