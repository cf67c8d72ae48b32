// SPDX-License-Identifier: Apache-2.0
// Hashing of keys that others may choose, with a secret of this process.
#pragma once

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/bytes.hpp"
#include "core/uint256.hpp"

namespace trainyard {

/// Two numbers drawn once per process; nothing that leaves it may depend on them.
struct ProcessSecret {
    uint64_t start = 0, factor = 1;  ///< the factor is odd
};
[[nodiscard]] ProcessSecret process_secret();

/// For hash tables whose keys come from outside: who does not know the secret cannot choose keys
/// that crowd one place. Do not iterate over such a table where the order matters.
class SeededHasher {
public:
    template <size_t N, class Tag>
    size_t operator()(const FixedBytes<N, Tag>& key) const {
        uint64_t h = secret_.start;
        for (size_t at = 0; at < N; at += sizeof(h)) {
            uint64_t limb = 0;
            std::memcpy(&limb, key.data() + at, std::min(sizeof(limb), N - at));
            h = fold(h ^ limb);
        }
        return fold(h);  // the last limb has gone through one product only
    }
    size_t operator()(const Uint256& key) const {
        uint64_t h = secret_.start;
        for (const uint64_t limb : key.limbs) h = fold(h ^ limb);
        return fold(h);
    }
    template <class First, class Second>
    size_t operator()(const std::pair<First, Second>& key) const {
        return (*this)(key.first) ^ (*this)(key.second);
    }

private:
    /// Both halves of the product, so that every bit counts.
    [[nodiscard]] uint64_t fold(uint64_t x) const {
        const auto wide = static_cast<unsigned __int128>(x) * secret_.factor;
        return static_cast<uint64_t>(wide) ^ static_cast<uint64_t>(wide >> 64);
    }
    ProcessSecret secret_ = process_secret();
};

}  // namespace trainyard
