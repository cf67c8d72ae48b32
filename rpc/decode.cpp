// SPDX-License-Identifier: Apache-2.0
// Decoders of the plain kinds: quantities, bytes, blocks, slots.
#include "rpc/decode.hpp"

#include <charconv>
#include <cmath>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace trainyard::rpc {

namespace json = boost::json;

namespace {

Unexpected<std::string> wrong(std::string message) {
    return Unexpected(std::move(message));
}

bool has_prefix(std::string_view text) {
    return text.size() >= 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
}

template <class T>
Decoded<T> decode_fixed(const json::value& value, std::string_view type) {
    const auto bytes = decode_data(value);
    if (!bytes) return wrong(bytes.error());
    auto fixed = fixed_from<T>(*bytes);
    if (!fixed)
        return wrong("hex string has length " + std::to_string(2 * bytes->size()) + ", want " +
                     std::to_string(2 * T::size()) + " for " + std::string(type));
    return *fixed;
}

/// Digits of a quantity, checked to be canonical (execution-apis, base types: uint).
Decoded<std::string_view> quantity_digits(const json::value& value, size_t digits_max) {
    const auto text = decode_text(value);
    if (!text) return wrong(text.error());
    if (text->empty()) return wrong("empty hex string");
    if (!has_prefix(*text)) return wrong("hex string without 0x prefix");
    const auto digits = text->substr(2);
    if (digits.empty()) return wrong("hex string \"0x\"");
    if (digits.size() > 1 && digits[0] == '0') return wrong("hex number with leading zero digits");
    if (digits.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos)
        return wrong("invalid hex string");
    if (digits.size() > digits_max)
        return wrong("hex number > " + std::to_string(4 * digits_max) + " bits");
    return digits;
}

std::optional<Tag> tag_of(std::string_view text) {
    if (text == "latest") return Tag::latest;
    if (text == "pending") return Tag::pending;
    if (text == "finalized") return Tag::finalized;
    if (text == "safe") return Tag::safe;
    if (text == "earliest") return Tag::earliest;
    return std::nullopt;
}

Decoded<BlockId> decode_block_object(const json::object& object) {
    const auto* hash = object.if_contains("blockHash");
    const auto* number = object.if_contains("blockNumber");
    if (hash && number)
        return wrong("cannot specify both BlockHash and BlockNumber, choose one or the other");
    if (number) return decode_block_number(*number);
    if (!hash) return wrong("expected blockHash or blockNumber");
    const auto decoded = decode_hash(*hash);
    if (!decoded) return wrong(decoded.error());
    BlockByHash id{*decoded, false};
    if (const auto* canonical = object.if_contains("requireCanonical")) {
        if (!canonical->is_bool()) return wrong("requireCanonical is not a boolean");
        id.require_canonical = canonical->get_bool();
    }
    return BlockId(id);
}

}  // namespace

Decoded<std::string_view> decode_text(const json::value& value) {
    if (!value.is_string()) return wrong("expected a string");
    const auto& text = value.get_string();
    return std::string_view(text.data(), text.size());
}

Decoded<Bytes> decode_data(const json::value& value) {
    const auto text = decode_text(value);
    if (!text) return wrong(text.error());
    if (!has_prefix(*text))
        return wrong(text->empty() ? "empty hex string" : "hex string without 0x prefix");
    if (text->size() % 2 != 0) return wrong("hex string of odd length");
    auto bytes = from_hex(text->substr(2));
    if (!bytes) return wrong("invalid hex string");
    return std::move(*bytes);
}

Decoded<Address> decode_address(const json::value& value) {
    return decode_fixed<Address>(value, "an address");
}
Decoded<Hash> decode_hash(const json::value& value) {
    return decode_fixed<Hash>(value, "a hash");
}

Decoded<Uint256> decode_quantity256(const json::value& value) {
    const auto digits = quantity_digits(value, 64);
    if (!digits) return wrong(digits.error());
    return *parse_uint256("0x" + std::string(*digits));
}

Decoded<uint64_t> decode_quantity(const json::value& value) {
    const auto digits = quantity_digits(value, 16);
    if (!digits) return wrong(digits.error());
    uint64_t number = 0;
    std::from_chars(digits->data(), digits->data() + digits->size(), number, 16);
    return number;
}

