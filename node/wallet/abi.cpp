// SPDX-License-Identifier: Apache-2.0
// Contract ABI specification, "Formal specification of the encoding", both directions.
#include "node/wallet/abi.hpp"

#include "core/hash.hpp"

namespace trainyard::node::wallet {
namespace {

constexpr size_t kDepthMax = 16;
constexpr size_t kItemsMax = 1'000'000;
using Kind = AbiType::Kind;

std::optional<uint32_t> parse_count(std::string_view digits) {
    if (digits.empty() || digits.size() > 6 || digits[0] == '0') return std::nullopt;
    uint32_t value = 0;
    for (const char c : digits) {
        if (c < '0' || c > '9') return std::nullopt;
        value = 10 * value + static_cast<uint32_t>(c - '0');
    }
    return value;
}

std::optional<AbiType> parse_number(std::string_view digits, Kind kind) {
    if (digits.empty()) return AbiType{kind, 256, {}};
    const auto bits = parse_count(digits);
    if (!bits || *bits > 256 || *bits % 8 != 0) return std::nullopt;
    return AbiType{kind, *bits, {}};
}

std::optional<AbiType> parse_word(std::string_view text) {
    if (text == "address") return AbiType{Kind::address, 0, {}};
    if (text == "bool") return AbiType{Kind::boolean, 0, {}};
    if (text == "string") return AbiType{Kind::string, 0, {}};
    if (text == "bytes") return AbiType{Kind::bytes, 0, {}};
    if (text.starts_with("bytes")) {
        const auto size = parse_count(text.substr(5));
        if (!size || *size > 32) return std::nullopt;
        return AbiType{Kind::fixed_bytes, *size, {}};
    }
    if (text.starts_with("uint")) return parse_number(text.substr(4), Kind::uint);
    if (text.starts_with("int")) return parse_number(text.substr(3), Kind::sint);
    return std::nullopt;
}

/// Recursive descent over one type; `at` moves past what was read.
std::optional<AbiType> parse(std::string_view text, size_t& at, size_t depth);

std::optional<AbiType> parse_members(std::string_view text, size_t& at, size_t depth) {
    AbiType tuple{Kind::tuple, 0, {}};
    ++at;  // the opening parenthesis
    if (at < text.size() && text[at] == ')') return ++at, tuple;
    for (;;) {
        auto part = parse(text, at, depth + 1);
        if (!part || at >= text.size()) return std::nullopt;
        tuple.parts.push_back(std::move(*part));
        const char c = text[at++];
        if (c == ')') return tuple;
        if (c != ',') return std::nullopt;
    }
}

std::optional<AbiType> parse(std::string_view text, size_t& at, size_t depth) {
    if (depth > kDepthMax || at >= text.size()) return std::nullopt;
    std::optional<AbiType> type;
    if (text[at] == '(') {
        type = parse_members(text, at, depth);
    } else {
        const size_t end = std::min(text.find_first_of("(),[]", at), text.size());
        type = parse_word(text.substr(at, end - at));
        at = end;
    }
    while (type && at < text.size() && text[at] == '[') {
        const size_t end = text.find(']', at);
        if (end == std::string_view::npos || ++depth > kDepthMax) return std::nullopt;
        const auto digits = text.substr(at + 1, end - at - 1);
        const auto count = parse_count(digits);
        if (!digits.empty() && !count) return std::nullopt;
        type = AbiType{digits.empty() ? Kind::list : Kind::array, count.value_or(0), {*type}};
        at = end + 1;
    }
    return type;
}

void put_word(Bytes& out, const Uint256& value) {
    append(out, to_hash(value).bytes);
}

bool fits(const AbiType& type, const Uint256& value) {
    switch (type.kind) {
        case Kind::uint:
            return value.bit_length() <= static_cast<int>(type.size);
        case Kind::address:
            return value.bit_length() <= 160;
        case Kind::boolean:
            return value.bit_length() <= 1;
        case Kind::sint: {
            // Two's complement: all bits from the sign bit up are equal.
            const Uint256 high = value >> (type.size - 1);
            return high.is_zero() || high == (Uint256::max() >> (type.size - 1));
        }
        default:
            return true;
    }
}

bool put_value(Bytes& out, const AbiType& type, const AbiValue& value);

bool put_sequence(Bytes& out, const std::vector<const AbiType*>& types,
                  const std::vector<AbiValue>& items) {
    if (types.size() != items.size()) return false;
    size_t tail_at = 0;
    for (const auto* type : types) tail_at += type->is_dynamic() ? 32 : type->head_size_bytes();
    Bytes tail;
    for (size_t i = 0; i < items.size(); ++i) {
        const bool dynamic = types[i]->is_dynamic();
        if (dynamic) put_word(out, tail_at + tail.size());
        if (!put_value(dynamic ? tail : out, *types[i], items[i])) return false;
    }
    append(out, tail);
    return true;
}

bool put_value(Bytes& out, const AbiType& type, const AbiValue& value) {
    switch (type.kind) {
        case Kind::bytes:
        case Kind::string:
            put_word(out, value.bytes.size());
            append(out, value.bytes);
            out.resize(out.size() + (32 - value.bytes.size() % 32) % 32);
            return true;
        case Kind::fixed_bytes:
            if (value.bytes.size() != type.size) return false;
            append(out, value.bytes);
            out.resize(out.size() + 32 - type.size);
            return true;
        case Kind::list:
            put_word(out, value.items.size());
            return put_sequence(out, std::vector(value.items.size(), type.parts.data()),
                                value.items);
        case Kind::array:
            return put_sequence(out, std::vector(size_t{type.size}, type.parts.data()),
                                value.items);
        case Kind::tuple: {
            std::vector<const AbiType*> types;
            for (const auto& part : type.parts) types.push_back(&part);
            return put_sequence(out, types, value.items);
        }
        default:
            if (!fits(type, value.number)) return false;
            put_word(out, value.number);
            return true;
    }
}

/// Reads values out of one encoded byte string; the budget bounds what offsets can multiply.
class Decoder {
public:
    explicit Decoder(BytesView data) : data_(data) {}

