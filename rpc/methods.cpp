// SPDX-License-Identifier: Apache-2.0
// The method table: the rows of all namespaces in one place.
#include <algorithm>
#include <vector>

#include "rpc/method.hpp"

namespace trainyard::rpc {

namespace {

struct Table {
    std::vector<const Method*> rows;     ///< in the order of the files
    std::vector<const Method*> by_name;  ///< sorted for lookup

    Table() {
        for (const auto methods :
             {block_methods(), state_methods(), call_methods(), simulate_methods(),
              config_methods(), fee_methods(), tx_methods(), log_methods(), subscribe_methods(),
              net_methods(), admin_methods(), txpool_methods(), debug_methods(), trace_methods(),
              yard_methods(), market_methods(), light_methods(), discover_methods()})
            for (const auto& method : methods) rows.push_back(&method);
        by_name = rows;
        std::sort(by_name.begin(), by_name.end(),
                  [](const Method* a, const Method* b) { return a->name < b->name; });
    }
};

const Table& table() {
    static const Table instance;
    return instance;
}

}  // namespace

std::span<const Method* const> all_methods() {
    return table().rows;
}

const Method* find_method(std::string_view name) {
    const auto& rows = table().by_name;
    const auto found =
        std::lower_bound(rows.begin(), rows.end(), name,
                         [](const Method* m, std::string_view n) { return m->name < n; });
    return found != rows.end() && (*found)->name == name ? *found : nullptr;
}

}  // namespace trainyard::rpc
