// SPDX-License-Identifier: Apache-2.0
// What keys.cpp and vrf.cpp share of libsecp256k1; included by core/ alone.
#pragma once

#include <optional>

#include "core/keys.hpp"

#include <secp256k1.h>

namespace trainyard {

/// Made once, then only read: safe from all threads.
[[nodiscard]] const secp256k1_context* curve_context();
[[nodiscard]] std::optional<secp256k1_pubkey> parse_point(const PublicKey& key);
[[nodiscard]] PublicKey compress(const secp256k1_pubkey& point);

}  // namespace trainyard
