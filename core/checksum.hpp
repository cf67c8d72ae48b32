// SPDX-License-Identifier: Apache-2.0
// Addresses for people, with a checksum in the case of their letters.
#pragma once

#include <string>
#include <string_view>

#include "core/bytes.hpp"

namespace trainyard {

/// "0x" and 40 digits; a letter is a capital where the hash of the lower-case text says so
/// (EIP-55).
[[nodiscard]] std::string to_checksummed(const Address& address);
/// False where capitals and small letters are mixed otherwise than in `address`'s checksum, which
/// is a slip of whoever typed it.
[[nodiscard]] bool has_checksum_of(std::string_view text, const Address& address);

}  // namespace trainyard
