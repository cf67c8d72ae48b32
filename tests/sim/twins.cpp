// SPDX-License-Identifier: Apache-2.0
// Counts through leaders and groups, and leaves out what differs only by names.
#include "tests/sim/twins.hpp"

#include <algorithm>
#include <numeric>

#include "tests/sim/random.hpp"

namespace trainyard::sim {
namespace {

constexpr uint64_t kAttackMs = 3000;
constexpr uint64_t kHeightsAfter = 10;

/// One view: its leader, and the group of the nodes that are not with node 0.
struct ViewPlan {
    unsigned leader = 0;
    uint32_t group = 0;
    auto operator<=>(const ViewPlan&) const = default;
};
using Scenario = std::vector<ViewPlan>;

unsigned machines(const TwinsPlan& plan) {
    return plan.nodes + plan.twins;
}

uint64_t choices(const TwinsPlan& plan) {
    return uint64_t{plan.nodes} << (machines(plan) - 1);
}

ViewPlan view_plan(const TwinsPlan& plan, uint64_t choice) {
    return {static_cast<unsigned>(choice % plan.nodes), static_cast<uint32_t>(choice / plan.nodes)
                                                            << 1};
}

/// The same scenario with the honest nodes called otherwise: node i becomes names[i].
Scenario renamed(const Scenario& scenario, const std::vector<unsigned>& names) {
    Scenario out;
    for (const auto& view : scenario) {
        uint32_t group = 0;
        for (unsigned i = 0; i < names.size(); ++i) group |= (view.group >> i & 1U) << names[i];
        out.push_back({names[view.leader], group});
    }
    return out;
}

/// Is it the first of those that differ only by the names of the honest nodes?
bool is_first_of_its_kind(const TwinsPlan& plan, const Scenario& scenario) {
    std::vector<unsigned> names(machines(plan));
    std::iota(names.begin(), names.end(), 0U);
    const auto honest = names.begin() + plan.twins, end = names.begin() + plan.nodes;
    while (std::next_permutation(honest, end))
        if (renamed(scenario, names) < scenario) return false;
    return true;
}

Options options_of(const TwinsPlan& plan, const Scenario& scenario, uint64_t seed) {
    Options out;
    out.seed = seed;
    out.nodes = plan.nodes;
    out.faults = Faults::none();
    out.equal_stakes = true;
    out.heights_min = out.heights_healed = kHeightsAfter;
    out.faulty_ms_min = out.faulty_ms_max = kAttackMs;
    out.twins.count = plan.twins;
    out.epoch_length = plan.epoch_length;
    for (const auto& view : scenario) {
        out.twins.leaders.push_back(view.leader);
        out.twins.groups.push_back(view.group);
    }
    return out;
}

}  // namespace

void for_each_scenario(const TwinsPlan& plan, const std::function<void(const Options&)>& run) {
    Random random(plan.seed);
    uint64_t seed = plan.seed, count = plan.samples;
    const uint64_t base = choices(plan);
    if (plan.samples == 0) count = 1;
    for (unsigned v = 0; v < plan.views && plan.samples == 0; ++v) count *= base;
    for (uint64_t number = 0; number < count; ++number) {
        Scenario scenario;
        uint64_t rest = number;
        for (unsigned v = 0; v < plan.views; ++v, rest /= base)
            scenario.push_back(
                view_plan(plan, plan.samples == 0 ? rest % base : random.next() % base));
        if (plan.samples == 0 && !is_first_of_its_kind(plan, scenario)) continue;
        run(options_of(plan, scenario, seed++));
    }
}

}  // namespace trainyard::sim
