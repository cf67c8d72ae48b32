// SPDX-License-Identifier: Apache-2.0
// EIP-55.
#include "core/checksum.hpp"

#include <algorithm>

#include "core/hash.hpp"

namespace trainyard {

std::string to_checksummed(const Address& address) {
    std::string digits = to_hex(address.bytes);
    const Hash hash = keccak256(as_bytes(digits));
    for (size_t i = 0; i < digits.size(); ++i) {
        const unsigned nibble = i % 2 == 0 ? hash[i / 2] >> 4 : hash[i / 2] & 15u;
        const bool is_letter = digits[i] >= 'a';
        if (is_letter && nibble >= 8) digits[i] = static_cast<char>(digits[i] - 'a' + 'A');
    }
    return "0x" + digits;
}

bool has_checksum_of(std::string_view text, const Address& address) {
    if (text.starts_with("0x")) text.remove_prefix(2);
    const auto within = [text](char first, char last) {
        return std::any_of(text.begin(), text.end(),
                           [=](char c) { return c >= first && c <= last; });
    };
    const bool is_mixed = within('a', 'f') && within('A', 'F');
    return !is_mixed || text == to_checksummed(address).substr(2);
}

}  // namespace trainyard
