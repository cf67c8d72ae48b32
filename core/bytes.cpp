// SPDX-License-Identifier: Apache-2.0
// Hexadecimal to bytes and back.
#include "core/bytes.hpp"

namespace trainyard {
namespace {

int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

void append_hex(std::string& to, BytesView bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    for (const uint8_t b : bytes) {
        to.push_back(kDigits[b >> 4]);
        to.push_back(kDigits[b & 15]);
    }
}

}  // namespace

std::string to_hex(BytesView bytes) {
    std::string text;
    text.reserve(2 * bytes.size());
    append_hex(text, bytes);
    return text;
}

std::string to_hex0x(BytesView bytes) {
    std::string text = "0x";
    text.reserve(2 + 2 * bytes.size());
    append_hex(text, bytes);
    return text;
}

std::optional<Bytes> from_hex(std::string_view text) {
    if (text.starts_with("0x") || text.starts_with("0X")) text.remove_prefix(2);
    if (text.size() % 2 != 0) return std::nullopt;
    Bytes out(text.size() / 2);
    for (size_t i = 0; i < out.size(); ++i) {
        const int high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        out[i] = static_cast<uint8_t>(16 * high + low);
    }
    return out;
}

}  // namespace trainyard
