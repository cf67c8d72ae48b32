// SPDX-License-Identifier: Apache-2.0
// Strict encoding of verifier messages and framing over a socket.
#include "node/verify/protocol.hpp"

#include <chrono>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace trainyard::node::verify {
namespace {

using rlp::Reader;
using rlp::Writer;
using Clock = std::chrono::steady_clock;

enum Kind : uint64_t { kName = 1, kAudit = 2, kReplay = 3, kAnswer = 4, kError = 5, kResults = 6 };

/// Reads fields in order and keeps the first error, so that a decoder is a list of fields.
class Fields {
public:
    explicit Fields(Reader reader) : reader_(reader) {}

    uint64_t number(uint64_t max) {
        return take<uint64_t>([&](Reader& r) -> Result<uint64_t, rlp::Error> {
            auto n = r.number();
            if (n && *n > max) return unexpected(rlp::Error::too_long);
            return n;
        });
    }
    uint32_t u32() { return static_cast<uint32_t>(number(0xffffffff)); }
    Hash hash() {
        return take<Hash>([](Reader& r) { return r.fixed<Hash>(); });
    }
    Bytes bytes() {
        const auto view = take<BytesView>([](Reader& r) { return r.bytes(); });
        return Bytes(view.begin(), view.end());
    }
    std::string text() {
        const auto view = take<BytesView>([](Reader& r) { return r.bytes(); });
        return std::string(as_text(view));
    }
    /// Calls `each` with the fields of every item of a list of lists.
    template <class F>
    void list(size_t count_max, F each) {
        auto items = take<Reader>([](Reader& r) { return r.list(); });
        for (size_t count = 0; !error_ && !items.at_end(); ++count) {
            auto item = items.list();
            if (!item || count == count_max)
                return fail(item ? rlp::Error::too_long : item.error());
            Fields inner(*item);
            each(inner);
            inner.end();
            if (inner.error_) return fail(*inner.error_);
        }
    }
    std::vector<Hash> hashes() {
        std::vector<Hash> out;
        auto items = take<Reader>([](Reader& r) { return r.list(); });
        while (!error_ && !items.at_end()) {
            const auto hash = items.fixed<Hash>();
            if (!hash || out.size() == kDrawsMax) {
                fail(hash ? rlp::Error::too_long : hash.error());
                break;
            }
            out.push_back(*hash);
        }
        return out;
    }
    void end() {
        if (error_) return;
        if (auto done = reader_.finish(); !done) fail(done.error());
    }
    void fail(rlp::Error error) {
        if (!error_) error_ = error;
    }
    [[nodiscard]] const std::optional<rlp::Error>& error() const { return error_; }

private:
    template <class T, class F>
    T take(F read) {
        if (error_) return T{empty<T>()};
        auto value = read(reader_);
        if (value) return *value;
        fail(value.error());
        return T{empty<T>()};
    }
    template <class T>
    static T empty() {
        if constexpr (std::is_same_v<T, Reader>)
            return Reader({});
        else
            return T{};
    }

    Reader reader_;
    std::optional<rlp::Error> error_;
};

/// Writes RLP as rlp::Writer does, but leaves large fields where they are.
class PieceWriter {
public:
    PieceWriter& bytes(BytesView value) {
        constexpr size_t kLarge = size_t{64} << 10;
        if (value.size() < kLarge) return small([&](Writer& out) { out.bytes(value); });
        lists_.back().add(rlp::string_prefix(value.size()));
        lists_.back().add(value);
        return *this;
    }
    PieceWriter& number(uint64_t value) {
        return small([&](Writer& out) { out.number(value); });
    }
    template <size_t N, class Tag>
    PieceWriter& fixed(const FixedBytes<N, Tag>& value) {
        return bytes(value.bytes);
    }
    PieceWriter& begin_list() {
        lists_.emplace_back();
        return *this;
    }
    PieceWriter& end_list() {
        Pieces list = std::move(lists_.back());
        lists_.pop_back();
        lists_.back().add(rlp::list_prefix(list.size()));
        lists_.back().add(std::move(list));
        return *this;
    }
    [[nodiscard]] Pieces take() { return std::move(lists_.back()); }

private:
    template <class Write>
    PieceWriter& small(const Write& write) {
        Writer out;
        write(out);
        lists_.back().add(out.take());
        return *this;
    }

