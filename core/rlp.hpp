// SPDX-License-Identifier: Apache-2.0
// Recursive length prefix, strict: only the canonical form of a value decodes (Yellow Paper, appendix B).
#pragma once

#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/uint256.hpp"

namespace trainyard::rlp {

enum class Error {
    truncated,        ///< the length runs past the end
    not_canonical,    ///< a longer form than needed, or a leading zero in a number
    wrong_kind,       ///< a list where a string is due, or the reverse
    too_long,         ///< a number or fixed value of another size
    leftover,         ///< bytes after the value
    too_deep,         ///< lists nested deeper than kDepthMax
};

inline constexpr size_t kDepthMax = 64;

/// Appends values to a buffer; lists are closed by `end_list` in the order they were opened.
class Writer {
public:
    Writer& bytes(BytesView value);
    Writer& number(uint64_t value);
    Writer& number(const Uint256& value);
    template <size_t N, class Tag>
    Writer& fixed(const FixedBytes<N, Tag>& value) {
        return bytes(value.bytes);
    }
    Writer& raw(BytesView encoded);  ///< an item that is RLP already
    Writer& begin_list();
    Writer& end_list();
    [[nodiscard]] Bytes take();

private:
    Bytes out_;
    std::vector<size_t> open_;
};

/// Reads items in order from one list's payload or from a top-level buffer.
class Reader {
public:
    explicit Reader(BytesView data) : rest_(data) {}
    [[nodiscard]] bool at_end() const { return rest_.empty(); }
    [[nodiscard]] bool next_is_list() const;
    [[nodiscard]] Result<BytesView, Error> bytes();
    [[nodiscard]] Result<uint64_t, Error> number();
    [[nodiscard]] Result<Uint256, Error> number256();
    [[nodiscard]] Result<Reader, Error> list();
    [[nodiscard]] Result<BytesView, Error> raw();  ///< the next item with its prefix, unread
    template <class T>
    [[nodiscard]] Result<T, Error> fixed() {
        auto view = bytes();
        if (!view) return unexpected(view.error());
        auto value = fixed_from<T>(*view);
        if (!value) return unexpected(Error::too_long);
        return *value;
    }
    [[nodiscard]] Result<Done, Error> finish() const;  ///< error `leftover` unless at the end

private:
    BytesView rest_;
};

[[nodiscard]] std::string_view to_text(Error error);

}  // namespace trainyard::rlp