Decoded<uint64_t> decode_count(const json::value& value) {
    if (value.is_int64() && value.get_int64() >= 0) return static_cast<uint64_t>(value.get_int64());
    if (value.is_uint64()) return value.get_uint64();
    const auto text = decode_text(value);
    if (!text) return wrong("expected a non-negative integer or a hex string");
    if (has_prefix(*text)) return decode_quantity(value);
    uint64_t number = 0;
    const auto [end, code] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (code != std::errc() || end != text->data() + text->size()) return wrong("invalid number");
    return number;
}

Decoded<Uint256> decode_slot(const json::value& value) {
    const auto text = decode_text(value);
    if (!text) return wrong(text.error());
    auto digits = has_prefix(*text) ? text->substr(2) : *text;
    if (digits.size() > 64)
        return wrong("storage key too long (want at most 32 bytes): \"" +
                     std::string(text->substr(0, 80)) + "\"");
    std::string even = (digits.size() % 2 != 0 ? "0" : "") + std::string(digits);
    const auto bytes = from_hex(even);
    if (!bytes) return wrong("invalid hex in storage key: \"" + std::string(*text) + "\"");
    return from_be(*bytes);
}

Decoded<std::vector<Uint256>> decode_slots(const json::value& value) {
    if (!value.is_array()) return wrong("expected an array of storage keys");
    const auto& array = value.get_array();
    if (array.size() > kSlotsMax)
        return wrong("too many slots (max " + std::to_string(kSlotsMax) + ")");
    std::vector<Uint256> slots;
    slots.reserve(array.size());
    for (const auto& item : array) {
        const auto slot = decode_slot(item);
        if (!slot) return wrong(slot.error());
        slots.push_back(*slot);
    }
    return slots;
}

Decoded<std::vector<ProofKey>> decode_proof_keys(const json::value& value) {
    const auto slots = decode_slots(value);
    if (!slots) return wrong(slots.error());
    std::vector<ProofKey> keys;
    for (size_t i = 0; i < slots->size(); ++i) {
        const auto text = *decode_text(value.get_array()[i]);
        const size_t digits = text.size() - (has_prefix(text) ? 2 : 0);
        keys.push_back({(*slots)[i], digits > 62});
    }
    return keys;
}

Decoded<BlockId> decode_block_number(const json::value& value) {
    const auto text = decode_text(value);
    if (!text) return wrong("expected a block number or tag");
    if (const auto tag = tag_of(*text)) return BlockId(*tag);
    const auto number = decode_quantity(value);
    if (!number) return wrong(number.error());
    if (*number > INT64_MAX) return wrong("block number larger than int64");
    return BlockId(*number);
}

Decoded<BlockId> decode_block(const json::value& value) {
    if (value.is_object()) return decode_block_object(value.get_object());
    if (value.is_string() && value.get_string().size() == 66) {
        const auto hash = decode_hash(value);
        if (!hash) return wrong(hash.error());
        return BlockId(BlockByHash{*hash, false});
    }
    return decode_block_number(value);
}

Decoded<std::vector<double>> decode_percentiles(const json::value& value) {
    if (!value.is_array()) return wrong("expected an array of percentiles");
    const auto& array = value.get_array();
    if (array.size() > kPercentilesMax) return wrong("over the query limit 100 of percentiles");
    std::vector<double> percentiles;
    for (const auto& item : array) {
        if (!item.is_number()) return wrong("invalid reward percentile: not a number");
        const double p = item.to_number<double>();
        if (!std::isfinite(p) || p < 0 || p > 100)
            return wrong("invalid reward percentile: out of 0..100");
        if (!percentiles.empty() && p <= percentiles.back())
            return wrong("invalid reward percentile: must be in ascending order");
        percentiles.push_back(p);
    }
    return percentiles;
}

Decoded<SlotsByAccount> decode_slots_by_account(const json::value& value) {
    if (!value.is_object()) return wrong("expected an object of addresses with their slots");
    SlotsByAccount out;
    size_t total = 0;
    for (const auto& [name, slots] : value.get_object()) {
        const auto address = decode_address(json::value(name));
        if (!address) return wrong(address.error());
        auto decoded = decode_slots(slots);
        if (!decoded) return wrong(decoded.error());
        total += decoded->size();
        if (total > kSlotsMax)
            return wrong("too many slots (max " + std::to_string(kSlotsMax) + ")");
        out[*address] = std::move(*decoded);
    }
    if (total == 0) return wrong("empty request");
    return out;
}

}  // namespace trainyard::rpc
