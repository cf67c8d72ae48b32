// SPDX-License-Identifier: Apache-2.0
// The JSON writer.
#include "rpc/json.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/utf8.hpp"

namespace trainyard::rpc {

namespace {
constexpr char kDigits[] = "0123456789abcdef";
constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD
}  // namespace

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        const auto byte = static_cast<unsigned char>(text[0]);
        const size_t size = byte < 0x80 ? 1 : utf8_char_size(text);
        if (size == 0) {
            out += kReplacement;
        } else if (byte == '"' || byte == '\\') {
            out += '\\';
            out += text[0];
        } else if (byte < 0x20) {
            out += "\\u00";
            out += kDigits[byte >> 4];
            out += kDigits[byte & 15];
        } else {
            out += text.substr(0, size);
        }
        text.remove_prefix(std::max<size_t>(size, 1));
    }
    out += '"';
}

void JsonWriter::separate() {
    if (comma_) out_ += ',';
    comma_ = true;
}

JsonWriter& JsonWriter::begin_object() {
    separate();
    out_ += '{';
    comma_ = false;
    return *this;
}

JsonWriter& JsonWriter::end_object() {
    out_ += '}';
    comma_ = true;
    return *this;
}

JsonWriter& JsonWriter::begin_array() {
    separate();
    out_ += '[';
    comma_ = false;
    return *this;
}

JsonWriter& JsonWriter::end_array() {
    out_ += ']';
    comma_ = true;
    return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
    separate();
    append_json_string(out_, name);
    out_ += ':';
    comma_ = false;
    return *this;
}

JsonWriter& JsonWriter::quantity(uint64_t value) {
    separate();
    char digits[16];
    const auto end = std::to_chars(digits, digits + sizeof(digits), value, 16).ptr;
    out_ += "\"0x";
    out_.append(digits, end);
    out_ += '"';
    return *this;
}

JsonWriter& JsonWriter::quantity(const Uint256& value) {
    if (value.fits_u64()) return quantity(value.low());
    separate();
    out_ += '"';
    out_ += to_quantity(value);
    out_ += '"';
    return *this;
}

void JsonWriter::hex_digits(BytesView bytes) {
    const size_t start = out_.size();
    out_.resize(start + 2 * bytes.size());
    char* to = out_.data() + start;
    for (const uint8_t byte : bytes) {
        *to++ = kDigits[byte >> 4];
        *to++ = kDigits[byte & 15];
    }
}

JsonWriter& JsonWriter::data(BytesView bytes) {
    separate();
    out_ += "\"0x";
    hex_digits(bytes);
    out_ += '"';
    return *this;
}

JsonWriter& JsonWriter::text(std::string_view value) {
    separate();
    append_json_string(out_, value);
    return *this;
}

JsonWriter& JsonWriter::boolean(bool value) {
    return raw(value ? "true" : "false");
}

JsonWriter& JsonWriter::number(uint64_t value) {
    separate();
    char digits[20];
    out_.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
    return *this;
}

JsonWriter& JsonWriter::number(double value) {
    if (!std::isfinite(value)) return null();
    separate();
    char digits[40];
    out_.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
    return *this;
}

JsonWriter& JsonWriter::null() {
    return raw("null");
}

JsonWriter& JsonWriter::raw(std::string_view json) {
    separate();
    out_ += json;
    return *this;
}

}  // namespace trainyard::rpc
