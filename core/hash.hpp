// SPDX-License-Identifier: Apache-2.0
// The hash functions of the ledger: Keccak-256 for Ethereum, SHA-256 for training, RIPEMD-160.
#pragma once

#include <memory>
#include <span>

#include "core/bytes.hpp"

namespace trainyard {

/// Keccak-256 with the original padding (not SHA3-256).
[[nodiscard]] Hash keccak256(BytesView data);
/// digests[i] = keccak256(messages[i]), several at a time where the processor has wide registers.
/// Both have the same size.
void keccak256_many(std::span<const BytesView> messages, std::span<Hash> digests);
/// The same with a given number of lanes: 1, or 4 and 8 where the processor has them. For tests.
void keccak256_by_lanes(size_t lanes, std::span<const BytesView> messages, std::span<Hash> digests);
[[nodiscard]] bool keccak256_has_lanes(size_t lanes);
[[nodiscard]] Hash sha256(BytesView data);
[[nodiscard]] FixedBytes<20> ripemd160(BytesView data);

/// SHA-256 over parts; `finish` may be called once.
class Sha256 {
public:
    Sha256();
    ~Sha256();
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;
    Sha256& update(BytesView data);
    [[nodiscard]] Hash finish();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// keccak256 of nothing, and of the RLP of an empty string (the root of an empty trie).
extern const Hash kEmptyCodeHash;
extern const Hash kEmptyTrieRoot;
extern const Hash kEmptyListHash;  ///< keccak256(0xc0), the ommers hash of every block

}  // namespace trainyard
