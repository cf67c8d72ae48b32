// SPDX-License-Identifier: Apache-2.0
// Four threads: one looks at the chain, one audits, one replays, one plays disputes.
#include "node/verify/audit_service.hpp"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <thread>

#include "node/verify/accuser.hpp"
#include "node/verify/child_process.hpp"
#include "node/verify/child_verifier.hpp"

namespace trainyard::node::verify {
namespace {

/// Runs tasks one after the other on its own thread; what waits at the end is dropped.
class TaskThread {
public:
    TaskThread() : thread_([this] { run(); }) {}
    ~TaskThread() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        thread_.join();
    }
    void post(std::function<void()> task) {
        {
            const std::lock_guard lock(mutex_);
            tasks_.push_back(std::move(task));
        }
        wake_.notify_all();
    }

private:
    void run() {
        for (;;) {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
            if (stopping_) return;
            auto task = std::move(tasks_.front());
            tasks_.pop_front();
            lock.unlock();
            task();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> tasks_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace

struct AuditService::Impl {
    AuditServiceOptions options;
    std::unique_ptr<wallet::EthClient> client;
    std::unique_ptr<wallet::MarketApi> market;
    std::unique_ptr<ChildVerifier> verifier;  ///< of level 0
    std::unique_ptr<ChildVerifier> replayer;  ///< of level 1: starts when it is first needed
    std::optional<Accuser> accuser;           ///< TEST ONLY: in front of it
    std::unique_ptr<ChildVerifier> mover;     ///< of disputes: runs while one is open
    std::unique_ptr<AuditWorker> worker;
    std::unique_ptr<TaskThread> tasks, replays, moves;
    mutable std::mutex mutex;
    std::condition_variable wake;
    bool stopping = false;
    std::string verifier_name = "starting";
    std::thread thread;

    bool pause(uint32_t ms) {
        std::unique_lock lock(mutex);
        return wake.wait_for(lock, std::chrono::milliseconds(ms), [this] { return stopping; });
    }

    /// Our number among the validators; nullopt until the chain answers.
    std::optional<AuditWorkerOptions> worker_options() {
        const auto accounts = wallet::validator_accounts(*client);
        if (!accounts) return std::nullopt;
        AuditWorkerOptions out;
        out.folder = options.folder + "/answers";
        out.ranks = accounts->size();
        out.rank = out.ranks;  // one that is no validator moves nothing on
        for (size_t i = 0; i < accounts->size(); ++i)
            if ((*accounts)[i] == market->self()) out.rank = i;
        out.memory_bytes_max = options.memory_bytes_max;
        out.dispute_bond_wei_max = options.dispute_bond_wei_max;
        out.map_blob = options.map_blob;
        out.say = options.say;
        out.now_s = [] {
            const auto now = std::chrono::system_clock::now().time_since_epoch();
            return static_cast<uint64_t>(
                std::chrono::duration_cast<std::chrono::seconds>(now).count());
        };
        out.background = [this](std::function<void()> task) { tasks->post(std::move(task)); };
        out.replay_background = [this](std::function<void()> task) {
            replays->post(std::move(task));
        };
        out.move_background = [this](std::function<void()> task) { moves->post(std::move(task)); };
        return out;
    }

    void run() {
        tasks->post([this] {
            auto name = verifier->name();
            const std::lock_guard lock(mutex);
            verifier_name = std::move(name);
        });
        std::optional<AuditWorkerOptions> found;
        while (!(found = worker_options()))
            if (pause(500)) return;
        {
            const std::lock_guard lock(mutex);
            Verifier& judge = accuser ? static_cast<Verifier&>(*accuser) : *replayer;
            worker = std::make_unique<AuditWorker>(*market, *verifier, judge, *mover, *found);
        }
        while (!pause(options.poll_ms)) worker->tick();
    }
};

AuditService::AuditService(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<AuditService>, std::string> AuditService::start(
    AuditServiceOptions options) {
    auto impl = std::make_unique<Impl>();
    if (options.program.empty()) options.program = own_program();
    auto client = wallet::EthClient::open(options.rpc_url);
    if (!client) return unexpected(client.error().text);
    wallet::SenderOptions sending;
    sending.folder = options.folder;
    sending.fee_max_wei = options.fee_max_wei;
    sending.say = options.say;
    auto market = wallet::open_market(options.rpc_url, options.account, std::move(sending));
    if (!market) return unexpected(market.error().text);
    ChildVerifierOptions child;
    child.program = options.program;
    child.threads = options.threads;
    child.memory_bytes_max = options.memory_bytes_max;
    child.timeout_ms = options.timeout_ms;
    child.sandbox = options.sandbox;
    child.hidden = options.hidden;
    child.say = options.say;
    child.hear = options.hear;
    impl->client = std::move(*client);
    impl->market = std::move(*market);
    impl->verifier = std::make_unique<ChildVerifier>(child);
    impl->replayer = std::make_unique<ChildVerifier>(child);
    if (options.accuses) impl->accuser.emplace(*impl->replayer);
    impl->mover = std::make_unique<ChildVerifier>(std::move(child));
    impl->tasks = std::make_unique<TaskThread>();
    impl->replays = std::make_unique<TaskThread>();
    impl->moves = std::make_unique<TaskThread>();
    impl->options = std::move(options);
    impl->thread = std::thread([state = impl.get()] { state->run(); });
    return std::unique_ptr<AuditService>(new AuditService(std::move(impl)));
}

AuditService::~AuditService() {
    stop();
}

void AuditService::stop() {
    if (!impl_->thread.joinable()) return;
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->stopping = true;
    }
    impl_->wake.notify_all();
    impl_->client->close();
    impl_->market->close();
    impl_->thread.join();
    impl_->verifier->interrupt();
    impl_->replayer->interrupt();
    impl_->mover->interrupt();
    impl_->tasks.reset();
    impl_->replays.reset();
    impl_->moves.reset();
}

AuditServiceStatus AuditService::status() const {
    const std::lock_guard lock(impl_->mutex);
    AuditServiceStatus out;
    if (impl_->worker) out.audits = impl_->worker->counters();
    out.sending = impl_->market->sending();
    for (const auto* process : {impl_->verifier.get(), impl_->replayer.get(), impl_->mover.get()}) {
        const auto& counters = process->counters();
        out.verifier_starts += counters.started;
        out.verifier_deaths += counters.died;
        out.verifier_timeouts += counters.timed_out;
        out.verifier_device_faults += counters.device_faults;
        out.verifier_out_of_memory += counters.out_of_memory;
        out.verifier_without_cuda |= counters.without_cuda;
    }
    out.verifier = impl_->verifier_name + (out.verifier_without_cuda ? ", failed: on the CPU" : "");
    out.confined = impl_->verifier->confined();
    if (out.confined && !out.confined->is_whole()) out.verifier += ", not confined";
    return out;
}

}  // namespace trainyard::node::verify
