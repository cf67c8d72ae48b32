// SPDX-License-Identifier: Apache-2.0
// The two halves of RLP; a prefix is read in one place, so its rules stand once.
#include "core/rlp.hpp"

#include <array>

#include "core/assert.hpp"

namespace trainyard::rlp {
namespace {

constexpr uint8_t kString = 0x80, kList = 0xc0;
constexpr size_t kShortMax = 55;  ///< longest payload whose length fits the prefix byte

/// The bytes before a payload: at most one and eight digits of length.
struct Prefix {
    std::array<uint8_t, 9> bytes{};
    size_t size = 1;
    [[nodiscard]] BytesView view() const { return BytesView(bytes).first(size); }
};

Prefix prefix_of(uint8_t kind, size_t length) {
    Prefix prefix;
    if (length <= kShortMax) {
        prefix.bytes[0] = static_cast<uint8_t>(kind + length);
        return prefix;
    }
    for (size_t rest = length; rest != 0; rest >>= 8) ++prefix.size;
    prefix.bytes[0] = static_cast<uint8_t>(kind + kShortMax + prefix.size - 1);
    for (size_t i = prefix.size; i-- > 1; length >>= 8)
        prefix.bytes[i] = static_cast<uint8_t>(length);
    return prefix;
}

struct Item {
    bool is_list = false;
    size_t header = 0;  ///< bytes before the payload; 0 for a byte that is its own encoding
    BytesView payload;
};

/// The first item of `data`; only its own prefix is checked, not what a list holds.
Result<Item, Error> split(BytesView data) {
    if (data.empty()) return unexpected(Error::truncated);
    const uint8_t first = data[0];
    if (first < kString) return Item{false, 0, data.first(1)};
    const bool is_list = first >= kList;
    size_t length = first - (is_list ? kList : kString), header = 1;
    if (length > kShortMax) {
        const size_t digits = length - kShortMax;
        header += digits;
        if (data.size() < header) return unexpected(Error::truncated);
        if (data[1] == 0) return unexpected(Error::not_canonical);
        length = 0;
        for (size_t i = 1; i < header; ++i) length = length << 8 | data[i];
        if (length <= kShortMax) return unexpected(Error::not_canonical);
    }
    if (length > data.size() - header) return unexpected(Error::truncated);
    const BytesView payload = data.subspan(header, length);
    if (!is_list && length == 1 && payload[0] < kString) return unexpected(Error::not_canonical);
    return Item{is_list, header, payload};
}

}  // namespace

Writer& Writer::bytes(BytesView value) {
    if (value.size() != 1 || value[0] >= kString)
        append(out_, prefix_of(kString, value.size()).view());
    append(out_, value);
    return *this;
}

Writer& Writer::number(uint64_t value) {
    std::array<uint8_t, 8> digits;
    size_t at = digits.size();
    for (; value != 0; value >>= 8) digits[--at] = static_cast<uint8_t>(value);
    return bytes(BytesView(digits).subspan(at));
}

Writer& Writer::number(const Uint256& value) {
    const Hash digits = to_hash(value);
    const auto used = static_cast<size_t>((value.bit_length() + 7) / 8);
    return bytes(BytesView(digits.bytes).subspan(32 - used));
}

Writer& Writer::raw(BytesView encoded) {
    append(out_, encoded);
    return *this;
}

Writer& Writer::begin_list() {
    open_.push_back(out_.size());
    return *this;
}

Writer& Writer::end_list() {
    ASSERT(!open_.empty());
    const size_t start = open_.back();
    open_.pop_back();
    const Prefix prefix = prefix_of(kList, out_.size() - start);
    const BytesView added = prefix.view();
    out_.insert(out_.begin() + static_cast<std::ptrdiff_t>(start), added.begin(), added.end());
    return *this;
}

Bytes list_prefix(size_t length) {
    const Prefix prefix = prefix_of(kList, length);
    return Bytes(prefix.view().begin(), prefix.view().end());
}
Bytes string_prefix(size_t length) {
    const Prefix prefix = prefix_of(kString, length);
    return Bytes(prefix.view().begin(), prefix.view().end());
}

Bytes Writer::take() {
    ASSERT(open_.empty());
    return std::move(out_);
}

bool Reader::next_is_list() const {
    return !rest_.empty() && rest_[0] >= kList;
}

Result<BytesView, Error> Reader::bytes() {
    const auto item = split(rest_);
    if (!item) return unexpected(item.error());
    if (item->is_list) return unexpected(Error::wrong_kind);
    rest_ = rest_.subspan(item->header + item->payload.size());
    return item->payload;
}

Result<Uint256, Error> Reader::number256() {
    const BytesView before = rest_;
    const auto digits = bytes();
    if (!digits) return unexpected(digits.error());
    if (digits->size() <= 32 && (digits->empty() || digits->front() != 0)) return from_be(*digits);
    rest_ = before;
    return unexpected(digits->front() == 0 ? Error::not_canonical : Error::too_long);
}

Result<uint64_t, Error> Reader::number() {
    const BytesView before = rest_;
    const auto value = number256();
    if (!value) return unexpected(value.error());
    if (value->fits_u64()) return value->low();
    rest_ = before;
    return unexpected(Error::too_long);
}

Result<Reader, Error> Reader::list() {
    const auto item = split(rest_);
    if (!item) return unexpected(item.error());
    if (!item->is_list) return unexpected(Error::wrong_kind);
    if (depth_ == kDepthMax) return unexpected(Error::too_deep);
    rest_ = rest_.subspan(item->header + item->payload.size());
    return Reader(item->payload, depth_ + 1);
}

Result<BytesView, Error> Reader::raw() {
    const auto item = split(rest_);
    if (!item) return unexpected(item.error());
    const BytesView whole = rest_.first(item->header + item->payload.size());
    rest_ = rest_.subspan(whole.size());
    return whole;
}

Result<Done, Error> Reader::finish() const {
    if (!rest_.empty()) return unexpected(Error::leftover);
    return Done{};
}

Bytes Fields::bytes() {
    const BytesView from = view();
    return {from.begin(), from.end()};
}

BytesView Fields::view() {
    return take(&Reader::bytes);
}

BytesView Fields::raw() {
    return take(&Reader::raw);
}

Reader Fields::take_list() {
    if (!error_) {
        auto inner = reader_.list();
        if (inner) return *inner;
        fail(inner.error());
    }
    return Reader({});
}

std::string_view to_text(Error error) {
    switch (error) {
        case Error::truncated:
            return "a length runs past the end";
        case Error::not_canonical:
            return "not the shortest form of the value";
        case Error::wrong_kind:
            return "a list where a string is due, or the reverse";
        case Error::too_long:
            return "a value of the wrong size";
        case Error::leftover:
            return "bytes are left over after the value";
        case Error::too_deep:
            return "lists are nested too deep";
        case Error::bad_value:
            return "not a value of the type that is due";
    }
    return "unknown error";
}

}  // namespace trainyard::rlp
