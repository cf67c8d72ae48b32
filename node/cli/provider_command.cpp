// SPDX-License-Identifier: Apache-2.0
// `trainyard provider`: the loop around the provider's worker, and what it shows.
#include <atomic>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <thread>

#include <boost/json.hpp>
#include <unistd.h>

#include "node/blobs/file.hpp"
#include "node/cli/jobs.hpp"
#include "node/cli/machine.hpp"
#include "node/cli/self_test_report.hpp"
#include "node/provider/place.hpp"
#include "node/provider/worker.hpp"
#include "node/runtime/process.hpp"
#include "node/runtime/service_manager.hpp"
#include "node/verify/backend_choice.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/hd.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
using provider::Event;

/// Shows events as JSON lines, or as text with a bar below.
class EventView {
public:
    explicit EventView(const Output& out) : out_(out), line_(out) {}

    void show(const Event& e) {
        const std::lock_guard lock(mutex_);
        if (e.kind == Event::Kind::step) rate_.on_step(e.step, steady_ms());
        latest_ = words(e);
        if (out_.json) return out_.line(json::serialize(as_json(e)));
        if (e.kind == Event::Kind::step) return line_.show(progress_text(progress(e)));
        line_.clear();
        out_.say(latest_);
    }

    /// The last event in words.
    [[nodiscard]] std::string latest() const {
        const std::lock_guard lock(mutex_);
        return latest_;
    }

private:
    [[nodiscard]] Progress progress(const Event& e) const {
        const double per_s = rate_.steps_per_s();
        Progress p;
        p.step = e.step;
        p.steps = e.steps;
        p.loss = std::bit_cast<float>(e.loss_bits);
        p.tokens_per_s = per_s * static_cast<double>(e.tokens_per_step);
        p.tops = per_s * 2e-12 * static_cast<double>(e.macs_per_step);
        p.seconds_left = per_s > 0 ? static_cast<uint64_t>((e.steps - e.step) / per_s) : 0;
        p.committed = e.committed;
        p.accepted = e.accepted;
        p.segments = e.segments;
        return p;
    }

    [[nodiscard]] json::object as_json(const Event& e) const {
        json::object o{{"event", std::string(provider::to_text(e.kind))}};
        if (e.kind == Event::Kind::note || e.kind == Event::Kind::unfunded) {
            o["text"] = e.text;
            return o;
        }
        o["job"] = e.job;
        if (e.kind == Event::Kind::step) {
            const auto p = progress(e);
            o["step"] = p.step;
            o["steps"] = p.steps;
            o["loss"] = p.loss;
            o["tokensPerS"] = p.tokens_per_s;
            o["topPerS"] = p.tops;
            o["secondsLeft"] = p.seconds_left;
        } else {
            o["seg"] = e.seg;
            if (e.kind == Event::Kind::diverged) o["step"] = e.step, o["steps"] = e.steps;
            o["block"] = e.block;
            o["tx"] = to_hex0x(e.tx.bytes);
            o["text"] = e.text;
        }
        o["committed"] = e.committed;
        o["accepted"] = e.accepted;
        o["segments"] = e.segments;
        return o;
    }

