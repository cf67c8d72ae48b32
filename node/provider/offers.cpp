// SPDX-License-Identifier: Apache-2.0
// The rules of taking work.
#include "node/provider/offers.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/hash.hpp"
#include "node/provider/trainer.hpp"
#include "node/wallet/blob.hpp"
#include "node/wallet/coins.hpp"
#include "training/gradient_log.hpp"
#include "training/plan.hpp"
#include "training/referee/size.hpp"

namespace trainyard::node::provider {
namespace {

constexpr uint64_t kProgramBytesMax = training::ProgramLimits::encoded_bytes_max;

Result<Bytes, std::string> fetch(wallet::MarketApi& market, const Hash& id, uint64_t size_max,
                                 const std::string& what) {
    auto content = market.get_blob(id, size_max);
    if (!content) return unexpected("its " + what + " is not to be had: " + content.error().text);
    if (wallet::blob_id(*content) != id)
        return unexpected("the node gave another " + what + " than the job names");
    return std::move(*content);
}

/// Empty if the program is the one the spec describes.
std::string mismatch(const wallet::JobSpec& spec, const training::Program& program) {
    const auto& run = program.run;
    if (run.segment_length != spec.steps_per_segment ||
        uint64_t{spec.segments} * spec.steps_per_segment != run.steps)
        return "its segments are not those of its program";
    if (run.micro_batches != spec.micro_batches)
        return "its number of micro-batches is not that of its program";
    if (program.data.root != spec.data) return "its program names another data set";
    if (program.recipe != training::Recipe::rmp1)
        return "its recipe is for comparison only and cannot be audited";
    return "";
}

}  // namespace

std::string why_not(const wallet::JobSpec& spec, const OfferRules& rules, const Address& self,
                    uint64_t now_s) {
    if (!spec.provider.is_zero() && spec.provider != self)
        return "only " + to_hex0x(spec.provider.bytes) + " may take it";
    if (now_s > spec.deadline_s) return "its deadline has passed";
    if (spec.price_wei < rules.price_wei_min)
        return "it pays " + wallet::in_coins(spec.price_wei) + " per segment, less than our " +
               wallet::coins(rules.price_wei_min);
    return "";
}

Result<training::Program, std::string> fetch_program(wallet::MarketApi& market,
                                                     const wallet::JobSpec& spec,
                                                     const OfferRules& rules) {
    const auto encoded = fetch(market, spec.program, kProgramBytesMax, "program");
    if (!encoded) return unexpected(encoded.error());
    if (sha256(*encoded) != spec.program_id)
        return unexpected(std::string("its program has another id than the job names"));
    auto program = training::decode_program(*encoded);
    if (!program)
        return unexpected("its program is refused: " + training::to_text(program.error()));
    if (auto fault = mismatch(spec, *program); !fault.empty()) return unexpected(fault);
    const auto plan = training::plan(*program);
    if (!plan) return unexpected("its program is refused: " + training::to_text(plan.error()));
    // The state, one that is brought to disk and its encoding; frozen weights, twice while they are
    // loaded; gradients that are summed, and the sets on their way to the log; the data set.
    const uint64_t sets = std::bit_width(spec.micro_batches) + training::GradientSaver::kSets;
    const uint64_t needed = plan->state_bytes * 3 + plan->constant_bytes * 2 + plan->arena_bytes +
                            plan->gradient_bytes * sets + program->data.size_bytes;
    if (needed > rules.memory_bytes_max)
        return unexpected("it needs " + std::to_string(needed >> 20) + " MiB, our limit is " +
                          std::to_string(rules.memory_bytes_max >> 20));
    const auto limits = market.audit_limits();
    if (!limits) return unexpected(limits.error().text);
    if (auto why = training::beyond_audit(*program, *limits, spec.segment_blocks); !why.empty())
        return unexpected("it could not be audited and would not be paid: " + why);
    if (training::audit_unit_work(*program, *limits) != spec.unit_work)
        return unexpected(std::string("its work of a unit is not that of its program"));
    if (auto why = training::referee::beyond_dispute(*program); !why.empty())
        return unexpected("it could not be defended: " + why);
    return std::move(*program);
}

Demand demand_of(const training::Program& program, const OfferRules& rules) {
    const auto plan = training::plan(program);
    if (!plan) return {};
    Demand out;
    if (rules.step_seconds) out.step_s = rules.step_seconds(program, *plan);
    // One segment in training, the ones that wait behind it, and the state before them all.
    const uint64_t length = program.run.segment_length;
    const uint64_t ahead = TrainerOptions{}.segments_ahead_max + uint64_t{1};
    const uint64_t segments = std::min(ahead, program.run.steps / length);
    out.disk_bytes = segments * length * plan->gradient_bytes + (segments + 1) * plan->state_bytes;
    return out;
}

std::string why_too_slow(const wallet::JobSpec& spec, const Demand& demand, const Clock& clock) {
    const auto seconds = [](double s) { return std::to_string(std::llround(std::ceil(s))) + " s"; };
    const double segment_s = demand.step_s * spec.steps_per_segment;
    const double allowed_s = static_cast<double>(spec.segment_blocks) * clock.block_s;
    if (clock.block_s > 0 && segment_s > allowed_s)
        return "a segment takes this machine some " + seconds(segment_s) + ", and it allows " +
               std::to_string(spec.segment_blocks) + " blocks, some " + seconds(allowed_s);
    const double job_s = segment_s * spec.segments;
    const double left_s = static_cast<double>(spec.deadline_s) - static_cast<double>(clock.now_s);
    if (job_s > left_s)
        return "this machine needs some " + seconds(job_s) + " for it, and its deadline is in " +
               seconds(std::max(0.0, left_s));
    return "";
}

std::string why_no_room(const Demand& demand, const OfferRules& rules) {
    if (!rules.disk_bytes_free) return "";
    const uint64_t free = rules.disk_bytes_free();
    if (demand.disk_bytes <= free) return "";
    return "it needs " + std::to_string(demand.disk_bytes >> 20) +
           " MiB on disk for states and gradients, and " + std::to_string(free >> 20) +
           " MiB are free; give --datadir a folder on a larger disk";
}

Result<JobMaterial, std::string> fetch_material(wallet::MarketApi& market,
                                                const wallet::JobSpec& spec,
                                                const OfferRules& rules) {
    auto program = fetch_program(market, spec, rules);
    if (!program) return unexpected(program.error());
    auto data = fetch(market, spec.data, rules.data_bytes_max, "data set");
    if (!data) return unexpected(data.error());
    if (data->size() != program->data.size_bytes)
        return unexpected(std::string("its data set has another size than its program says"));
    return JobMaterial{std::move(*program), std::move(*data)};
}

}  // namespace trainyard::node::provider
