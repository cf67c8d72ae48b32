// SPDX-License-Identifier: Apache-2.0
// A row of the method table, and what a handler is given.
#pragma once

#include <span>
#include <string_view>

#include "rpc/error.hpp"
#include "rpc/json.hpp"
#include "rpc/params.hpp"

namespace trainyard::rpc {

class Service;
struct Asker;

struct Call {
    Service& service;
    Backend& backend;
    const Args& args;
    JsonWriter& out;  ///< where a handler that succeeds has written exactly one value
    const Asker& asker;
};

using Outcome = Result<Done, Error>;
using Handler = Outcome (*)(Call& call);

/// What a method answers, as the OpenRPC document says it.
enum class Shape { quantity, data, boolean, text, object, array, any };

struct Method {
    std::string_view name;
    Handler handler;
    ParamList params;
    Shape result;
    bool nullable;  ///< the answer may be null
    std::string_view summary;
};

/// The rows of one file; together they are the table.
[[nodiscard]] std::span<const Method> block_methods();
[[nodiscard]] std::span<const Method> state_methods();
[[nodiscard]] std::span<const Method> call_methods();
[[nodiscard]] std::span<const Method> simulate_methods();
[[nodiscard]] std::span<const Method> config_methods();
[[nodiscard]] std::span<const Method> fee_methods();
[[nodiscard]] std::span<const Method> tx_methods();
[[nodiscard]] std::span<const Method> log_methods();
[[nodiscard]] std::span<const Method> subscribe_methods();
[[nodiscard]] std::span<const Method> admin_methods();
[[nodiscard]] std::span<const Method> net_methods();
[[nodiscard]] std::span<const Method> txpool_methods();
[[nodiscard]] std::span<const Method> debug_methods();
[[nodiscard]] std::span<const Method> trace_methods();
[[nodiscard]] std::span<const Method> yard_methods();
[[nodiscard]] std::span<const Method> market_methods();
[[nodiscard]] std::span<const Method> light_methods();
[[nodiscard]] std::span<const Method> discover_methods();

/// The whole table in the order of the namespaces' files; names are unique.
[[nodiscard]] std::span<const Method* const> all_methods();
[[nodiscard]] const Method* find_method(std::string_view name);

}  // namespace trainyard::rpc
