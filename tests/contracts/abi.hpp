// SPDX-License-Identifier: Apache-2.0
// Just enough of the contract ABI for tests: heads, tails and selectors.
#pragma once

#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/uint256.hpp"

namespace trainyard::contracts {

/// A tuple being encoded: words in the head, dynamic values in the tail behind it.
class Abi {
public:
    Abi& word(const Uint256& value);
    Abi& address(const Address& value);
    Abi& hash(const Hash& value);
    /// bytes or string.
    Abi& bytes(BytesView value);
    Abi& text(std::string_view value) { return bytes(as_bytes(value)); }
    /// An encoding that stands behind an offset: a dynamic tuple.
    Abi& dynamic(const Abi& value) { return tail(value.encode()); }
    Abi& hashes(const std::vector<Hash>& values);
    /// An array of dynamic tuples.
    Abi& tuples(const std::vector<Abi>& values);
    [[nodiscard]] Bytes encode() const;

private:
    Abi& tail(Bytes encoded);

    struct Part {
        bool is_tail = false;
        Bytes bytes;
    };
    std::vector<Part> parts_;
};

/// First four bytes of keccak(signature) and the arguments.
[[nodiscard]] Bytes call_data(std::string_view signature, const Abi& arguments = {});
/// The 32-byte word `index` of an output; zero beyond its end.
[[nodiscard]] Uint256 word_at(BytesView output, size_t index);
[[nodiscard]] Address address_at(BytesView output, size_t index);
[[nodiscard]] Hash hash_at(BytesView output, size_t index);
/// The words of an array to which head word `index` points.
[[nodiscard]] std::vector<Uint256> array_at(BytesView output, size_t index);

[[nodiscard]] inline Uint256 to_word(const Address& a) {
    return from_be(a.bytes);
}

}  // namespace trainyard::contracts
