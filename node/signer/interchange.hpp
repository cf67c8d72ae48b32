// SPDX-License-Identifier: Apache-2.0
// A signing database as JSON, to move a key from one machine to another (after EIP-3076).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "node/signer/signing_db.hpp"

namespace trainyard::node::signer {

inline constexpr size_t kInterchangeBytesMax = 16u << 20;
inline constexpr size_t kInterchangeViewsMax = 65'536;
inline constexpr size_t kInterchangeKeysMax = 64;

struct KeyHistory {
    PublicKey key;
    History history;
    bool operator==(const KeyHistory&) const = default;
};

struct Interchange {
    consensus::bft::ChainIdentity chain;
    std::vector<KeyHistory> keys;
    bool operator==(const Interchange&) const = default;
};

/// The format is that of docs/spec/slashing-protection.md.
[[nodiscard]] std::string write_interchange(const Interchange& interchange);
/// Strict: unknown members, repeated views and keys, and more than the limits above are refused.
/// The error says what is wrong and where.
[[nodiscard]] Result<Interchange, std::string> parse_interchange(std::string_view json);

}  // namespace trainyard::node::signer