    std::vector<Pieces> lists_{1};
};

void put_job(PieceWriter& out, const JobCase& j) {
    out.bytes(j.program).fixed(j.program_id).bytes(j.data).fixed(j.run_seed);
}

JobCase take_job(Fields& in) {
    JobCase j;
    j.program = in.bytes();
    j.program_id = in.hash();
    j.data = in.bytes();
    j.run_seed = in.hash();
    return j;
}

void put_claim(PieceWriter& out, const training::SegmentClaim& claim) {
    out.number(claim.first_step).number(claim.steps);
    out.fixed(claim.first_root).fixed(claim.last_root).fixed(claim.steps_root);
}

training::SegmentClaim take_claim(Fields& in) {
    training::SegmentClaim claim;
    claim.first_step = in.u32();
    claim.steps = in.u32();
    claim.first_root = in.hash();
    claim.last_root = in.hash();
    claim.steps_root = in.hash();
    return claim;
}

void put(PieceWriter& out, const NameRequest&) {
    out.number(uint64_t{kName});
}

void put_audit(PieceWriter& out, const Audit& a) {
    out.begin_list();
    put_claim(out, a.segment.claim);
    out.bytes(a.segment.last_state);
    out.begin_list();
    for (const auto& unit : a.draws.units)
        out.begin_list().number(uint64_t{unit.t}).number(uint64_t{unit.j}).end_list();
    out.end_list().begin_list();
    for (const auto& tile : a.draws.tiles)
        out.begin_list().number(uint64_t{tile.tensor}).number(uint64_t{tile.tile}).end_list();
    out.end_list().bytes(a.bundle).end_list();
}

void put(PieceWriter& out, const AuditRequest& r) {
    out.number(uint64_t{kAudit});
    put_job(out, r.job);
    out.begin_list();
    for (const auto& audit : r.audits) put_audit(out, audit);
    out.end_list();
}

void put(PieceWriter& out, const ReplayRequest& r) {
    out.number(uint64_t{kReplay});
    put_job(out, r.job);
    put_claim(out, r.claim);
    out.fixed(r.last_blob).number(uint64_t{r.wants_last ? 1u : 0u}).bytes(r.first_state);
}

void put(PieceWriter& out, const std::string& name) {
    out.number(uint64_t{kName}).bytes(as_bytes(name));
}

void put(PieceWriter& out, const VerifyAnswer& a) {
    out.number(uint64_t{kAnswer}).number(uint64_t{a.matches ? 1u : 0u}).begin_list();
    for (const auto& hash : a.answers) out.fixed(hash);
    out.end_list().bytes(as_bytes(a.finding)).bytes(a.last_state);
}

void put(PieceWriter& out, const VerifyError& e) {
    out.number(uint64_t{kError}).number(static_cast<uint64_t>(e.code)).bytes(as_bytes(e.text));
}

void put(PieceWriter& out, const std::vector<AuditResult>& results) {
    out.number(uint64_t{kResults}).begin_list();
    for (const auto& result : results) {
        out.begin_list();
        if (result)
            put(out, *result);
        else
            put(out, result.error());
        out.end_list();
    }
    out.end_list();
}

template <class Message>
Pieces encode_pieces(const Message& message) {
    PieceWriter out;
    out.begin_list();
    put(out, message);
    out.end_list();
    return out.take();
}

template <class Message>
Bytes encode(const Message& message) {
    const Pieces pieces =
        std::visit([](const auto& value) { return encode_pieces(value); }, message);
    Bytes out;
    out.reserve(pieces.size());
    for (const BytesView piece : pieces.views()) append(out, piece);
    return out;
}

Result<Fields, rlp::Error> open_fields(BytesView encoded) {
    Reader top(encoded);
    auto list = top.list();
    if (!list) return unexpected(list.error());
    if (auto done = top.finish(); !done) return unexpected(done.error());
    return Fields(*list);
}

Audit take_audit(Fields& in) {
    Audit a;
    a.segment.claim = take_claim(in);
    a.segment.last_state = in.bytes();
    in.list(kDrawsMax, [&](Fields& unit) {
        const uint32_t t = unit.u32(), j = unit.u32();
        a.draws.units.push_back({t, j});
    });
    in.list(kDrawsMax, [&](Fields& tile) {
        const uint32_t tensor = tile.u32(), number = tile.u32();
        a.draws.tiles.push_back({tensor, number});
    });
    a.bundle = in.bytes();
    return a;
}

/// An answer or an error, after its kind.
AuditResult take_result(Fields& in, uint64_t kind) {
    if (kind == kAnswer) {
        VerifyAnswer answer;
        answer.matches = in.number(1) == 1;
        answer.answers = in.hashes();
        answer.finding = in.text();
        answer.last_state = in.bytes();
        return answer;
    }
    if (kind != kError) in.fail(rlp::Error::wrong_kind);
    const auto code = in.number(static_cast<uint64_t>(VerifyErrorCode::device_failed));
    return unexpected(VerifyError{static_cast<VerifyErrorCode>(code), in.text()});
}

/// Waits until the descriptor is ready or the deadline has passed.
bool wait_ready(int fd, short events, const std::optional<Clock::time_point>& deadline) {
    for (;;) {
        int wait_ms = -1;
        if (deadline) {
            const auto left =
                std::chrono::duration_cast<std::chrono::milliseconds>(*deadline - Clock::now());
            if (left.count() <= 0) return false;
            wait_ms = static_cast<int>(std::min<int64_t>(left.count() + 1, 60'000));
        }
        pollfd entry{fd, events, 0};
        const int ready = ::poll(&entry, 1, wait_ms);
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return true;  // the next read or write tells why
    }
}

std::optional<Clock::time_point> deadline_of(uint32_t timeout_ms) {
    if (timeout_ms == 0) return std::nullopt;
    return Clock::now() + std::chrono::milliseconds(timeout_ms);
}

Result<Done, FrameError> read_exactly(int fd, std::span<uint8_t> out,
                                      const std::optional<Clock::time_point>& deadline) {
    while (!out.empty()) {
        if (!wait_ready(fd, POLLIN, deadline)) return unexpected(FrameError::timed_out);
        const ssize_t n = ::recv(fd, out.data(), out.size(), MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n <= 0) return unexpected(FrameError::closed);
        out = out.subspan(static_cast<size_t>(n));
    }
    return Done{};
}

Result<Done, FrameError> write_exactly(int fd, BytesView from,
                                       const std::optional<Clock::time_point>& deadline) {
    while (!from.empty()) {
        if (!wait_ready(fd, POLLOUT, deadline)) return unexpected(FrameError::timed_out);
        const ssize_t n = ::send(fd, from.data(), from.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n <= 0) return unexpected(FrameError::closed);
        from = from.subspan(static_cast<size_t>(n));
    }
    return Done{};
}

}  // namespace

void Pieces::add(Bytes own) {
    size_ += own.size();
    views_.emplace_back(own_.emplace_back(std::move(own)));
}
void Pieces::add(BytesView elsewhere) {
    size_ += elsewhere.size();
    views_.push_back(elsewhere);
}
void Pieces::add(Pieces&& more) {
    size_ += more.size_;
    views_.insert(views_.end(), more.views_.begin(), more.views_.end());
    for (Bytes& own : more.own_) own_.push_back(std::move(own));  // their bytes stay in place
}

Pieces pieces_of(const NameRequest& request) {
    return encode_pieces(request);
}
Pieces pieces_of(const AuditRequest& request) {
    return encode_pieces(request);
}
Pieces pieces_of(const ReplayRequest& request) {
    return encode_pieces(request);
}

Bytes encode_request(const Request& request) {
    return encode(request);
}
Bytes encode_reply(const Reply& reply) {
    return encode(reply);
}

Result<Request, rlp::Error> decode_request(BytesView encoded) {
    auto in = open_fields(encoded);
    if (!in) return unexpected(in.error());
    const auto kind = in->number(kReplay);
    Request out;
    if (kind == kAudit) {
        AuditRequest r;
        r.job = take_job(*in);
        in->list(kAuditsMax, [&](Fields& audit) { r.audits.push_back(take_audit(audit)); });
        out = std::move(r);
    } else if (kind == kReplay) {
        ReplayRequest r;
        r.job = take_job(*in);
        r.claim = take_claim(*in);
        r.last_blob = in->hash();
        r.wants_last = in->number(1) == 1;
        r.first_state = in->bytes();
        out = std::move(r);
    } else if (kind != kName) {
        in->fail(rlp::Error::wrong_kind);
    }
    in->end();
    if (in->error()) return unexpected(*in->error());
    return out;
}

Result<Reply, rlp::Error> decode_reply(BytesView encoded) {
    auto in = open_fields(encoded);
    if (!in) return unexpected(in.error());
    const auto kind = in->number(kResults);
    Reply out;
    if (kind == kName) {
        out = in->text();
    } else if (kind == kResults) {
        std::vector<AuditResult> results;
        in->list(kAuditsMax,
                 [&](Fields& item) { results.push_back(take_result(item, item.number(kError))); });
        out = std::move(results);
    } else if (auto result = take_result(*in, kind)) {
        out = std::move(*result);
    } else {
        out = result.error();
    }
    in->end();
    if (in->error()) return unexpected(*in->error());
    return out;
}

Result<Done, FrameError> write_frame(int fd, BytesView payload, uint32_t timeout_ms) {
    const auto deadline = deadline_of(timeout_ms);
    Bytes head;
    append_le<uint64_t>(head, payload.size());
    if (auto done = write_exactly(fd, head, deadline); !done) return done;
    return write_exactly(fd, payload, deadline);
}

Result<Done, FrameError> write_frame(int fd, const Pieces& payload, uint32_t timeout_ms) {
    const auto deadline = deadline_of(timeout_ms);
    Bytes head;
    append_le<uint64_t>(head, payload.size());
    Result<Done, FrameError> done = write_exactly(fd, head, deadline);
    for (const BytesView piece : payload.views())
        if (done) done = write_exactly(fd, piece, deadline);
    return done;
}

Result<Bytes, FrameError> read_frame(int fd, uint32_t timeout_ms) {
    const auto deadline = deadline_of(timeout_ms);
    std::array<uint8_t, 8> head{};
    if (auto done = read_exactly(fd, head, deadline); !done) return unexpected(done.error());
    const auto size = load_le<uint64_t>(head.data());
    if (size > kFrameBytesMax) return unexpected(FrameError::too_large);
    // The buffer grows with what really arrives, so a false length costs its sender and not us; by
    // so much that little is copied on the way.
    constexpr size_t kPiece = size_t{16} << 20;
    Bytes out;
    while (out.size() < size) {
        const size_t from = out.size(), piece = std::min<uint64_t>(size - from, kPiece);
        if (from + piece > out.capacity())
            out.reserve(std::min<uint64_t>(size, 8 * uint64_t{from} + kPiece));
        out.resize(from + piece);
        if (auto done = read_exactly(fd, std::span(out).subspan(from), deadline); !done)
            return unexpected(done.error());
    }
    return out;
}

}  // namespace trainyard::node::verify
