// SPDX-License-Identifier: Apache-2.0
// Frames, and the fields behind them, through a socket or past it.
#include "node/verify/transfer.hpp"

#include <algorithm>
#include <array>

#include <unistd.h>

#include "node/verify/placing.hpp"

namespace trainyard::node::verify {
namespace {

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
    for (Content* field : large_fields(head.message))
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
    auto head = decode_request_head(*frame);
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
    auto head = decode_reply_head(*frame);
    if (!head) return unexpected(FrameError::malformed);
    const auto fields = large_fields(head->message);
    for (size_t k = 0; k < fields.size(); ++k) {
        if (head->sizes[k] > last_bytes_max) return unexpected(FrameError::too_large);
        auto field = read_bytes(fd, head->sizes[k], deadline);
        if (!field) return unexpected(field.error());
        *fields[k] = std::move(*field);
    }
    return std::move(head->message);
}

}  // namespace trainyard::node::verify
