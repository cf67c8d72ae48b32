// SPDX-License-Identifier: Apache-2.0
// Recursive descent, at most 32 levels deep.
#include "tests/numvec/json.hpp"

namespace trainyard::numvec {

namespace {

class Parser {
public:
    explicit Parser(std::string_view text) : rest_(text) {}

    std::optional<Json> document() {
        Json value;
        if (!read(value, 0)) return std::nullopt;
        skip();
        return rest_.empty() ? std::optional(std::move(value)) : std::nullopt;
    }

private:
    void skip() {
        while (!rest_.empty() && std::string_view(" \t\r\n").find(rest_[0]) != rest_.npos)
            rest_.remove_prefix(1);
    }
    bool take(std::string_view word) {
        skip();
        if (rest_.substr(0, word.size()) != word) return false;
        rest_.remove_prefix(word.size());
        return true;
    }

    bool read(Json& out, int depth) {
        constexpr int kDepthMax = 32;
        if (depth > kDepthMax) return false;
        if (take("{")) return read_object(out, depth);
        if (take("[")) return read_array(out, depth);
        if (take("null")) return true;
        const bool is_true = take("true");
        if (is_true || take("false")) {
            out.kind = Json::Kind::boolean;
            out.boolean = is_true;
            return true;
        }
        if (take("\"")) {
            out.kind = Json::Kind::string;
            return read_string(out.string);
        }
        return read_integer(out);
    }

    bool read_string(std::string& out) {
        const size_t end = rest_.find('"');
        if (end == rest_.npos) return false;
        out = rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        return out.find('\\') == out.npos;
    }

    bool read_integer(Json& out) {
        out.kind = Json::Kind::integer;
        const bool negative = take("-");
        size_t digits = 0;
        for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits)
            out.integer = out.integer * 10 + (rest_[digits] - '0');
        rest_.remove_prefix(digits);
        if (negative) out.integer = -out.integer;
        return digits > 0 && digits < 19;
    }

    bool read_array(Json& out, int depth) {
        out.kind = Json::Kind::array;
        if (take("]")) return true;
        do {
            if (!read(out.array.emplace_back(), depth + 1)) return false;
        } while (take(","));
        return take("]");
    }

    bool read_object(Json& out, int depth) {
        out.kind = Json::Kind::object;
        if (take("}")) return true;
        do {
            std::string key;
            if (!take("\"") || !read_string(key) || !take(":")) return false;
            if (!read(out.object[key], depth + 1)) return false;
        } while (take(","));
        return take("}");
    }

    std::string_view rest_;
};

}  // namespace

const Json& Json::operator[](const std::string& key) const {
    static const Json kMissing;
    const auto it = object.find(key);
    return it == object.end() ? kMissing : it->second;
}

std::optional<Json> parse_json(std::string_view text) {
    return Parser(text).document();
}

}  // namespace trainyard::numvec