    [[nodiscard]] static std::string words(const Event& e) {
        const std::string job = "job " + std::to_string(e.job);
        const std::string seg = job + " segment " + std::to_string(e.seg);
        const std::string at = e.block != 0 ? " in block " + std::to_string(e.block) : "";
        switch (e.kind) {
            case Event::Kind::note:
                return e.text;
            case Event::Kind::skipped:
                return job + " not taken: " + e.text;
            case Event::Kind::unfunded:
                return yellow(e.text);
            case Event::Kind::outrun:
                return job + " went to another provider, " + e.text +
                       ", which was faster; the next one may be ours";
            case Event::Kind::taken:
                return job + " taken" + at + ", " + e.text;
            case Event::Kind::committed:
                return seg + " committed" + at;
            case Event::Kind::diverged:
                return yellow(
                    seg + " diverges at its step " + std::to_string(e.step) + " of " +
                    std::to_string(e.steps) +
                    " (Inf or NaN, whoever trains it; a second run confirms it): claimed" + at +
                    "; auditors who find the same let it be paid for " + std::to_string(e.step) +
                    " of " + std::to_string(e.steps) + " steps, " + e.text +
                    " coins less the market's fee");
            case Event::Kind::served:
                return seg + " served to its auditors" + at;
            case Event::Kind::opened:
                return seg + " opened" + at;
            case Event::Kind::accepted:
                return seg + " accepted";
            case Event::Kind::disputed:
                return seg + " disputed" + at + " " + e.text;
            case Event::Kind::moved:
                return seg + " shown to the referee" + at + ": " + e.text;
            case Event::Kind::won:
                return green(seg + " stands: its dispute is won");
            case Event::Kind::convicted:
                return red(seg + " convicted by its committee: " + e.text);
            case Event::Kind::appealed:
                return seg + " appealed" + at + " " + e.text;
            case Event::Kind::acquitted:
                return green(seg + " acquitted");
            case Event::Kind::paid:
                return job + " paid: withdrew " + in_coins(parse_uint256(e.text).value_or(0)) + at;
            case Event::Kind::voided:
                return red(job + " lost: " + e.text);
            case Event::Kind::finished:
                return green(job + " finished");
            case Event::Kind::failed:
                return red(job + ": " + e.text);
            case Event::Kind::step:
                return job + " step " + std::to_string(e.step) + " of " + std::to_string(e.steps);
        }
        return "";
    }

    const Output& out_;
    mutable std::mutex mutex_;
    std::string latest_;
    ProgressLine line_;
    RateMeter rate_;
};

/// One thread that computes, while the caller's looks at the chain.
class WorkThread {
public:
    WorkThread() : thread_([this] { run(); }) { thread_.detach(); }
    void post(std::function<void()> task) {
        {
            const std::lock_guard lock(mutex_);
            tasks_.push_back(std::move(task));
        }
        wake_.notify_one();
    }

private:
    void run() {
        for (;;) {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return !tasks_.empty(); });
            auto task = std::move(tasks_.front());
            tasks_.pop_front();
            lock.unlock();
            task();
        }
    }
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> tasks_;
    std::thread thread_;
};

std::optional<training::Fault> parse_fault(const std::string& name) {
    if (name == "none") return training::Fault::none;
    if (name == "skip-steps") return training::Fault::skip_steps;
    if (name == "reuse-gradients") return training::Fault::reuse_gradients;
    if (name == "zero-gradients") return training::Fault::zero_gradients;
    if (name == "made-up-sums") return training::Fault::made_up_sums;
    if (name == "diverge") return training::Fault::diverge;
    return std::nullopt;
}

/// A file that is locked while it is open: of two processes each would take the other's segments
/// and nonces for its own.
Result<blobs::File, std::string> hold_folder(const std::string& path) {
    if (auto made = wallet::make_folder(path); !made) return unexpected(made.error().text);
    auto file = blobs::File::create(path + "/lock");
    if (file && !file->lock())
        return unexpected("'" + path +
                          "' is another provider's that runs: stop it, or give this one a "
                          "--datadir and a --key of its own");
    return file;
}

wallet::SenderOptions sending_options(const ProviderArgs& args, EventView& view) {
    wallet::SenderOptions out;
    out.folder = args.datadir;
    out.fee_max_wei = Uint256(args.fee_max_gwei) * Uint256(wallet::kWeiInGwei);
    out.say = [&view](const std::string& text) {
        Event note;
        note.text = text;
        view.show(note);
    };
    return out;
}

volatile std::sig_atomic_t stop_requested = 0;
void on_stop_signal(int) {
    stop_requested = 1;
}

