// SPDX-License-Identifier: Apache-2.0
// Strict encoding of verifier messages and framing over a socket.
#include "node/verify/protocol.hpp"

#include <algorithm>

#include <unistd.h>

#include "node/verify/placing.hpp"
#include "node/verify/state_pieces.hpp"

namespace trainyard::node::verify {
namespace {

using rlp::Reader;
using rlp::Writer;

enum Kind : uint64_t {
    kName = 1,
    kAudit = 2,
    kReplay = 3,
    kAnswer = 4,
    kError = 5,
    kResults = 6,
    kPick = 7,
};

bool is_printable(uint8_t byte) {
    return byte >= 0x20 && byte < 0x7f;
}

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
    Bytes bytes(size_t size_max) {
        Bytes out = bytes();
        if (out.size() > size_max) fail(rlp::Error::too_long);
        return out;
    }
    std::string text() {
        const auto view = take<BytesView>([](Reader& r) { return r.bytes(); });
        if (view.size() > kTextBytesMax) fail(rlp::Error::too_long);
        if (!std::all_of(view.begin(), view.end(), is_printable)) fail(rlp::Error::bad_value);
        return error_ ? std::string() : std::string(as_text(view));
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
    std::vector<uint64_t> sizes(size_t count_due) {
        std::vector<uint64_t> out;
        auto items = take<Reader>([](Reader& r) { return r.list(); });
        while (!error_ && !items.at_end()) {
            const auto size = items.number();
            if (!size || *size > kFrameBytesMax || out.size() == count_due) {
                fail(size ? rlp::Error::too_long : size.error());
                break;
            }
            out.push_back(*size);
        }
        if (!error_ && out.size() < count_due) fail(rlp::Error::truncated);
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

void put_job(Writer& out, const JobCase& j) {
    out.bytes(j.program).fixed(j.program_id).fixed(j.run_seed);
}

JobCase take_job(Fields& in) {
    JobCase j;
    j.program = in.bytes();
    j.program_id = in.hash();
    j.run_seed = in.hash();
    return j;
}

void put_claim(Writer& out, const training::SegmentClaim& claim) {
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

void put(Writer& out, const NameRequest&) {
    out.number(uint64_t{kName});
}

void put_audit(Writer& out, const Audit& a) {
    out.begin_list();
    put_claim(out, a.segment.claim);
    out.begin_list();
    for (const auto& unit : a.draws.units)
        out.begin_list().number(uint64_t{unit.t}).number(uint64_t{unit.j}).end_list();
    out.end_list().begin_list();
    for (const auto& tile : a.draws.tiles)
        out.begin_list().number(uint64_t{tile.tensor}).number(uint64_t{tile.tile}).end_list();
    out.end_list().end_list();
}

void put(Writer& out, const AuditRequest& r) {
    out.number(uint64_t{kAudit});
    put_job(out, r.job);
    out.begin_list();
    for (const auto& audit : r.audits) put_audit(out, audit);
    out.end_list();
}

void put(Writer& out, const ReplayRequest& r) {
    out.number(uint64_t{kReplay});
    put_job(out, r.job);
    put_claim(out, r.claim);
    out.number(uint64_t{r.loss_bits}).fixed(r.last_blob).number(r.last_bytes_max);
    out.number(uint64_t{r.diverges_at});
}

void put(Writer& out, const PickRequest& r) {
    out.number(uint64_t{kPick});
    put_job(out, r.segment.job);
    put_claim(out, r.segment.claim);
    out.bytes(r.state);
}

void put_text(Writer& out, std::string_view text) {
    Bytes shown;
    for (const uint8_t byte : as_bytes(text.substr(0, kTextBytesMax)))
        shown.push_back(is_printable(byte) ? byte : '?');
    out.bytes(shown);
}

void put(Writer& out, const Introduction& i) {
    out.number(uint64_t{kName});
    put_text(out, i.name);
    out.number(uint64_t{i.confined.files ? 1u : 0u}).number(uint64_t{i.confined.calls ? 1u : 0u});
}

void put(Writer& out, const VerifyAnswer& a) {
    out.number(uint64_t{kAnswer}).number(uint64_t{a.matches ? 1u : 0u}).begin_list();
    for (const auto& hash : a.answers) out.fixed(hash);
    out.end_list();
    put_text(out, a.finding);
}

void put(Writer& out, const VerifyError& e) {
    out.number(uint64_t{kError}).number(static_cast<uint64_t>(e.code));
    put_text(out, e.text);
}

void put(Writer& out, const Pick& pick) {
    out.number(uint64_t{kPick}).number(uint64_t{pick ? 1u : 0u}).number(uint64_t{pick.value_or(0)});
}

void put(Writer& out, const std::vector<AuditResult>& results) {
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

/// Collects the fields that follow a message's head, in order; `Field` is Content or const Content.
template <class Field>
struct LargeFields {
    std::vector<Field*> fields;

    void operator()(auto& message) {
        using Message = std::remove_const_t<std::remove_reference_t<decltype(message)>>;
        if constexpr (std::is_same_v<Message, AuditRequest>) {
            fields.push_back(&message.job.data);
            for (auto& audit : message.audits) {
                fields.push_back(&audit.segment.last_state);
                fields.push_back(&audit.bundle);
            }
        } else if constexpr (std::is_same_v<Message, ReplayRequest>) {
            fields = {&message.job.data, &message.first_state};
        } else if constexpr (std::is_same_v<Message, PickRequest>) {
            fields = {&message.segment.job.data, &message.segment.first_state};
        } else if constexpr (std::is_same_v<Message, VerifyAnswer>) {
            fields.push_back(&message.last_state);
        }
    }
};
template <class Field, class Message>
std::vector<Field*> large_fields(Message& message) {
    LargeFields<Field> large;
    std::visit(large, message);
    return std::move(large.fields);
}

/// A request or a reply, or one alternative of it.
template <class Message>
Pieces make_pieces(const Message& message) {
    LargeFields<const Content> large;
    Pieces pieces;
    Writer out;
    out.begin_list();
    put(out, message);
    large(message);
    out.begin_list();
    for (const Content* field : large.fields) {
        out.number(uint64_t{field->size()});
        pieces.large.emplace_back(*field);
    }
    out.end_list().end_list();
    pieces.head = out.take();
    return pieces;
}

Bytes join(const Pieces& pieces) {
    Bytes out;
    out.reserve(pieces.size());
    append_le<uint64_t>(out, pieces.head.size());
    append(out, pieces.head);
    for (const BytesView field : pieces.large) append(out, field);
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
    in.list(kDrawsMax, [&](Fields& unit) {
        const uint32_t t = unit.u32(), j = unit.u32();
        a.draws.units.push_back({t, j});
    });
    in.list(kDrawsMax, [&](Fields& tile) {
        const uint32_t tensor = tile.u32(), number = tile.u32();
        a.draws.tiles.push_back({tensor, number});
    });
    return a;
}

/// An answer or an error, after its kind.
AuditResult take_result(Fields& in, uint64_t kind) {
    if (kind == kAnswer) {
        VerifyAnswer answer;
        answer.matches = in.number(1) == 1;
        answer.answers = in.hashes();
        answer.finding = in.text();
        return answer;
    }
    if (kind != kError) in.fail(rlp::Error::wrong_kind);
    const auto code = in.number(static_cast<uint64_t>(VerifyErrorCode::device_failed));
    return unexpected(VerifyError{static_cast<VerifyErrorCode>(code), in.text()});
}

template <class Message>
struct Head {
    Message message;  ///< its large fields are empty
    std::vector<uint64_t> sizes;
};

Request take_request(Fields& in) {
    const auto kind = in.number(kPick);
    if (kind == kAudit) {
        AuditRequest r;
        r.job = take_job(in);
        in.list(kAuditsMax, [&](Fields& audit) { r.audits.push_back(take_audit(audit)); });
        return r;
    }
    if (kind == kReplay) {
        ReplayRequest r;
        r.job = take_job(in);
        r.claim = take_claim(in);
        r.loss_bits = in.u32();
        r.last_blob = in.hash();
        r.last_bytes_max = in.number(kFrameBytesMax);
        r.diverges_at = static_cast<uint32_t>(in.number(r.claim.steps));
        return r;
    }
    if (kind == kPick) {
        PickRequest r;
        r.segment.job = take_job(in);
        r.segment.claim = take_claim(in);
        r.state = in.bytes(kRefereeStateBytesMax);
        return r;
    }
    if (kind != kName) in.fail(rlp::Error::wrong_kind);
    return NameRequest{};
}

Reply take_reply(Fields& in) {
    const auto kind = in.number(kPick);
    if (kind == kName) {
        Introduction i{in.text(), {}};
        i.confined.files = in.number(1) == 1;
        i.confined.calls = in.number(1) == 1;
        return i;
    }
    if (kind == kPick) {
        const bool points = in.number(1) == 1;
        const uint32_t index = in.number(points ? 0xffffffff : 0);
        return points ? Pick(index) : Pick();
    }
    if (kind == kResults) {
        std::vector<AuditResult> results;
        in.list(kAuditsMax,
                [&](Fields& item) { results.push_back(take_result(item, item.number(kError))); });
        return results;
    }
    auto result = take_result(in, kind);
    if (result) return std::move(*result);
    return result.error();
}

template <class Message>
Result<Head<Message>, rlp::Error> decode_head(BytesView encoded, Message (*take)(Fields&)) {
    auto in = open_fields(encoded);
    if (!in) return unexpected(in.error());
    Head<Message> out{take(*in), {}};
    out.sizes = in->sizes(large_fields<Content>(out.message).size());
    in->end();
    if (in->error()) return unexpected(*in->error());
    return out;
}

/// The reverse of `join`.
template <class Message>
Result<Message, rlp::Error> split(BytesView encoded, Message (*take)(Fields&)) {
    if (encoded.size() < sizeof(uint64_t)) return unexpected(rlp::Error::truncated);
    const auto size = load_le<uint64_t>(encoded.data());
    BytesView rest = encoded.subspan(sizeof(uint64_t));
    if (size > rest.size()) return unexpected(rlp::Error::truncated);
    auto head = decode_head(rest.first(size), take);
    if (!head) return unexpected(head.error());
    rest = rest.subspan(size);
    const auto fields = large_fields<Content>(head->message);
    for (size_t k = 0; k < fields.size(); ++k) {
        if (head->sizes[k] > rest.size()) return unexpected(rlp::Error::truncated);
        const BytesView field = rest.first(head->sizes[k]);
        *fields[k] = Bytes(field.begin(), field.end());
        rest = rest.subspan(field.size());
    }
    if (!rest.empty()) return unexpected(rlp::Error::leftover);
    return std::move(head->message);
}

constexpr size_t kPieceBytes = size_t{16} << 20;

/// Takes more room as bytes arrive, by so much that little is copied.
Result<Bytes, FrameError> read_bytes(int fd, uint64_t size, const Deadline& deadline) {
    Bytes out;
    out.reserve(std::min<uint64_t>(size, kPieceBytes));
    while (out.size() < size) {
        const size_t from = out.size(), piece = std::min<uint64_t>(size - from, kPieceBytes);
        if (from + piece > out.capacity())
            out.reserve(std::min<uint64_t>(size, 8 * uint64_t{from} + kPieceBytes));
        out.resize(from + piece);
        if (auto done = read_exactly(fd, std::span(out).subspan(from), deadline); !done)
            return unexpected(done.error());
    }
    return out;
}

}  // namespace

uint64_t Pieces::size() const {
    uint64_t sum = sizeof(uint64_t) + head.size();
    for (const BytesView field : large) sum += field.size();
    return sum;
}

Pieces pieces_of(const NameRequest& request) {
    return make_pieces(request);
}
Pieces pieces_of(const AuditRequest& request) {
    return make_pieces(request);
}
Pieces pieces_of(const ReplayRequest& request) {
    return make_pieces(request);
}
Pieces pieces_of(const PickRequest& request) {
    return make_pieces(request);
}

Pieces pieces_of(const Reply& reply) {
    return std::visit([](const auto& r) { return make_pieces(r); }, reply);
}

Bytes encode_request(const Request& request) {
    return join(std::visit([](const auto& r) { return make_pieces(r); }, request));
}
Bytes encode_reply(const Reply& reply) {
    return join(pieces_of(reply));
}
Result<Request, rlp::Error> decode_request(BytesView encoded) {
    return split(encoded, &take_request);
}
Result<Reply, rlp::Error> decode_reply(BytesView encoded) {
    return split(encoded, &take_reply);
}

Result<Done, FrameError> write_frame(int fd, BytesView payload, uint32_t timeout_ms) {
    const auto deadline = deadline_of(timeout_ms);
    Bytes head;
    append_le<uint64_t>(head, payload.size());
    if (auto done = write_exactly(fd, head, deadline); !done) return done;
    return write_exactly(fd, payload, deadline);
}

Result<Bytes, FrameError> read_frame(int fd, uint64_t bytes_max, uint32_t timeout_ms) {
    const auto deadline = deadline_of(timeout_ms);
    std::array<uint8_t, 8> head{};
    if (auto done = read_exactly(fd, head, deadline); !done) return unexpected(done.error());
    const auto size = load_le<uint64_t>(head.data());
    if (size > bytes_max) return unexpected(FrameError::too_large);
    return read_bytes(fd, size, deadline);
}

namespace {

/// The fields behind a head, as they lie.
Result<Done, FrameError> write_fields(int fd, const Pieces& message, const Deadline& deadline) {
    for (const BytesView field : message.large)
        if (auto done = write_exactly(fd, field, deadline); !done) return done;
    return Done{};
}

/// What a verifier process says of the fields of a head: its number and an address for each.
Result<Places, FrameError> read_places(int fd, size_t fields, uint32_t timeout_ms) {
    const uint64_t due = (1 + fields) * sizeof(uint64_t);
    const auto frame = read_frame(fd, due, timeout_ms);
    if (!frame) return unexpected(frame.error());
    if (frame->size() != due) return unexpected(FrameError::malformed);
    const auto number = [&](size_t k) {
        return load_le<uint64_t>(frame->data() + k * sizeof(uint64_t));
    };
    Places places;
    places.pid = static_cast<int>(std::min<uint64_t>(number(0), INT32_MAX));
    for (size_t k = 1; k <= fields; ++k) places.addresses.push_back(number(k));
    return places;
}

}  // namespace

Result<Done, FrameError> write_pieces(int fd, const Pieces& message, uint32_t timeout_ms) {
    const auto deadline = deadline_of(timeout_ms);
    if (auto done = write_frame(fd, message.head, timeout_ms); !done) return done;
    return write_fields(fd, message, deadline);
}

Result<Done, FrameError> write_request(int fd, const Pieces& request, const Receiver& to,
                                       uint32_t timeout_ms) {
    if (request.size() < kPlacedBytesMin || request.large.empty())
        return write_pieces(fd, request, timeout_ms);
    const auto deadline = deadline_of(timeout_ms);
    if (auto done = write_frame(fd, {}, timeout_ms); !done) return done;
    if (auto done = write_frame(fd, request.head, timeout_ms); !done) return done;
    const auto places = read_places(fd, request.large.size(), timeout_ms);
    if (!places) return unexpected(places.error());
    std::vector<BytesView> fields = request.large;
    std::vector<size_t> asked_for;
    for (size_t k = 0; k < fields.size(); ++k) {
        if (places->addresses[k] != 0 || fields[k].empty()) continue;
        asked_for.push_back(k);
        fields[k] = {};
    }
    auto placing = Placing::refused;
    if (places->pid == to.pid) placing = place(*places, fields, to.threads, deadline);
    if (placing == Placing::late) return unexpected(FrameError::timed_out);
    const uint8_t answer = placing == Placing::done ? kLiesThere : kComesBare;
    if (auto done = write_exactly(fd, {&answer, 1}, deadline); !done) return done;
    if (placing != Placing::done) return write_fields(fd, request, deadline);
    for (const size_t k : asked_for) {
        const auto done = serve_pieces(fd, request.large[k], to, deadline);
        if (!done) return done;
    }
    return Done{};
}

namespace {

/// A large field on its way in: to memory of its own, or past what takes it.
struct Incoming {
    Content* field;
    uint64_t size;
    std::optional<training::PiecewiseRoot> root = std::nullopt;
    std::optional<Result<Hash, training::StateError>>* found = nullptr;
    Blank blank = Blank(0);
};

std::vector<Incoming> incoming_of(Head<Request>& head, const OpenLastState& open) {
    std::vector<Incoming> out;
    for (Content* field : large_fields<Content>(head.message))
        out.push_back({field, head.sizes[out.size()]});
    auto* request = std::get_if<AuditRequest>(&head.message);
    for (Incoming& in : out) {
        if (request != nullptr && open && in.size != 0)
            for (Audit& audit : request->audits)
                if (in.field == &audit.segment.last_state) {
                    in.root = open(request->job, in.size);
                    in.found = &audit.segment.last_found;
                }
        if (!in.root) in.blank = Blank(in.size);
    }
    return out;
}

/// Says where the fields shall lie. True if they do then, false if they come bare.
Result<bool, FrameError> have_placed(int fd, const std::vector<Incoming>& fields,
                                     const Deadline& deadline) {
    Bytes places;
    append_le<uint64_t>(places, (1 + fields.size()) * sizeof(uint64_t));
    append_le<uint64_t>(places, static_cast<uint64_t>(::getpid()));
    for (const Incoming& in : fields)
        append_le<uint64_t>(places, reinterpret_cast<uintptr_t>(in.blank.bytes().data()));
    if (auto done = write_exactly(fd, places, deadline); !done) return unexpected(done.error());
    uint8_t answer = 0;
    if (auto done = read_exactly(fd, {&answer, 1}, deadline); !done)
        return unexpected(done.error());
    if (answer > kLiesThere) return unexpected(FrameError::malformed);
    return answer == kLiesThere;
}

Result<Done, FrameError> take_in(int fd, Incoming& in, bool is_there, const Deadline& deadline) {
    Result<Done, FrameError> done = Done{};
    if (in.root)
        done = is_there ? ask_for_pieces(fd, *in.root, deadline)
                        : read_bare_pieces(fd, *in.root, in.size, deadline);
    else if (!is_there)
        done = read_exactly(fd, in.blank.bytes(), deadline);
    if (!done) return done;
    if (in.root)
        *in.found = in.root->finish();
    else
        *in.field = std::move(in.blank).take();
    return done;
}

}  // namespace

Result<Request, FrameError> read_request(int fd, uint32_t timeout_ms, const OpenLastState& open) {
    const auto deadline = deadline_of(timeout_ms);
    auto frame = read_frame(fd, kFrameBytesMax, timeout_ms);
    const bool is_announced = frame && frame->empty();
    if (is_announced) frame = read_frame(fd, kFrameBytesMax, timeout_ms);
    if (!frame) return unexpected(frame.error());
    auto head = decode_head(*frame, &take_request);
    if (!head) return unexpected(FrameError::malformed);
    auto fields = incoming_of(*head, open);
    bool is_there = false;
    if (is_announced) {
        const auto placed = have_placed(fd, fields, deadline);
        if (!placed) return unexpected(placed.error());
        is_there = *placed;
    }
    for (Incoming& in : fields)
        if (auto done = take_in(fd, in, is_there, deadline); !done) return unexpected(done.error());
    return std::move(head->message);
}

Result<Reply, FrameError> read_reply(int fd, uint64_t last_bytes_max, uint32_t timeout_ms) {
    const auto deadline = deadline_of(timeout_ms);
    const auto frame = read_frame(fd, kReplyHeadBytesMax, timeout_ms);
    if (!frame) return unexpected(frame.error());
    auto head = decode_head(*frame, &take_reply);
    if (!head) return unexpected(FrameError::malformed);
    const auto fields = large_fields<Content>(head->message);
    for (size_t k = 0; k < fields.size(); ++k) {
        if (head->sizes[k] > last_bytes_max) return unexpected(FrameError::too_large);
        auto field = read_bytes(fd, head->sizes[k], deadline);
        if (!field) return unexpected(field.error());
        *fields[k] = std::move(*field);
    }
    return std::move(head->message);
}

}  // namespace trainyard::node::verify
