// SPDX-License-Identifier: Apache-2.0
// Byte strings of any and of fixed length, and their hexadecimal form.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

using Bytes = std::vector<uint8_t>;
using BytesView = std::span<const uint8_t>;

/// N bytes, ordered as big-endian numbers. `Tag` keeps an address from being taken for a hash.
template <size_t N, class Tag = void>
struct FixedBytes {
    std::array<uint8_t, N> bytes{};

    static constexpr size_t size() { return N; }
    [[nodiscard]] uint8_t* data() { return bytes.data(); }
    [[nodiscard]] const uint8_t* data() const { return bytes.data(); }
    [[nodiscard]] auto begin() { return bytes.begin(); }
    [[nodiscard]] auto end() { return bytes.end(); }
    [[nodiscard]] auto begin() const { return bytes.begin(); }
    [[nodiscard]] auto end() const { return bytes.end(); }
    uint8_t& operator[](size_t i) { return bytes[i]; }
    uint8_t operator[](size_t i) const { return bytes[i]; }
    [[nodiscard]] bool is_zero() const {
        return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; });
    }
    auto operator<=>(const FixedBytes&) const = default;
};

using Hash = FixedBytes<32, struct HashTag>;        ///< keccak or SHA-256 digest, slot, root
using Address = FixedBytes<20, struct AddressTag>;  ///< last 20 bytes of keccak(public key)

/// Copies `from` into a fixed value; nullopt unless the length is exactly that of `T`.
template <class T>
[[nodiscard]] std::optional<T> fixed_from(BytesView from) {
    if (from.size() != T::size()) return std::nullopt;
    T out;
    std::copy(from.begin(), from.end(), out.bytes.begin());
    return out;
}

inline BytesView as_bytes(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(BytesView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline void append(Bytes& to, BytesView from) {
    to.insert(to.end(), from.begin(), from.end());
}

/// Lower-case hexadecimal, without and with the prefix 0x.
[[nodiscard]] std::string to_hex(BytesView bytes);
[[nodiscard]] std::string to_hex0x(BytesView bytes);

/// Decodes an even number of hexadecimal digits, with or without 0x; nullopt on anything else.
[[nodiscard]] std::optional<Bytes> from_hex(std::string_view text);

template <class T>
[[nodiscard]] std::optional<T> fixed_from_hex(std::string_view text) {
    const auto bytes = from_hex(text);
    return bytes ? fixed_from<T>(*bytes) : std::nullopt;
}

/// Unsigned integers in fixed little-endian form, as our own encodings use them.
template <class T>
void append_le(Bytes& to, T value) {
    for (size_t i = 0; i < sizeof(T); ++i) to.push_back(static_cast<uint8_t>(value >> (8 * i)));
}
template <class T>
[[nodiscard]] T load_le(const uint8_t* from) {
    T value = 0;
    for (size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(from[i]) << (8 * i);
    return value;
}

}  // namespace trainyard