/// Until a signal comes or, with `once`, a job is finished.
void work(provider::ProviderWorker& worker, bool once, const EventView& view) {
    runtime::catch_stop_signals(on_stop_signal);
    const auto service = runtime::ServiceManager::from_environment();
    service.ready();
    uint64_t next_report_ms = 0;
    while (stop_requested == 0 && worker.why_ended().empty() &&
           !(once && worker.jobs_finished() > 0)) {
        worker.tick();
        if (steady_ms() >= next_report_ms) {
            service.alive(view.latest());
            next_report_ms = steady_ms() + static_cast<uint64_t>(service.interval().count());
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(worker.has_job() ? 50 : 300));
    }
    service.stopping();
}

/// Everything that matters is on disk or on the chain; a segment in training is done again. Code 2
/// is not answered by a service manager with another start.
[[noreturn]] void end(const Output& out, const std::string& why_ended) {
    if (!why_ended.empty()) out.fail(why_ended);
    std::fflush(nullptr);
    ::_exit(why_ended.empty() ? kOk : kUsage);
}

}  // namespace

int run_provider(const Output& out, const ProviderArgs& args) {
    const auto fault = parse_fault(args.fault);
    const auto stake = parse_coins(args.stake), price = parse_coins(args.price);
    if (!fault) return out.fail("--fault '" + args.fault + "' is not known"), kUsage;
    if (!stake || !price)
        return out.fail("--stake and --price are amounts like 1.5 or 3gwei"), kUsage;
    if (args.key.key.empty())
        return out.fail("--key is required: a keystore, or dev:0 to dev:9 on a devnet"), kUsage;
    const auto held = hold_folder(args.datadir);
    if (!held) return out.fail(held.error());
    const auto place = provider::place_of(args.datadir);
    if (!place) return out.fail(place.error());
    verify::BackendOptions devices{args.threads, !args.no_cuda};
    devices.checksums = args.checksums;
    auto choice = verify::choose_backend(devices);
    show_tested(out, choice);
    if (!choice.backend)
        return out.fail("no back end of this machine gives the right bits; nothing would be paid");
    // They outlive this function's frame: no thread is waited for at the end.
    auto* view = new EventView(*new Output(out));
    auto* trainer = new WorkThread();
    auto* defender = new WorkThread();
    const auto market = open_account(args.rpc, args.key, sending_options(args, *view));
    if (!market) return out.fail(market.error());
    if (*fault != training::Fault::none)
        out.say(red("THIS PROVIDER CHEATS (--fault " + args.fault +
                    "): it is for tests and demonstrations, and loses its stake when caught"));
    provider::ProviderOptions options;
    options.folder = args.datadir;
    options.name = args.name;
    options.place = *place;
    options.takes_over = args.take_over;
    options.stake_wei_max = *stake;
    options.rules = offer_rules(args.memory_mb, args.datadir);
    options.rules.price_wei_min = *price;
    options.rules.step_seconds = [make = choice.make_another](const auto& program,
                                                              const auto& plan) {
        return forecast_job_step(*make(), program, plan);
    };
    options.keep_s = uint64_t{args.keep_days} * 86'400;
    options.fault = *fault;
    options.make_backend = choice.make_another;
    options.make_host_backend = [threads = args.threads] {
        return verify::make_backend({threads, false});
    };
    options.background = [trainer](std::function<void()> task) { trainer->post(std::move(task)); };
    options.defence_background = [defender](std::function<void()> task) {
        defender->post(std::move(task));
    };
    options.rich = *address_of(*wallet::account_key(wallet::kDevMnemonic, 0));
    options.how_to_fund = [rpc = args.rpc](const std::string& who, const std::string& coins) {
        return "this is a devnet: trainyard account send " + who + " --amount " + coins +
               " --key dev:0 --rpc " + rpc;
    };
    options.now_s = unix_seconds;
    options.on_event = [view](const Event& event) { view->show(event); };
    Event hello;
    hello.text = "provider " + to_hex0x((*market)->self().bytes) + " at " + args.rpc +
                 ", training on " + choice.backend->name();
    choice.backend.reset();  // its memory is the jobs'
    view->show(hello);
    provider::ProviderWorker worker(**market, options);
    work(worker, args.once, *view);
    end(out, worker.why_ended());
}

}  // namespace trainyard::node::cli
