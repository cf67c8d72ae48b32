// SPDX-License-Identifier: Apache-2.0
// JSON in and out; numbers are decimal strings, as in EIP-3076.
#include "node/signer/interchange.hpp"

#include <algorithm>
#include <charconv>

#include <boost/json.hpp>

namespace trainyard::node::signer {
namespace {

namespace json = boost::json;

constexpr std::string_view kVersion = "1";

/// Reads members one by one and keeps the first thing that is wrong.
class Reading {
public:
    std::optional<std::string> error;

    void fail(const std::string& where, std::string_view what) {
        if (!error) error = where + ": " + std::string(what);
    }
    const json::object* object(const json::value* v, const std::string& where,
                               std::initializer_list<std::string_view> known) {
        const auto* o = v == nullptr ? nullptr : v->if_object();
        if (o == nullptr) return fail(where, "must be an object"), nullptr;
        for (const auto& [key, value] : *o)
            if (std::find(known.begin(), known.end(), std::string_view(key)) == known.end())
                fail(where, "has a member that this release does not know: '" +
                                std::string(key.substr(0, 64)) + "'");
        return o;
    }
    const json::array* array(const json::object& o, const char* key, const std::string& where,
                             size_t most) {
        const auto* v = o.if_contains(key);
        const auto* a = v == nullptr ? nullptr : v->if_array();
        if (a == nullptr) return fail(where + "." + key, "must be a list"), nullptr;
        if (a->size() > most)
            return fail(where + "." + key, "is longer than " + std::to_string(most)), nullptr;
        return a;
    }
    std::string_view text(const json::object& o, const char* key, const std::string& where) {
        const auto* v = o.if_contains(key);
        const auto* s = v == nullptr ? nullptr : v->if_string();
        if (s == nullptr) fail(where + "." + key, "must be a string");
        return s == nullptr ? std::string_view() : std::string_view(s->data(), s->size());
    }
    uint64_t number(const json::object& o, const char* key, const std::string& where) {
        const auto digits = text(o, key, where);
        uint64_t value = 0;
        const auto [end, failed] =
            std::from_chars(digits.data(), digits.data() + digits.size(), value);
        const bool canonical = digits == std::to_string(value);
        if (failed != std::errc{} || end != digits.data() + digits.size() || !canonical)
            fail(where + "." + key, "must be a decimal number in a string");
        return value;
    }
    template <class T>
    T fixed(const json::object& o, const char* key, const std::string& where) {
        const auto value = fixed_from_hex<T>(text(o, key, where));
        if (!value)
            fail(where + "." + key,
                 "must be " + std::to_string(T::size()) + " bytes in hexadecimal");
        return value.value_or(T{});
    }
};

Position read_position(Reading& in, const json::object& o, const std::string& where) {
    return {{in.number(o, "epoch", where)}, {in.number(o, "view", where)}};
}

void read_view(Reading& in, const json::value& value, const std::string& where, History& out) {
    const auto* o = in.object(&value, where, {"epoch", "view", "notarize", "finalize", "nullify"});
    if (o == nullptr) return;
    const Position at = read_position(in, *o, where);
    SignedView view;
    if (o->contains("notarize")) view.notarized = in.fixed<Hash>(*o, "notarize", where);
    if (o->contains("finalize")) view.finalized = in.fixed<Hash>(*o, "finalize", where);
    if (const auto* nullify = o->if_contains("nullify")) {
        if (!nullify->is_bool()) in.fail(where + ".nullify", "must be true or false");
        view.nullified = nullify->is_bool() && nullify->get_bool();
    }
    if (view == SignedView{}) in.fail(where, "says of no vote");
    if (at < out.mark) in.fail(where, "lies below the mark");
    if (!out.views.emplace(at, view).second) in.fail(where, "gives a view a second time");
}

void read_key(Reading& in, const json::value& value, const std::string& where, Interchange& out) {
    const auto* o = in.object(&value, where, {"pubkey", "low_water_mark", "signed_views"});
    if (o == nullptr) return;
    KeyHistory key{in.fixed<PublicKey>(*o, "pubkey", where), {}};
    const std::string mark_at = where + ".low_water_mark";
    if (const auto* mark = in.object(o->if_contains("low_water_mark"), mark_at, {"epoch", "view"}))
        key.history.mark = read_position(in, *mark, mark_at);
    const auto* views = in.array(*o, "signed_views", where, kInterchangeViewsMax);
    for (size_t i = 0; views != nullptr && i < views->size() && !in.error; ++i)
        read_view(in, (*views)[i], where + ".signed_views[" + std::to_string(i) + "]", key.history);
    for (const auto& other : out.keys)
        if (other.key == key.key) in.fail(where, "gives a key a second time");
    out.keys.push_back(std::move(key));
}

void read_root(Reading& in, const json::value& root, Interchange& out) {
    const auto* o = in.object(&root, "file", {"metadata", "data"});
    if (o == nullptr) return;
    const auto* metadata = in.object(o->if_contains("metadata"), "metadata",
                                     {"interchange_format_version", "chain_id", "genesis_hash"});
    if (metadata == nullptr) return;
    if (in.text(*metadata, "interchange_format_version", "metadata") != kVersion)
        in.fail("metadata.interchange_format_version", "must be \"1\"");
    out.chain.chain_id = in.number(*metadata, "chain_id", "metadata");
    out.chain.genesis_hash = in.fixed<Hash>(*metadata, "genesis_hash", "metadata");
    const auto* data = in.array(*o, "data", "file", kInterchangeKeysMax);
    for (size_t i = 0; data != nullptr && i < data->size() && !in.error; ++i)
        read_key(in, (*data)[i], "data[" + std::to_string(i) + "]", out);
}

std::string quoted(uint64_t n) {
    return "\"" + std::to_string(n) + "\"";
}

std::string view_json(const Position& at, const SignedView& view) {
    std::string out =
        "{\"epoch\": " + quoted(at.epoch.value) + ", \"view\": " + quoted(at.view.value);
    if (view.notarized) out += ", \"notarize\": \"" + to_hex0x(view.notarized->bytes) + "\"";
    if (view.finalized) out += ", \"finalize\": \"" + to_hex0x(view.finalized->bytes) + "\"";
    if (view.nullified) out += ", \"nullify\": true";
    return out + "}";
}

}  // namespace

std::string write_interchange(const Interchange& interchange) {
    std::string out = "{\n  \"metadata\": {\"interchange_format_version\": \"1\", \"chain_id\": " +
                      quoted(interchange.chain.chain_id) + ", \"genesis_hash\": \"" +
                      to_hex0x(interchange.chain.genesis_hash.bytes) + "\"},\n  \"data\": [";
    for (size_t i = 0; i < interchange.keys.size(); ++i) {
        const auto& [key, history] = interchange.keys[i];
        out += std::string(i == 0 ? "" : ",") + "\n    {\"pubkey\": \"" + to_hex0x(key.bytes) +
               "\",\n     \"low_water_mark\": {\"epoch\": " + quoted(history.mark.epoch.value) +
               ", \"view\": " + quoted(history.mark.view.value) + "},\n     \"signed_views\": [";
        bool first = true;
        for (const auto& [at, view] : history.views) {
            out += std::string(first ? "" : ",") + "\n      " + view_json(at, view);
            first = false;
        }
        out += "]}";
    }
    return out + "]\n}\n";
}

Result<Interchange, std::string> parse_interchange(std::string_view text) {
    if (text.size() > kInterchangeBytesMax)
        return unexpected(std::string("file: larger than 16 MiB"));
    boost::system::error_code failed;
    const auto root = json::parse({text.data(), text.size()}, failed);
    if (failed) return unexpected("file: not JSON (" + failed.message() + ")");
    Reading in;
    Interchange out;
    read_root(in, root, out);
    if (in.error) return unexpected(std::move(*in.error));
    return out;
}

}  // namespace trainyard::node::signer
