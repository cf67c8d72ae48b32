// SPDX-License-Identifier: Apache-2.0
// Recursive length prefix, strict: only the canonical form decodes (Yellow Paper, appendix B).
#pragma once

#include <optional>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/uint256.hpp"

namespace trainyard::rlp {

enum class Error {
    truncated,      ///< the length runs past the end
    not_canonical,  ///< a longer form than needed, or a leading zero in a number
    wrong_kind,     ///< a list where a string is due, or the reverse
    too_long,       ///< a number or fixed value of another size
    leftover,       ///< bytes after the value
    too_deep,       ///< lists nested deeper than kDepthMax
    bad_value,      ///< RLP, but no value of the type that is due here
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

/// What stands before a list with a payload of so many bytes, and before a string of two bytes or
/// more: for whoever does not copy the payload.
[[nodiscard]] Bytes list_prefix(size_t length);
[[nodiscard]] Bytes string_prefix(size_t length);

/// Reads items in order from one list's payload or from a top-level buffer.
class Reader {
public:
    explicit Reader(BytesView data) : rest_(data) {}
    [[nodiscard]] bool at_end() const { return rest_.empty(); }
    [[nodiscard]] BytesView rest() const { return rest_; }
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
    Reader(BytesView data, size_t depth) : rest_(data), depth_(depth) {}
    BytesView rest_;
    size_t depth_ = 0;
};

/// Reads the fields of a record one after another and keeps the first error for the end, so that a
/// decoder reads like the list of its fields. After an error every read gives an empty value.
class Fields {
public:
    explicit Fields(BytesView data) : reader_(data) {}
    [[nodiscard]] bool more() const { return !error_ && !reader_.at_end(); }
    [[nodiscard]] bool next_is_list() const { return more() && reader_.next_is_list(); }
    [[nodiscard]] Bytes bytes();
    [[nodiscard]] BytesView view();
    [[nodiscard]] BytesView raw();
    [[nodiscard]] uint64_t number() { return take(&Reader::number); }
    [[nodiscard]] Uint256 number256() { return take(&Reader::number256); }
    template <class T>
    [[nodiscard]] T fixed() {
        return take(&Reader::fixed<T>);
    }
    /// Opens the next item, a list, and hands its fields to `read(Fields&)`; all must be read.
    template <class Read>
    void list(Read&& read) {
        Fields inner(take_list());
        if (error_) return;
        read(inner);
        if (const auto end = inner.finish(); !end) fail(end.error());
    }
    /// As `list`, with one call of `read` for each element.
    template <class Read>
    void each(Read&& read) {
        list([&](Fields& inner) {
            while (inner.more()) read(inner);
        });
    }
    void fail(Error error) {
        if (!error_) error_ = error;
    }
    [[nodiscard]] Result<Done, Error> finish() const {
        return error_ ? unexpected(*error_) : reader_.finish();
    }

private:
    explicit Fields(Reader reader) : reader_(reader) {}
    [[nodiscard]] Reader take_list();
    template <class T>
    [[nodiscard]] T take(Result<T, Error> (Reader::*read)()) {
        if (error_) return T{};
        auto value = (reader_.*read)();
        if (!value) return fail(value.error()), T{};
        return *std::move(value);
    }
    Reader reader_;
    std::optional<Error> error_;
};

[[nodiscard]] std::string_view to_text(Error error);

}  // namespace trainyard::rlp