    Result<AbiValue, AbiError> value(const AbiType& type, size_t at) {
        if (++items_ > kItemsMax) return unexpected(AbiError::too_large);
        switch (type.kind) {
            case Kind::bytes:
            case Kind::string:
                return byte_string(at);
            case Kind::fixed_bytes:
                return fixed(type, at);
            case Kind::list: {
                const auto count = length(at);
                if (!count) return unexpected(count.error());
                const size_t unit = std::max<size_t>(type.parts[0].head_size_bytes(), 1);
                if (*count > (data_.size() - at - 32) / unit)
                    return unexpected(AbiError::truncated);
                return sequence(std::vector(*count, type.parts.data()), at + 32);
            }
            case Kind::array:
                return sequence(std::vector(size_t{type.size}, type.parts.data()), at);
            case Kind::tuple: {
                std::vector<const AbiType*> types;
                for (const auto& part : type.parts) types.push_back(&part);
                return sequence(types, at);
            }
            default: {
                const auto number = word(at);
                if (!number) return unexpected(number.error());
                if (!fits(type, *number)) return unexpected(AbiError::out_of_range);
                return AbiValue::of(*number);
            }
        }
    }

private:
    Result<Uint256, AbiError> word(size_t at) const {
        if (at > data_.size() || data_.size() - at < 32) return unexpected(AbiError::truncated);
        return from_be(data_.subspan(at, 32));
    }
    Result<size_t, AbiError> length(size_t at) const {
        const auto number = word(at);
        if (!number) return unexpected(number.error());
        if (!number->fits_u64() || number->low() > data_.size())
            return unexpected(AbiError::truncated);
        return static_cast<size_t>(number->low());
    }
    bool zeros(size_t from, size_t to) const {
        for (size_t i = from; i < to; ++i)
            if (data_[i] != 0) return false;
        return true;
    }
    Result<AbiValue, AbiError> byte_string(size_t at) const {
        const auto size = length(at);
        if (!size) return unexpected(size.error());
        const size_t padded = (*size + 31) / 32 * 32;
        if (data_.size() - at - 32 < padded) return unexpected(AbiError::truncated);
        if (!zeros(at + 32 + *size, at + 32 + padded)) return unexpected(AbiError::not_padded);
        return AbiValue::of_bytes(data_.subspan(at + 32, *size));
    }
    Result<AbiValue, AbiError> fixed(const AbiType& type, size_t at) const {
        if (const auto whole = word(at); !whole) return unexpected(whole.error());
        if (!zeros(at + type.size, at + 32)) return unexpected(AbiError::not_padded);
        return AbiValue::of_bytes(data_.subspan(at, type.size));
    }
    Result<AbiValue, AbiError> sequence(const std::vector<const AbiType*>& types, size_t base) {
        AbiValue out;
        size_t head = base;
        for (const AbiType* type : types) {
            size_t at = head;
            if (type->is_dynamic()) {
                const auto offset = length(head);
                if (!offset) return unexpected(offset.error());
                at = base + *offset;
            }
            head += type->is_dynamic() ? 32 : type->head_size_bytes();
            auto item = value(*type, at);
            if (!item) return unexpected(item.error());
            out.items.push_back(std::move(*item));
        }
        return out;
    }

