// SPDX-License-Identifier: Apache-2.0
// A queue, a thread, and a transaction for each report.
#include "node/verify/slash_reporter.hpp"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <thread>

#include "node/wallet/staking.hpp"

namespace trainyard::node::verify {
namespace {

constexpr size_t kReportsMax = 256;
constexpr int kTriesMax = 100;  ///< of one report before the next

struct Report {
    Address who;
    Bytes votes;
};

}  // namespace

struct SlashReporter::Impl {
    SlashReporterOptions options;
    std::unique_ptr<wallet::StakingApi> staking;
    mutable std::mutex mutex;
    std::condition_variable wake;
    std::deque<Report> waiting;
    std::set<Address> seen;  ///< accused already: one offence is all that can be slashed
    bool stopping = false;
    uint64_t slashed = 0;
    std::thread thread;

    void say(const std::string& text) {
        if (options.say) options.say(text);
    }

    bool pause() {
        std::unique_lock lock(mutex);
        return wake.wait_for(lock, std::chrono::milliseconds(options.retry_ms),
                             [this] { return stopping; });
    }

    std::optional<Report> next() {
        std::unique_lock lock(mutex);
        wake.wait(lock, [this] { return stopping || !waiting.empty(); });
        if (stopping) return std::nullopt;
        Report report = std::move(waiting.front());
        waiting.pop_front();
        return report;
    }

    /// True when it stands in a block, was refused, or the node stops; false after kTriesMax tries,
    /// for others wait too.
    bool send(const Report& report) {
        const std::string who = "validator " + to_hex0x(report.who.bytes);
        for (int i = 0; i < kTriesMax; ++i) {
            const auto state = staking->candidate(report.who);
            if (state && state->tombstoned) {
                say(who + " has been slashed by another report");
                return true;
            }
            const auto sent = staking->slash_double_vote(report.who, report.votes);
            if (sent) {
                {
                    const std::lock_guard lock(mutex);
                    ++slashed;
                }
                say(who + " is slashed for conflicting votes, block " +
                    std::to_string(sent->block));
                return true;
            }
            const bool refused = sent.error().code == wallet::WalletErrorCode::reverted;
            if (refused || i == 0)
                say("reporting " + who + " for conflicting votes: " + sent.error().text);
            if (refused || pause()) return true;
        }
        return false;
    }

    void run() {
        while (auto report = next()) {
            if (send(*report)) continue;
            const std::lock_guard lock(mutex);
            waiting.push_back(std::move(*report));
        }
    }
};

SlashReporter::SlashReporter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<SlashReporter>, std::string> SlashReporter::start(
    SlashReporterOptions options) {
    // Without a folder: what is lost in a crash is reported by others.
    wallet::SenderOptions sending;
    sending.fee_max_wei = options.fee_max_wei;
    sending.say = options.say;
    auto staking = wallet::StakingApi::open(options.rpc_url, options.account, std::move(sending));
    if (!staking) return unexpected(staking.error().text);
    auto impl = std::make_unique<Impl>();
    impl->options = std::move(options);
    impl->staking = std::move(*staking);
    impl->thread = std::thread([state = impl.get()] { state->run(); });
    return std::unique_ptr<SlashReporter>(new SlashReporter(std::move(impl)));
}

SlashReporter::~SlashReporter() {
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->stopping = true;
    }
    impl_->wake.notify_all();
    impl_->staking->close();
    impl_->thread.join();
}

void SlashReporter::report(const Address& who, Bytes votes) {
    {
        const std::lock_guard lock(impl_->mutex);
        if (impl_->waiting.size() >= kReportsMax || !impl_->seen.insert(who).second) return;
        impl_->waiting.push_back({who, std::move(votes)});
    }
    impl_->wake.notify_all();
}

uint64_t SlashReporter::slashed() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->slashed;
}

}  // namespace trainyard::node::verify
