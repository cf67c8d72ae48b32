// SPDX-License-Identifier: Apache-2.0
// Sizes of characters in UTF-8.
#include "core/utf8.hpp"

#include <algorithm>
#include <cstdint>

namespace trainyard {

namespace {

/// Characters by their first byte; the third and fourth byte are in 80..bf.
struct Row {
    uint8_t first_min, first_max;
    size_t size;
    uint8_t second_min, second_max;
};
constexpr Row kRows[] = {
    {0x00, 0x7f, 1, 0x00, 0x00}, {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf},
    {0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf},
    {0xf0, 0xf0, 4, 0x90, 0xbf}, {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
};

bool is_between(char c, uint8_t min, uint8_t max) {
    const auto byte = static_cast<uint8_t>(c);
    return min <= byte && byte <= max;
}

bool begins_with(std::string_view text, const Row& row) {
    if (text.size() < row.size || !is_between(text[0], row.first_min, row.first_max)) return false;
    if (row.size > 1 && !is_between(text[1], row.second_min, row.second_max)) return false;
    for (size_t i = 2; i < row.size; ++i)
        if (!is_between(text[i], 0x80, 0xbf)) return false;
    return true;
}

}  // namespace

size_t utf8_char_size(std::string_view text) {
    for (const auto& row : kRows)
        if (begins_with(text, row)) return row.size;
    return 0;
}

bool is_control(std::string_view text) {
    switch (utf8_char_size(text)) {
        case 1:
            return is_between(text[0], 0x00, 0x1f) || text[0] == 0x7f;
        case 2:
            return is_between(text[0], 0xc2, 0xc2) && is_between(text[1], 0x80, 0x9f);
        default:
            return false;
    }
}

std::string printable(BytesView bytes, LineEnds line_ends) {
    std::string out;
    for (std::string_view text = as_text(bytes); !text.empty();) {
        const size_t size = utf8_char_size(text);
        const bool is_kept_end = text[0] == '\n' && line_ends == LineEnds::kept;
        if (size == 0 || (is_control(text) && !is_kept_end))
            out += '?';
        else
            out += text.substr(0, size);
        text.remove_prefix(std::max<size_t>(size, 1));
    }
    return out;
}

}  // namespace trainyard
