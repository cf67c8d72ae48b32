// SPDX-License-Identifier: Apache-2.0
// `trainyard provider check`: is this machine fit to train for pay, how fast is it, what would it
// earn. Each line says what was found, what is needed, and what to do.
#include <algorithm>
#include <filesystem>

#include <boost/json.hpp>

#include "cuda/challenge.hpp"
#include "cuda/cuda_backend.hpp"
#include "node/cli/check_report.hpp"
#include "node/cli/jobs.hpp"
#include "node/cli/machine.hpp"
#include "node/provider/offers.hpp"
#include "node/verify/backend_choice.hpp"
#include "node/wallet/secrets.hpp"
#include "training/capability.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;

/// "13.0" of 13000.
std::string cuda_version(int version) {
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

class Check {
public:
    Check(const Output& out, const ProviderCheckArgs& args) : report_(out), args_(args) {}

    int run() {
        report_.show(driver());
        report_.show(memory());
        report_.show(disk());
        auto choice = verify::choose_backend({args_.threads, !args_.no_cuda});
        report_.show(self_test_line(choice, "what it trains would be slashed"));
        if (!choice.backend) return kFailed;
        is_device_ = !choice.backend->is_host();
        report_.show(products(*choice.backend));
        report_.show(bandwidth(*choice.backend));
        report_.show(challenge());
        if (!args_.rpc.empty()) report_.show(income(*choice.backend));
        return report_.exit_code();
    }

private:
    CheckLine driver() {
        const auto devices = cuda::cuda_devices();
        CheckLine line{"driver", "", "compute capability 8.0, or the CPU"};
        if (!devices.empty() && !args_.no_cuda) {
            const auto& d = devices[0];
            memory_bytes_ = d.memory_bytes;
            has_ecc_ = d.has_ecc;
            device_ = d.index;
            line.actual = d.name + ", compute capability " + std::to_string(d.major) + "." +
                          std::to_string(d.minor) + ", driver for CUDA " + cuda_version(d.driver);
            line.required += "; driver for CUDA " + cuda_version(d.runtime);
            line.passed = d.driver >= d.runtime;
            if (!line.passed) line.advice = "install a newer NVIDIA driver";
            return line;
        }
        line.actual = args_.no_cuda ? "CPU, as --no-cuda says" : cuda::cuda_unavailable();
        const bool has_gpu = std::filesystem::exists("/proc/driver/nvidia/version") ||
                             std::filesystem::exists("/dev/nvidia0");
        line.passed = args_.no_cuda || !has_gpu;
        line.advice = line.passed ? "jobs are trained on the CPU; a GPU is far faster"
                                  : "there is an NVIDIA GPU here that CUDA cannot use: see the "
                                    "reason, `nvidia-smi`, or give --no-cuda";
        return line;
    }

    CheckLine memory() const {
        const uint64_t needed = uint64_t{args_.memory_mb} << 20;
        const uint64_t host = available_memory_bytes();
        const uint64_t there = memory_bytes_ != 0 ? memory_bytes_ : host;
        const std::string where =
            has_ecc_ ? " on the GPU, with ECC" : " on the GPU, without ECC: products are checked";
        CheckLine line{"memory", size_text(there) + (memory_bytes_ != 0 ? where : " available"),
                       size_text(needed) + " (--memory-mb)"};
        line.passed = there >= needed;
        if (!line.passed) line.advice = "lower --memory-mb, or add memory";
        line.values = {{"bytes", there}};
        return line;
    }

    CheckLine disk() const {
        constexpr uint64_t kFreeMin = uint64_t{4} << 30;
        const auto free = free_disk_bytes(args_.datadir);
        CheckLine line{"disk", free ? size_text(*free) + " free" : "the system does not say",
                       size_text(kFreeMin) + " for checkpoints"};
        line.passed = free && *free >= kFreeMin;
        if (!line.passed) line.advice = "give --datadir a folder on a larger disk";
        return line;
    }

    static CheckLine products(training::Backend& backend) {
        const auto rate = measure_product(backend);
        CheckLine line{"products", "", "no wrong row (Freivalds, secret vectors)"};
        line.passed = rate.tops > 0 && !rate.wrong_row;
        line.actual = rate.tops == 0   ? "the back end failed"
                      : rate.wrong_row ? "row " + std::to_string(*rate.wrong_row) + " is wrong"
                                       : number_text(rate.tops, rate.tops < 10 ? 3 : 0) +
                                             " int8 TOP/s on " + backend.name();
        if (!line.passed) line.advice = "do not train on this machine; its products are wrong";
        line.values = {{"topPerS", rate.tops}};
        return line;
    }

    static CheckLine bandwidth(training::Backend& backend) {
        const double rate = measure_bandwidth(backend);
        CheckLine line{"bandwidth", number_text(rate, 1) + " GB/s", "any"};
        line.passed = rate > 0;
        if (!line.passed) line.advice = "the back end failed or has less memory than 2 GiB";
        line.values = {{"gBPerS", rate}};
        return line;
    }

    CheckLine challenge() const {
        const training::Challenge c{wallet::random_fixed<Hash>(), is_device_ ? 4096U : 512U,
                                    is_device_ ? 16U : 4U};
        CheckLine line{"challenge", "", "drawn rows as computed on the CPU"};
        const auto cpu = training::make_cpu_chain(c, args_.threads);
        const double start = seconds_now();
        const auto proof =
            training::prove(c, is_device_ ? cuda::make_device_chain(device_, c) : cpu);
        const double took = seconds_now() - start;
        const auto beacon = wallet::random_fixed<Hash>();
        line.passed = false;
        line.actual = "the back end failed";
        line.advice = "see the line of the self-test";
        if (!proof) return line;
        const auto opening = training::open_rows(*proof, training::drawn_rows(c, beacon));
        const auto right = training::verify_rows(c, proof->root, beacon, opening, cpu);
        line.passed = right && *right;
        line.actual = std::to_string(c.links) + " products of " + std::to_string(c.size) +
                      "^3 in " + number_text(took * 1e3, 0) + " ms, " +
                      std::to_string(training::kChallengeRows) + " rows " +
                      (line.passed ? "right" : "WRONG");
        if (line.passed) line.advice.clear();
        line.values = {{"ms", took * 1e3}, {"root", to_hex0x(proof->root.bytes)}};
        return line;
    }

    /// Coins an hour with one open job, or why it is not for us.
    static Result<double, std::string> income_of(wallet::MarketApi& market,
                                                 const provider::OfferRules& rules, double block_s,
                                                 const wallet::JobSpec& spec) {
        if (!spec.provider.is_zero()) return unexpected(std::string("it is for one provider only"));
        if (auto why = provider::why_not(spec, rules, Address{}, unix_seconds()); !why.empty())
            return unexpected(why);
        const auto program = provider::fetch_program(market, spec, rules);
        if (!program) return unexpected(program.error());
        const auto demand = provider::demand_of(*program, rules);
        if (auto why = provider::why_no_room(demand, rules); !why.empty()) return unexpected(why);
        const double segment_s = demand.step_s * spec.steps_per_segment;
        if (segment_s <= 0) return unexpected(std::string("the back end failed"));
        if (auto why = provider::why_too_slow(spec, demand, {block_s, unix_seconds()});
            !why.empty())
            return unexpected(why);
        return std::stod(coins(spec.price_wei)) * 3600 / segment_s;
    }

    CheckLine income(training::Backend& backend) const {
        constexpr uint64_t kJobsMax = 20;
        CheckLine line{"income", "", "a node that answers"};
        const auto market = open_reader(args_.rpc);
        const auto count = market ? (*market)->job_count() : wallet::Answer<uint64_t>(uint64_t{0});
        if (!market || !count) {
            line.passed = false;
            line.actual = market ? count.error().text : market.error();
            line.advice = "start a node, or give its URL with --rpc";
            return line;
        }
        auto rules = offer_rules(args_.memory_mb, args_.datadir);
        rules.step_seconds = [&backend](const auto& program, const auto& plan) {
            return forecast_job_step(backend, program, plan);
        };
        const double block_s = (*market)->block_seconds().value_or(0);
        double best = 0;
        uint64_t best_job = 0, open = 0, fitting = 0;
        for (uint64_t id = *count; id-- > 0 && *count - id <= kJobsMax;) {
            const auto job = (*market)->job(id);
            if (!job || job->state != wallet::JobState::open) continue;
            ++open;
            const auto spec = (*market)->spec(id);
            if (!spec) continue;
            const auto earns = income_of(**market, rules, block_s, *spec);
            if (!earns) {
                line.advice += "job " + std::to_string(id) + ": " + earns.error() + "; ";
                continue;
            }
            ++fitting;
            if (*earns >= best) best = *earns, best_job = id;
        }
        line.actual = std::to_string(open) + " open jobs, " + std::to_string(fitting) + " fit";
        if (fitting > 0)
            line.actual += "; up to " + number_text(best, 3) + " coins an hour with job " +
                           std::to_string(best_job);
        line.values = {{"openJobs", open}, {"fitting", fitting}, {"coinsPerHour", best}};
        return line;
    }

    CheckReport report_;
    const ProviderCheckArgs& args_;
    bool is_device_ = false;
    int device_ = 0;
    uint64_t memory_bytes_ = 0;  ///< of the GPU; 0: none is used
    bool has_ecc_ = false;
};

}  // namespace

int run_provider_check(const Output& out, const ProviderCheckArgs& args) {
    return Check(out, args).run();
}

}  // namespace trainyard::node::cli
