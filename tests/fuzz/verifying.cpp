// SPDX-License-Identifier: Apache-2.0
// What passes between a node and its verifier process. A reply comes from a process that strangers
// may have taken over: whatever it says is read to an end or refused, takes no more than was
// allowed, and encodes to the same bytes. So does a request, which the process answers.
#include <algorithm>

#include <sys/socket.h>
#include <unistd.h>

#include "core/assert.hpp"
#include "node/verify/child_verifier.hpp"
#include "node/verify/transfer.hpp"

namespace trainyard::node::verify {
namespace {

constexpr size_t kSaidBytesMax = size_t{64} << 10;  ///< fits into the buffer of a socket
constexpr uint32_t kHangs_ms = 20'000;

bool begins_with(BytesView data, const Bytes& start) {
    return start.size() <= data.size() && std::equal(start.begin(), start.end(), data.begin());
}
bool is_same(const Bytes& again, BytesView data) {
    return again.size() == data.size() && begins_with(data, again);
}

/// A connection on which the other end has said `data` and will say no more.
class Said {
public:
    explicit Said(BytesView data) {
        ASSERT(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_) == 0);
        const auto sent = ::send(ends_[1], data.data(), data.size(), MSG_DONTWAIT);
        ASSERT(sent == static_cast<ssize_t>(data.size()));
        ASSERT(::shutdown(ends_[1], SHUT_WR) == 0);
    }
    ~Said() {
        for (const int fd : ends_) ::close(fd);
    }
    Said(const Said&) = delete;
    Said& operator=(const Said&) = delete;
    [[nodiscard]] int heard() const { return ends_[0]; }
    [[nodiscard]] int sayer() const { return ends_[1]; }

private:
    int ends_[2] = {-1, -1};
};

bool is_shown(std::string_view text) {
    return text.size() <= kTextBytesMax &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

struct Bounded {
    bool operator()(const Introduction& i) const { return is_shown(i.name); }
    bool operator()(const VerifyError& error) const {
        return error.code <= VerifyErrorCode::device_failed && is_shown(error.text);
    }
    bool operator()(const VerifyAnswer& answer) const {
        return answer.answers.size() <= kDrawsMax && is_shown(answer.finding);
    }
    bool operator()(const std::vector<AuditResult>& results) const {
        const auto is_bounded = [this](const AuditResult& result) {
            return result ? (*this)(*result) && result->last_state.empty()
                          : (*this)(result.error());
        };
        return results.size() <= kAuditsMax &&
               std::all_of(results.begin(), results.end(), is_bounded);
    }
    bool operator()(const Pick&) const { return true; }

    bool operator()(const NameRequest&) const { return true; }
    bool operator()(const AuditRequest& request) const {
        const auto is_bounded = [](const Audit& audit) {
            return audit.draws.units.size() <= kDrawsMax && audit.draws.tiles.size() <= kDrawsMax;
        };
        return request.audits.size() <= kAuditsMax &&
               std::all_of(request.audits.begin(), request.audits.end(), is_bounded);
    }
    bool operator()(const ReplayRequest& request) const {
        return request.last_bytes_max <= kFrameBytesMax &&
               request.diverges_at <= request.claim.steps;
    }
    bool operator()(const PickRequest& request) const {
        return request.state.size() <= kRefereeStateBytesMax;
    }
};

size_t state_bytes(const Reply& reply) {
    const auto* answer = std::get_if<VerifyAnswer>(&reply);
    return answer == nullptr ? 0 : answer->last_state.size();
}

/// All that the process says, one reply after the other.
void read_replies(BytesView data, uint64_t last_bytes_max) {
    const Said said(data);
    Bytes again;
    for (;;) {
        const auto reply = read_reply(said.heard(), last_bytes_max, kHangs_ms);
        if (!reply) {
            ASSERT(reply.error() != FrameError::timed_out);
            return;
        }
        ASSERT(std::visit(Bounded{}, *reply));
        ASSERT(state_bytes(*reply) <= last_bytes_max);
        append(again, encode_reply(*reply));
        ASSERT(begins_with(data, again));
    }
}

void fuzz_replies(BytesView data) {
    for (const uint64_t last_bytes_max : {uint64_t{0}, uint64_t{data.size()}})
        read_replies(data, last_bytes_max);
    const auto reply = decode_reply(data);
    if (!reply) return;
    ASSERT(std::visit(Bounded{}, *reply));
    ASSERT(is_same(encode_reply(*reply), data));
    const Said said(data);
    const auto heard = read_reply(said.heard(), state_bytes(*reply), kHangs_ms);
    ASSERT(heard && is_same(encode_reply(*heard), data));
}

/// Answers with what it was sent, whatever that is.
class Echo final : public Verifier {
public:
    std::string name() override { return "\x1b[2J"; }
    Result<std::vector<AuditResult>, VerifyError> audit(const AuditRequest& request) override {
        std::vector<AuditResult> out;
        for (const Audit& audit : request.audits)
            out.emplace_back(VerifyAnswer{
                true, std::vector<Hash>(audit.draws.units.size(), audit.segment.claim.steps_root),
                std::string(as_text(audit.bundle)), audit.segment.last_state});
        return out;
    }
    AuditResult replay(const ReplayRequest& request) override {
        const BytesView state = request.first_state;
        const auto shown = state.first(std::min<uint64_t>(state.size(), request.last_bytes_max));
        return VerifyAnswer{true, {request.last_blob}, "match", Bytes(shown.begin(), shown.end())};
    }
    Result<Pick, VerifyError> pick(const PickRequest& request) override {
        if (!request.state.empty()) return Pick(request.state[0]);
        return unexpected(VerifyError{VerifyErrorCode::bad_request,
                                      std::string(as_text(request.segment.job.data))});
    }
};

void fuzz_requests(BytesView data) {
    const auto request = decode_request(data);
    if (!request) return;
    ASSERT(std::visit(Bounded{}, *request));
    ASSERT(is_same(encode_request(*request), data));
    const Said said(data);
    Echo echo;
    ASSERT(serve_verifier(said.heard(), echo) == 0);
    const auto reply = read_reply(said.sayer(), data.size(), kHangs_ms);
    ASSERT(reply && std::visit(Bounded{}, *reply));
}

/// A head of those fields before the rest, so that lengths need not be guessed.
Bytes with_lengths(BytesView data) {
    const size_t cut = data.empty() ? 0 : data[0] % data.size();
    const BytesView fields = data.subspan(data.empty() ? 0 : 1, cut);
    Bytes head = rlp::list_prefix(fields.size());
    append(head, fields);
    Bytes out;
    append_le<uint64_t>(out, head.size());
    append(out, head);
    append(out, data.subspan(std::min(data.size(), cut + 1)));
    return out;
}

void fuzz_one(BytesView data) {
    if (data.size() > kSaidBytesMax) return;
    const Bytes made = with_lengths(data);
    for (const BytesView bytes : {data, BytesView(made)}) {
        fuzz_replies(bytes);
        fuzz_requests(bytes);
    }
}

}  // namespace
}  // namespace trainyard::node::verify

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    trainyard::node::verify::fuzz_one({data, size});
    return 0;
}
