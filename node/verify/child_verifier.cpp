// SPDX-License-Identifier: Apache-2.0
// Supervising the verifier process, and serving in it.
#include "node/verify/child_verifier.hpp"

#include <csignal>
#include <mutex>
#include <optional>

#include <sys/socket.h>
#include <unistd.h>

#include "node/verify/child_process.hpp"
#include "node/verify/protocol.hpp"

namespace trainyard::node::verify {

struct ChildVerifier::Impl {
    ChildVerifierOptions options;
    ChildCounters counters;
    std::mutex mutex;
    std::optional<ChildProcess> child;
    int socket = -1;
    bool allow_cuda = true;
    std::string name;
    std::atomic<int> pid{-1};
    std::atomic<bool> interrupted{false};

    void say(const std::string& text) const {
        if (options.say) options.say(text);
    }

    void drop() {
        if (socket >= 0) ::close(socket);
        socket = -1;
        child.reset();
        pid = -1;
    }

    Result<Done, VerifyError> ensure() {
        if (interrupted)
            return unexpected(VerifyError{VerifyErrorCode::unavailable, "the node is stopping"});
        if (child && child->is_running()) return Done{};
        if (child) {
            ++counters.died;
            say("the verifier process ended; starting another one");
        }
        drop();
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
            return unexpected(VerifyError{VerifyErrorCode::unavailable, "no socket pair"});
        ChildOptions start;
        start.command = {
            options.program, "verifier", "--fd", "3", "--threads", std::to_string(options.threads)};
        if (!allow_cuda) start.command.emplace_back("--no-cuda");
        start.output = options.output;
        start.socket = ends[1];
        start.memory_bytes_max = options.memory_bytes_max;
        start.own_group = true;
        auto started = ChildProcess::start(start);
        ::close(ends[1]);
        if (!started) {
            ::close(ends[0]);
            return unexpected(VerifyError{VerifyErrorCode::unavailable, started.error()});
        }
        ++counters.started;
        socket = ends[0];
        child = std::move(*started);
        pid = child->pid();
        return Done{};
    }

    Result<Reply, VerifyError> exchange(const Bytes& message) {
        if (auto ready = ensure(); !ready) return unexpected(ready.error());
        const auto sent = write_frame(socket, message, options.timeout_ms);
        auto answer = sent ? read_frame(socket, options.timeout_ms)
                           : Result<Bytes, FrameError>(unexpected(sent.error()));
        if (!answer) {
            const bool late = answer.error() == FrameError::timed_out;
            ++(late ? counters.timed_out : counters.died);
            drop();
            return unexpected(
                late ? VerifyError{VerifyErrorCode::timed_out, "the verifier process took too long"}
                     : VerifyError{VerifyErrorCode::died, "the verifier process died"});
        }
        auto reply = decode_reply(*answer);
        if (!reply) {
            drop();
            return unexpected(
                VerifyError{VerifyErrorCode::died, "the verifier process answered nonsense"});
        }
        ++counters.answered;
        return std::move(*reply);
    }

    Result<Reply, VerifyError> ask(const Request& request) {
        const std::lock_guard lock(mutex);
        const Bytes message = encode_request(request);
        auto reply = exchange(message);
        for (int retry = 0; !reply && retry < 2 && !interrupted; ++retry) {
            say(reply.error().text + "; trying again" + (retry == 1 ? " on the CPU" : ""));
            if (retry == 1) allow_cuda = false;
            reply = exchange(message);
        }
        return reply;
    }

    Result<VerifyAnswer, VerifyError> judge(const Request& request) {
        auto reply = ask(request);
        if (!reply) return unexpected(reply.error());
        if (auto* answer = std::get_if<VerifyAnswer>(&*reply)) return std::move(*answer);
        if (auto* error = std::get_if<VerifyError>(&*reply)) return unexpected(std::move(*error));
        return unexpected(VerifyError{VerifyErrorCode::died, "an answer of another kind"});
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
    auto reply = impl_->ask(NameRequest{});
    if (!reply) return "none";
    const auto* name = std::get_if<std::string>(&*reply);
    return name == nullptr ? "none" : *name;
}

Result<VerifyAnswer, VerifyError> ChildVerifier::audit(const AuditRequest& request) {
    return impl_->judge(request);
}

Result<VerifyAnswer, VerifyError> ChildVerifier::replay(const ReplayRequest& request) {
    return impl_->judge(request);
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

namespace {

Reply to_reply(Result<VerifyAnswer, VerifyError> result) {
    if (result) return std::move(*result);
    return result.error();
}

struct Serve {
    Verifier& verifier;
    Reply operator()(const NameRequest&) const { return verifier.name(); }
    Reply operator()(const AuditRequest& r) const { return to_reply(verifier.audit(r)); }
    Reply operator()(const ReplayRequest& r) const { return to_reply(verifier.replay(r)); }
};

}  // namespace

int serve_verifier(int fd, const LocalOptions& options) {
    const auto verifier = make_local_verifier(options);
    for (;;) {
        auto frame = read_frame(fd, 0);
        if (!frame) return frame.error() == FrameError::closed ? 0 : 1;
        auto request = decode_request(*frame);
        Reply reply = VerifyError{VerifyErrorCode::bad_request, "malformed request"};
        if (request) reply = std::visit(Serve{*verifier}, *request);
        if (!write_frame(fd, encode_reply(reply), 60'000)) return 1;
    }
}

}  // namespace trainyard::node::verify
