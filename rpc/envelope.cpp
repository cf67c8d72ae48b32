// SPDX-License-Identifier: Apache-2.0
// Reading and writing of the JSON-RPC frame.
#include "rpc/envelope.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "rpc/json.hpp"

namespace trainyard::rpc {

namespace json = boost::json;

namespace {

constexpr std::string_view kSpace = " \t\r\n";

/// Walks over JSON that a parser has accepted already, so only strings and brackets matter.
class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) { skip_space(); }

    [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    void advance() {
        if (at_ < text_.size()) ++at_;
        skip_space();
    }
    /// The text of the next value, which is passed over.
    std::string_view value() {
        const size_t start = at_;
        size_t depth = 0;
        do {
            if (peek() == '"') {
                skip_string();
            } else if (peek() == '{' || peek() == '[') {
                ++depth, ++at_;
            } else if (peek() == '}' || peek() == ']') {
                --depth, ++at_;
            } else if (depth > 0) {
                ++at_;
            } else {
                at_ = std::min(text_.find_first_of(",]} \t\r\n", at_), text_.size());
            }
        } while (depth > 0 && at_ < text_.size());
        const auto found = text_.substr(start, at_ - start);
        skip_space();
        return found;
    }

private:
    void skip_space() { at_ = std::min(text_.find_first_not_of(kSpace, at_), text_.size()); }
    void skip_string() {
        for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_)
            if (text_[at_] == '\\') ++at_;
        ++at_;
    }

    std::string_view text_;
    size_t at_ = 0;
};

std::string_view raw_member(std::string_view object, std::string_view quoted_name) {
    Scanner scan(object);
    std::string_view found;
    scan.advance();
    while (scan.peek() == '"') {
        const auto name = scan.value();
        scan.advance();
        const auto value = scan.value();
        if (name == quoted_name) found = value;
        if (scan.peek() == ',') scan.advance();
    }
    return found;
}

/// Empty for an id that may not be: an object, an array, a boolean.
std::string id_text(const json::value& id, std::string_view source) {
    if (id.is_null()) return "null";
    if (id.is_string() || id.is_int64() || id.is_uint64()) return json::serialize(id);
    if (!id.is_double()) return "";
    const auto raw = raw_member(source, "\"id\"");
    return std::string(raw.empty() ? "null" : raw);
}

Unexpected<EnvelopeError> invalid(std::string id, std::string message) {
    return Unexpected(EnvelopeError{std::move(id), {kInvalidRequest, std::move(message)}});
}

}  // namespace

std::vector<std::string_view> split_array(std::string_view source) {
    std::vector<std::string_view> items;
    Scanner scan(source);
    scan.advance();
    while (scan.peek() != ']' && scan.peek() != '\0') {
        items.push_back(scan.value());
        if (scan.peek() == ',') scan.advance();
    }
    return items;
}

Result<Envelope, EnvelopeError> read_envelope(const json::value& item, std::string_view source) {
    if (!item.is_object()) return invalid("null", "invalid request");
    const auto& object = item.get_object();
    Envelope out;
    if (const auto* id = object.if_contains("id")) {
        out.id = id_text(*id, source);
        if (out.id.empty())
            return invalid("null", "invalid request: id must be a string or a number");
    }
    const std::string id = out.id.empty() ? "null" : out.id;
    const auto* version = object.if_contains("jsonrpc");
    if (!version || !version->is_string() || version->get_string() != "2.0")
        return invalid(id, "invalid request: jsonrpc must be \"2.0\"");
    const auto* method = object.if_contains("method");
    if (!method || !method->is_string())
        return invalid(id, "invalid request: method must be a string");
    out.method = std::string_view(method->get_string().data(), method->get_string().size());
    const auto* params = object.if_contains("params");
    if (!params || params->is_null()) return out;
    if (!params->is_array()) return Unexpected(EnvelopeError{id, invalid_params("non-array args")});
    out.params = &params->get_array();
    return out;
}

void write_answer(std::string& out, std::string_view id, std::string_view result) {
    JsonWriter writer(out);
    writer.begin_object().key("jsonrpc").text("2.0").key("id").raw(id);
    writer.key("result").raw(result).end_object();
}

void write_error(std::string& out, std::string_view id, const Error& error) {
    JsonWriter writer(out);
    writer.begin_object().key("jsonrpc").text("2.0").key("id").raw(id);
    writer.key("error").begin_object();
    writer.key("code").raw(std::to_string(error.code)).key("message").text(error.message);
    if (!error.data.empty()) writer.key("data").raw(error.data);
    writer.end_object().end_object();
}

}  // namespace trainyard::rpc
