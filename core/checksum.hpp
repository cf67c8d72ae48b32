// SPDX-License-Identifier: Apache-2.0
// Addresses for people, with a checksum in the case of their letters.
#pragma once

#include <string>

#include "core/bytes.hpp"

namespace trainyard {

/// "0x" and 40 digits; a letter is a capital where the hash of the lower-case text says so
/// (EIP-55).
[[nodiscard]] std::string to_checksummed(const Address& address);

}  // namespace trainyard
