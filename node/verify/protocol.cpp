// SPDX-License-Identifier: Apache-2.0
// Strict encoding of verifier messages.
#include "node/verify/protocol.hpp"

#include <algorithm>

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
std::vector<Field*> fields_of(Message& message) {
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
Result<Head<Message>, rlp::Error> take_head(BytesView encoded, Message (*take)(Fields&)) {
    auto in = open_fields(encoded);
    if (!in) return unexpected(in.error());
    Head<Message> out{take(*in), {}};
    out.sizes = in->sizes(fields_of<Content>(out.message).size());
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
    auto head = take_head(rest.first(size), take);
    if (!head) return unexpected(head.error());
    rest = rest.subspan(size);
    const auto fields = fields_of<Content>(head->message);
    for (size_t k = 0; k < fields.size(); ++k) {
        if (head->sizes[k] > rest.size()) return unexpected(rlp::Error::truncated);
        const BytesView field = rest.first(head->sizes[k]);
        *fields[k] = Bytes(field.begin(), field.end());
        rest = rest.subspan(field.size());
    }
    if (!rest.empty()) return unexpected(rlp::Error::leftover);
    return std::move(head->message);
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

Result<Head<Request>, rlp::Error> decode_request_head(BytesView encoded) {
    return take_head(encoded, &take_request);
}
Result<Head<Reply>, rlp::Error> decode_reply_head(BytesView encoded) {
    return take_head(encoded, &take_reply);
}
std::vector<Content*> large_fields(Request& request) {
    return fields_of<Content>(request);
}
std::vector<Content*> large_fields(Reply& reply) {
    return fields_of<Content>(reply);
}

}  // namespace trainyard::node::verify
