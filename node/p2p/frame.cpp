// SPDX-License-Identifier: Apache-2.0
// Encoding and checking of frames.
#include "node/p2p/frame.hpp"

#include "core/assert.hpp"
#include "proto/wire.pb.h"

namespace trainyard::p2p {

namespace {

constexpr bool is_answer_kind(Kind kind) {
    if (kind == Kind::refused) return true;
    for (const KindRow& row : kKinds) {
        if (row.answer == kind) return true;
    }
    return false;
}

bool has_right_id(const KindRow& row, uint64_t request_id) {
    if (row.is_request()) return request_id != 0;
    return is_answer_kind(row.kind) == (request_id != 0);
}

}  // namespace

std::string_view to_string(FrameError error) {
    switch (error) {
        case FrameError::empty:
            return "empty frame";
        case FrameError::unknown_kind:
            return "unknown kind of message";
        case FrameError::too_long:
            return "message longer than its kind allows";
        case FrameError::bad_envelope:
            return "envelope that is not one";
        case FrameError::bad_request_id:
            return "request id where none belongs, or none where one does";
    }
    return "unknown";
}

Result<FrameHeader, FrameError> decode_header(
    const std::array<uint8_t, kFrameHeaderBytes>& header) {
    const auto length = load_le<uint32_t>(header.data());
    if (length == 0) return unexpected(FrameError::empty);
    const KindRow* row = find_kind(header[4]);
    if (row == nullptr) return unexpected(FrameError::unknown_kind);
    const size_t envelope_bytes = length - 1;
    if (envelope_bytes > row->payload_max + kEnvelopeOverheadMax) {
        return unexpected(FrameError::too_long);
    }
    return FrameHeader{row, envelope_bytes};
}

Result<Message, FrameError> decode_envelope(const KindRow& row, BytesView envelope) {
    wire::Envelope parsed;
    if (!parsed.ParseFromArray(envelope.data(), static_cast<int>(envelope.size()))) {
        return unexpected(FrameError::bad_envelope);
    }
    parsed.DiscardUnknownFields();
    if (parsed.ByteSizeLong() != envelope.size()) return unexpected(FrameError::bad_envelope);
    if (parsed.payload().size() > row.payload_max) return unexpected(FrameError::too_long);
    if (!has_right_id(row, parsed.request_id())) return unexpected(FrameError::bad_request_id);
    const BytesView payload = as_bytes(parsed.payload());
    return Message{row.kind, parsed.request_id(), Bytes(payload.begin(), payload.end())};
}

Frame encode_frame(Kind kind, uint64_t request_id, BytesView payload) {
    const KindRow* row = find_kind(kind);
    ASSERT(row != nullptr && payload.size() <= row->payload_max);
    wire::Envelope envelope;
    envelope.set_request_id(request_id);
    envelope.set_payload(payload.data(), payload.size());
    const size_t size = envelope.ByteSizeLong();
    Bytes frame;
    frame.reserve(kFrameHeaderBytes + size);
    append_le(frame, static_cast<uint32_t>(size + 1));
    frame.push_back(static_cast<uint8_t>(kind));
    frame.resize(kFrameHeaderBytes + size);
    const bool written =
        envelope.SerializeToArray(frame.data() + kFrameHeaderBytes, static_cast<int>(size));
    ASSERT(written);
    return std::make_shared<const Bytes>(std::move(frame));
}

}  // namespace trainyard::p2p
