// SPDX-License-Identifier: Apache-2.0
// rpc_discover (OpenRPC) and rpc_modules, written from the method table.
#include <set>
#include <string>

#include "rpc/method.hpp"

namespace trainyard::rpc {

namespace {

constexpr std::string_view kQuantityPattern = "^0x(0|[1-9a-f][0-9a-f]*)$";
constexpr std::string_view kDataPattern = "^0x([0-9a-f]{2})*$";

void write_type(JsonWriter& out, std::string_view type) {
    out.key("type").text(type);
}

void write_string(JsonWriter& out, std::string_view title, std::string_view pattern) {
    write_type(out, "string");
    out.key("title").text(title).key("pattern").text(pattern);
}

void write_kind(JsonWriter& out, Kind kind) {
    out.begin_object();
    switch (kind) {
        case Kind::address:
            write_string(out, "address", "^0x[0-9a-fA-F]{40}$");
            break;
        case Kind::hash:
            write_string(out, "hash", "^0x[0-9a-fA-F]{64}$");
            break;
        case Kind::data:
            write_string(out, "bytes", "^0x([0-9a-fA-F]{2})*$");
            break;
        case Kind::quantity:
            write_string(out, "quantity", "^0x(0|[1-9a-fA-F][0-9a-fA-F]*)$");
            break;
        case Kind::count:
            out.key("title").text("quantity or number");
            break;
        case Kind::block:
            out.key("title").text("block number, tag, hash or EIP-1898 object");
            break;
        case Kind::block_number:
            out.key("title").text("block number or tag");
            break;
        case Kind::slot:
            write_string(out, "storage key", "^(0x)?[0-9a-fA-F]{0,64}$");
            break;
        case Kind::proof_keys:
        case Kind::percentiles:
            write_type(out, "array");
            break;
        case Kind::boolean:
            write_type(out, "boolean");
            break;
        case Kind::text:
            write_type(out, "string");
            break;
        case Kind::subscribe_option:
            out.key("title").text("log filter or boolean");
            break;
        case Kind::slots_by_account:
        case Kind::call:
        case Kind::state_overrides:
        case Kind::block_overrides:
        case Kind::log_filter:
        case Kind::trace:
        case Kind::simulation:
            write_type(out, "object");
            break;
        case Kind::none:
            break;
    }
    out.end_object();
}

void write_shape(JsonWriter& out, Shape shape) {
    switch (shape) {
        case Shape::quantity:
            write_string(out, "quantity", kQuantityPattern);
            break;
        case Shape::data:
            write_string(out, "bytes", kDataPattern);
            break;
        case Shape::boolean:
            write_type(out, "boolean");
            break;
        case Shape::text:
            write_type(out, "string");
            break;
        case Shape::object:
            write_type(out, "object");
            break;
        case Shape::array:
            write_type(out, "array");
            break;
        case Shape::any:
            break;
    }
}

void write_result(JsonWriter& out, const Method& method) {
    out.key("result").begin_object().key("name").text("result").key("schema").begin_object();
    if (method.nullable) {
        out.key("oneOf").begin_array().begin_object();
        write_type(out, "null");
        out.end_object().begin_object();
        write_shape(out, method.result);
        out.end_object().end_array();
    } else {
        write_shape(out, method.result);
    }
    out.end_object().end_object();
}

void write_method(JsonWriter& out, const Method& method) {
    out.begin_object().key("name").text(method.name).key("summary").text(method.summary);
    out.key("params").begin_array();
    for (const auto& param : method.params) {
        if (param.kind == Kind::none) break;
        out.begin_object().key("name").text(param.name).key("required").boolean(param.required);
        out.key("schema");
        write_kind(out, param.kind);
        out.end_object();
    }
    out.end_array();
    write_result(out, method);
    out.end_object();
}

Outcome discover(Call& call) {
    auto& out = call.out;
    out.begin_object().key("openrpc").text("1.3.2").key("info").begin_object();
    out.key("title").text("Trainyard JSON-RPC");
    out.key("version").text(call.backend.client_version()).end_object();
    out.key("methods").begin_array();
    for (const auto* method : all_methods()) write_method(out, *method);
    out.end_array().end_object();
    return Done{};
}

Outcome modules(Call& call) {
    std::set<std::string_view> names;
    for (const auto* method : all_methods())
        names.insert(method->name.substr(0, method->name.find_first_of("_.")));
    call.out.begin_object();
    for (const auto name : names) call.out.key(name).text("1.0");
    call.out.end_object();
    return Done{};
}

constexpr Method kMethods[] = {
    {"rpc_discover", discover, {}, Shape::object, false, "this document (OpenRPC)"},
    {"rpc.discover", discover, {}, Shape::object, false, "this document, under OpenRPC's own name"},
    {"rpc_modules", modules, {}, Shape::object, false, "the namespaces"},
};

}  // namespace

std::span<const Method> discover_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
