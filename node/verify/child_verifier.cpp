// SPDX-License-Identifier: Apache-2.0
// Supervising the verifier process, and serving in it.
#include "node/verify/child_verifier.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <mutex>
#include <new>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/verify/child_output.hpp"
#include "node/verify/child_process.hpp"
#include "node/verify/transfer.hpp"
#include "node/verify/verifier_environment.hpp"

namespace trainyard::node::verify {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kAttemptsMax = 3;
constexpr int kAttemptsWithCuda = 2;

/// How the process ended, waiting a moment for it.
std::optional<int> end_of(ChildProcess& child) {
    for (int i = 0; i < 100 && child.is_running(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return child.exit_code();
}

/// The first error of that kind in a reply.
const VerifyError* find_error(const Reply& reply, VerifyErrorCode code) {
    if (const auto* error = std::get_if<VerifyError>(&reply))
        return error->code == code ? error : nullptr;
    if (const auto* answer = std::get_if<std::vector<AuditResult>>(&reply))
        for (const auto& result : *answer)
            if (!result && result.error().code == code) return &result.error();
    return nullptr;
}

/// No honest process answers so.
bool is_nonsense(FrameError error) {
    return error == FrameError::malformed || error == FrameError::too_large;
}

/// The error of a reply after which its process is of no further use.
const VerifyError* device_fault(const Reply& reply) {
    return find_error(reply, VerifyErrorCode::device_failed);
}

}  // namespace

struct ChildVerifier::Impl {
    ChildVerifierOptions options;
    ChildCounters counters;
    std::mutex mutex;
    std::optional<ChildProcess> child;
    std::optional<OutputReader> output;
    int socket = -1;
    std::optional<Clock::time_point> cuda_again;  ///< until then without it
    std::atomic<int> pid{-1};
    std::atomic<bool> interrupted{false};
    mutable std::mutex confined_mutex;
    std::optional<Confinement> confined;

    void say(const std::string& text) const {
        if (options.say) options.say(text);
    }

    void drop() {
        if (socket >= 0) ::close(socket);
        socket = -1;
        child.reset();
        output.reset();
        pid = -1;
    }

    void leave_cuda() {
        cuda_again = Clock::now() + std::chrono::milliseconds(options.cuda_pause_ms);
        counters.without_cuda = true;
    }
    void take_cuda_again() {
        if (!cuda_again || Clock::now() < *cuda_again) return;
        cuda_again.reset();
        counters.without_cuda = false;
        drop();
    }

    Result<Done, VerifyError> ensure() {
        if (interrupted)
            return unexpected(VerifyError{VerifyErrorCode::unavailable, "the node is stopping"});
        take_cuda_again();
        if (child && child->is_running()) return Done{};
        if (child) {
            ++counters.died;
            say("the verifier process ended; starting another one");
        }
        drop();
        return start();
    }

    [[nodiscard]] std::vector<std::string> command() const {
        std::vector<std::string> out{
            options.program, "verifier", "--fd", "3", "--threads", std::to_string(options.threads)};
        const auto add = [&out](const char* flag, std::string value) {
            out.emplace_back(flag);
            out.push_back(std::move(value));
        };
        if (options.memory_bytes_max != 0)
            add("--memory-mb", std::to_string(options.memory_bytes_max >> 20));
        add("--sandbox", std::string(to_text(options.sandbox)));
        for (const auto& path : options.hidden) add("--hide", path);
        if (cuda_again) out.emplace_back("--no-cuda");
        return out;
    }

    Result<Done, VerifyError> start() {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
            return unexpected(VerifyError{VerifyErrorCode::unavailable, "no socket pair"});
        int printed[2] = {-1, -1};
        if (options.hear && ::pipe2(printed, O_CLOEXEC) != 0) {
            for (const int fd : ends) ::close(fd);
            return unexpected(VerifyError{VerifyErrorCode::unavailable, "no pipe"});
        }
        ChildOptions start;
        start.command = command();
        start.socket = ends[1];
        start.output_fd = printed[1];
        start.memory_bytes_max = options.memory_bytes_max;
        start.huge_pages = true;  // for states of gigabytes
        start.own_group = true;
        start.environment = verifier_environment();
        auto started = ChildProcess::start(start);
        ::close(ends[1]);
        if (options.hear) {
            ::close(printed[1]);
            output.emplace(printed[0], options.hear);
        }
        if (!started) {
            ::close(ends[0]);
            output.reset();
            return unexpected(VerifyError{VerifyErrorCode::unavailable, started.error()});
        }
        ++counters.started;
        socket = ends[0];
        child = std::move(*started);
        pid = child->pid();
        return Done{};
    }

    VerifyError died() {
        const auto code = end_of(*child);
        if (code == kExitOutOfMemory) {
            ++counters.out_of_memory;
            return {VerifyErrorCode::out_of_memory,
                    "the verifier process needs more than its " +
                        std::to_string(options.memory_bytes_max >> 20) +
                        " MiB; raise verifier.memory-mb"};
        }
        ++counters.died;
        return {VerifyErrorCode::died,
                "the verifier process died" +
                    (code ? " with exit code " + std::to_string(*code) : std::string())};
    }

    Result<Reply, VerifyError> exchange(const Pieces& message, uint32_t timeout_ms,
                                        uint64_t last_bytes_max) {
        if (auto ready = ensure(); !ready) return unexpected(ready.error());
        const auto sent =
            write_request(socket, message, {child->pid(), options.threads}, timeout_ms);
        auto reply = sent ? read_reply(socket, last_bytes_max, timeout_ms)
                          : Result<Reply, FrameError>(unexpected(sent.error()));
        if (!reply && is_nonsense(reply.error())) {
            drop();
            return unexpected(
                VerifyError{VerifyErrorCode::died, "the verifier process answered nonsense"});
        }
        if (!reply) {
            const bool late = reply.error() == FrameError::timed_out;
            if (late) ++counters.timed_out;
            const VerifyError error =
                late ? VerifyError{VerifyErrorCode::timed_out, "the verifier process took too long"}
                     : died();
            drop();
            return unexpected(error);
        }
        if (const auto* fault = device_fault(*reply)) {
            ++counters.device_faults;
            drop();
            return unexpected(*fault);
        }
        if (find_error(*reply, VerifyErrorCode::out_of_memory) != nullptr)
            ++counters.out_of_memory;
        else
            ++counters.answered;
        return std::move(*reply);
    }

    /// Each attempt takes at most `limit_ms`, all together no longer than the patience, if there is
    /// one.
    Result<Reply, VerifyError> ask(const Pieces& message, uint64_t limit_ms,
                                   uint64_t patience_ms = 0, uint64_t last_bytes_max = 0) {
        const auto end = Clock::now() + std::chrono::milliseconds(patience_ms);
        const std::lock_guard lock(mutex);
        if (message.size() > kFrameBytesMax)
            return unexpected(VerifyError{VerifyErrorCode::bad_request,
                                          "program, data and states are larger than a request"});
        for (int attempt = 1;; ++attempt) {
            if (patience_ms != 0) {
                const auto left =
                    std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
                if (left.count() <= 0)
                    return unexpected(
                        VerifyError{VerifyErrorCode::timed_out, "the time for an answer is over"});
                limit_ms = std::min(limit_ms, static_cast<uint64_t>(left.count()));
            }
            const auto timeout_ms = static_cast<uint32_t>(std::min<uint64_t>(limit_ms, 0xffffffff));
            auto reply = exchange(message, timeout_ms, last_bytes_max);
            if (reply || attempt == kAttemptsMax || interrupted ||
                reply.error().code == VerifyErrorCode::out_of_memory)
                return reply;
            const bool on_cpu = attempt == kAttemptsWithCuda;
            say(reply.error().text + "; trying again" + (on_cpu ? " on the CPU" : ""));
            if (on_cpu) leave_cuda();
        }
    }
};

ChildVerifier::ChildVerifier(ChildVerifierOptions options) : impl_(std::make_unique<Impl>()) {
    impl_->options = std::move(options);
}

ChildVerifier::~ChildVerifier() {
    const std::lock_guard lock(impl_->mutex);
    impl_->drop();
}

std::string ChildVerifier::name() {
    auto reply = impl_->ask(pieces_of(NameRequest{}), impl_->options.timeout_ms);
    if (!reply) return "none";
    const auto* introduction = std::get_if<Introduction>(&*reply);
    if (introduction == nullptr) return "none";
    const std::lock_guard lock(impl_->confined_mutex);
    impl_->confined = introduction->confined;
    return introduction->name;
}

Result<std::vector<AuditResult>, VerifyError> ChildVerifier::audit(const AuditRequest& request) {
    const uint64_t cases = std::max<size_t>(request.audits.size(), 1);
    auto reply =
        impl_->ask(pieces_of(request), impl_->options.timeout_ms * cases, request.patience_ms);
    if (!reply) return unexpected(reply.error());
    if (auto* results = std::get_if<std::vector<AuditResult>>(&*reply))
        if (results->size() == request.audits.size()) return std::move(*results);
    if (auto* error = std::get_if<VerifyError>(&*reply)) return unexpected(std::move(*error));
    return unexpected(VerifyError{VerifyErrorCode::died, "an answer of another kind"});
}

AuditResult ChildVerifier::replay(const ReplayRequest& request) {
    // A replay takes as long as training did: where its patience is known, that alone counts.
    const uint64_t limit_ms = std::max<uint64_t>(impl_->options.timeout_ms, request.patience_ms);
    auto reply =
        impl_->ask(pieces_of(request), limit_ms, request.patience_ms, request.last_bytes_max);
    if (!reply) return unexpected(reply.error());
    if (auto* answer = std::get_if<VerifyAnswer>(&*reply)) return std::move(*answer);
    if (auto* error = std::get_if<VerifyError>(&*reply)) return unexpected(std::move(*error));
    return unexpected(VerifyError{VerifyErrorCode::died, "an answer of another kind"});
}

/// The first turn of a dispute runs its segment, as a replay does.
Result<Pick, VerifyError> ChildVerifier::pick(const PickRequest& request) {
    const uint64_t patience_ms = request.segment.patience_ms;
    const uint64_t limit_ms = std::max<uint64_t>(impl_->options.timeout_ms, patience_ms);
    auto reply = impl_->ask(pieces_of(request), limit_ms, patience_ms);
    if (!reply) return unexpected(reply.error());
    if (const auto* pick = std::get_if<Pick>(&*reply)) return *pick;
    if (auto* error = std::get_if<VerifyError>(&*reply)) return unexpected(std::move(*error));
    return unexpected(VerifyError{VerifyErrorCode::died, "an answer of another kind"});
}

void ChildVerifier::rest() {
    const std::lock_guard lock(impl_->mutex);
    impl_->drop();
}

void ChildVerifier::interrupt() {
    impl_->interrupted = true;
    if (const int pid = impl_->pid; pid > 0) ::kill(pid, SIGKILL);
}

const ChildCounters& ChildVerifier::counters() const {
    return impl_->counters;
}
int ChildVerifier::pid() const {
    return impl_->pid;
}
std::optional<Confinement> ChildVerifier::confined() const {
    const std::lock_guard lock(impl_->confined_mutex);
    return impl_->confined;
}

namespace {

template <class T>
Reply to_reply(Result<T, VerifyError> result) {
    if (result) return std::move(*result);
    return result.error();
}

struct Serve {
    Verifier& verifier;
    Confinement confined;
    Reply operator()(const NameRequest&) const { return Introduction{verifier.name(), confined}; }
    Reply operator()(const AuditRequest& r) const { return to_reply(verifier.audit(r)); }
    Reply operator()(const ReplayRequest& r) const { return to_reply(verifier.replay(r)); }
    Reply operator()(const PickRequest& r) const { return to_reply(verifier.pick(r)); }
};

}  // namespace

int serve_verifier(int fd, Verifier& verifier, Confinement confined) {
    const auto open = [&verifier](const JobCase& job, uint64_t size_bytes) {
        return verifier.open_last_state(job, size_bytes);
    };
    for (;;) {
        const auto request = read_request(fd, 0, open);
        const bool is_answered = request || request.error() == FrameError::malformed;
        if (!is_answered) return request.error() == FrameError::closed ? 0 : 1;
        Reply reply = VerifyError{VerifyErrorCode::bad_request, "malformed request"};
        if (request) reply = std::visit(Serve{verifier, confined}, *request);
        if (!write_pieces(fd, pieces_of(reply), 60'000)) return 1;
        if (device_fault(reply) != nullptr) return 1;
    }
}

void exit_when_out_of_memory() {
    std::set_new_handler([] { ::_exit(kExitOutOfMemory); });
}

}  // namespace trainyard::node::verify
