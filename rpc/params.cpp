// SPDX-License-Identifier: Apache-2.0
// Decodes a call's parameters by the kinds of its row.
#include "rpc/params.hpp"

#include <boost/json/array.hpp>

#include "rpc/decode.hpp"

namespace trainyard::rpc {

namespace json = boost::json;

namespace {

template <class T>
Decoded<Args::Value> as_value(Decoded<T> decoded) {
    if (!decoded) return Unexpected(std::move(decoded).error());
    return Args::Value(std::in_place_type<T>, std::move(*decoded));
}

Decoded<bool> decode_boolean(const json::value& value) {
    if (!value.is_bool()) return Unexpected(std::string("expected a boolean"));
    return value.get_bool();
}

Decoded<std::string> decode_owned_text(const json::value& value) {
    const auto text = decode_text(value);
    if (!text) return Unexpected(text.error());
    return std::string(*text);
}

Decoded<SubscribeOption> decode_subscribe_option(const json::value& value) {
    if (value.is_bool()) return SubscribeOption{std::nullopt, value.get_bool()};
    auto filter = decode_log_filter(value);
    if (!filter) return Unexpected(std::move(filter).error());
    return SubscribeOption{std::move(*filter), false};
}

Decoded<Args::Value> decode(Kind kind, const json::value& value) {
    switch (kind) {
        case Kind::address:
            return as_value(decode_address(value));
        case Kind::hash:
            return as_value(decode_hash(value));
        case Kind::data:
            return as_value(decode_data(value));
        case Kind::quantity:
            return as_value(decode_quantity(value));
        case Kind::count:
            return as_value(decode_count(value));
        case Kind::block:
            return as_value(decode_block(value));
        case Kind::block_number:
            return as_value(decode_block_number(value));
        case Kind::slot:
            return as_value(decode_slot(value));
        case Kind::proof_keys:
            return as_value(decode_proof_keys(value));
        case Kind::slots_by_account:
            return as_value(decode_slots_by_account(value));
        case Kind::boolean:
            return as_value(decode_boolean(value));
        case Kind::text:
            return as_value(decode_owned_text(value));
        case Kind::call:
            return as_value(decode_call(value));
        case Kind::state_overrides:
            return as_value(decode_state_overrides(value));
        case Kind::block_overrides:
            return as_value(decode_block_overrides(value));
        case Kind::log_filter:
            return as_value(decode_log_filter(value));
        case Kind::subscribe_option:
            return as_value(decode_subscribe_option(value));
        case Kind::percentiles:
            return as_value(decode_percentiles(value));
        case Kind::trace:
            return as_value(decode_trace(value));
        case Kind::simulation:
            return as_value(decode_simulation(value));
        case Kind::none:
            break;
    }
    ASSERT(false);
}

size_t count_of(const ParamList& row) {
    size_t n = 0;
    while (n < row.size() && row[n].kind != Kind::none) ++n;
    return n;
}

}  // namespace

Result<Args, Error> decode_args(const ParamList& row, const json::array& given) {
    const size_t count = count_of(row);
    if (given.size() > count)
        return Unexpected(
            invalid_params("too many arguments, want at most " + std::to_string(count)));
    Args args;
    for (size_t i = 0; i < count; ++i) {
        const bool present = i < given.size() && !given[i].is_null();
        if (!present && row[i].required)
            return Unexpected(invalid_params("missing value for required argument " +
                                             std::to_string(i) + " (" + std::string(row[i].name) +
                                             ")"));
        if (!present) continue;
        auto value = decode(row[i].kind, given[i]);
        if (!value)
            return Unexpected(invalid_params("invalid argument " + std::to_string(i) + " (" +
                                             std::string(row[i].name) + "): " + value.error()));
        args.set(i, std::move(*value));
    }
    return args;
}

}  // namespace trainyard::rpc
