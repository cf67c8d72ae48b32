// SPDX-License-Identifier: Apache-2.0
// The contract ABI: types from their written form, values, and their encoding both ways.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/uint256.hpp"

namespace trainyard::node::wallet {

enum class AbiError {
    bad_type,      ///< no such type, or nested deeper than 16
    truncated,     ///< an offset or length runs past the end
    out_of_range,  ///< a number wider than its type, an unclean address or boolean
    not_padded,    ///< non-zero bytes where padding is due
    too_large,     ///< more than a million items in one value
};
[[nodiscard]] std::string_view to_text(AbiError error);

struct AbiType {
    enum class Kind {
        uint,
        sint,
        address,
        boolean,
        fixed_bytes,
        bytes,
        string,
        array,
        list,
        tuple
    };
    Kind kind = Kind::uint;
    uint32_t size = 0;           ///< bits of a number, bytes of fixed_bytes, items of an array
    std::vector<AbiType> parts;  ///< members of a tuple; the one element type of array and list

    [[nodiscard]] bool is_dynamic() const;
    [[nodiscard]] size_t head_size_bytes() const;
    /// As in a function signature: "(uint256,bytes32[])".
    [[nodiscard]] std::string text() const;
    bool operator==(const AbiType&) const = default;
};

/// "uint256", "bytes32[3]", "(address,(bool,string)[])".
[[nodiscard]] Result<AbiType, AbiError> parse_abi_type(std::string_view text);

/// A number (also address and boolean), a byte string (also string), or items.
struct AbiValue {
    Uint256 number;
    Bytes bytes;
    std::vector<AbiValue> items;

    static AbiValue of(const Uint256& number) { return {number, {}, {}}; }
    static AbiValue of(const Hash& word) { return {{}, Bytes(word.begin(), word.end()), {}}; }
    static AbiValue of(const Address& address) { return {from_be(address.bytes), {}, {}}; }
    static AbiValue of(std::string_view text) { return of_bytes(as_bytes(text)); }
    static AbiValue of_bytes(BytesView data) { return {{}, Bytes(data.begin(), data.end()), {}}; }
    static AbiValue of_items(std::vector<AbiValue> items) { return {{}, {}, std::move(items)}; }

    [[nodiscard]] Hash hash() const;        ///< of a bytes32
    [[nodiscard]] Address address() const;  ///< of an address
    [[nodiscard]] uint64_t u64() const { return number.low(); }
    [[nodiscard]] uint32_t u32() const { return static_cast<uint32_t>(number.low()); }
    [[nodiscard]] const AbiValue& operator[](size_t i) const { return items[i]; }
    bool operator==(const AbiValue&) const = default;
};

/// Encodes parameters: `tuple` is a tuple type and `value.items` its members.
/// Errors: out_of_range when a value does not fit its type or the counts differ.
[[nodiscard]] Result<Bytes, AbiError> abi_encode(const AbiType& tuple, const AbiValue& value);
/// Decodes what abi_encode writes; bytes after the value are ignored, as Solidity ignores them.
[[nodiscard]] Result<AbiValue, AbiError> abi_decode(const AbiType& tuple, BytesView data);

/// First four bytes of keccak256 of "name(types)".
[[nodiscard]] FixedBytes<4> abi_selector(std::string_view signature);

}  // namespace trainyard::node::wallet