    BytesView data_;
    size_t items_ = 0;
};

}  // namespace

std::string_view to_text(AbiError error) {
    switch (error) {
        case AbiError::bad_type:
            return "no such ABI type";
        case AbiError::truncated:
            return "ABI data ends too early";
        case AbiError::out_of_range:
            return "ABI value does not fit its type";
        case AbiError::not_padded:
            return "ABI padding is not zero";
        case AbiError::too_large:
            return "ABI value has too many items";
    }
    return "unknown";
}

bool AbiType::is_dynamic() const {
    switch (kind) {
        case Kind::bytes:
        case Kind::string:
        case Kind::list:
            return true;
        case Kind::array:
        case Kind::tuple:
            return std::any_of(parts.begin(), parts.end(),
                               [](const AbiType& part) { return part.is_dynamic(); });
        default:
            return false;
    }
}

size_t AbiType::head_size_bytes() const {
    if (is_dynamic()) return 32;
    if (kind == Kind::array) return size * parts[0].head_size_bytes();
    if (kind != Kind::tuple) return 32;
    size_t sum = 0;
    for (const auto& part : parts) sum += part.head_size_bytes();
    return sum;
}

std::string AbiType::text() const {
    switch (kind) {
        case Kind::uint:
            return "uint" + std::to_string(size);
        case Kind::sint:
            return "int" + std::to_string(size);
        case Kind::address:
            return "address";
        case Kind::boolean:
            return "bool";
        case Kind::fixed_bytes:
            return "bytes" + std::to_string(size);
        case Kind::bytes:
            return "bytes";
        case Kind::string:
            return "string";
        case Kind::list:
            return parts[0].text() + "[]";
        case Kind::array:
            return parts[0].text() + "[" + std::to_string(size) + "]";
        case Kind::tuple:
            break;
    }
    std::string out = "(";
    for (size_t i = 0; i < parts.size(); ++i) out += (i == 0 ? "" : ",") + parts[i].text();
    return out + ")";
}

Result<AbiType, AbiError> parse_abi_type(std::string_view text) {
    size_t at = 0;
    auto type = parse(text, at, 0);
    if (!type || at != text.size()) return unexpected(AbiError::bad_type);
    return std::move(*type);
}

Hash AbiValue::hash() const {
    return fixed_from<Hash>(bytes).value_or(Hash{});
}

Address AbiValue::address() const {
    const Hash word = to_hash(number);
    return *fixed_from<Address>(BytesView(word.bytes).subspan(12));
}

Result<Bytes, AbiError> abi_encode(const AbiType& tuple, const AbiValue& value) {
    Bytes out;
    if (!put_value(out, tuple, value)) return unexpected(AbiError::out_of_range);
    return out;
}

Result<AbiValue, AbiError> abi_decode(const AbiType& tuple, BytesView data) {
    return Decoder(data).value(tuple, 0);
}

FixedBytes<4> abi_selector(std::string_view signature) {
    const Hash hash = keccak256(as_bytes(signature));
    return *fixed_from<FixedBytes<4>>(BytesView(hash.bytes).first(4));
}

}  // namespace trainyard::node::wallet
