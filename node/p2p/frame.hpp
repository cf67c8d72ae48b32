// SPDX-License-Identifier: Apache-2.0
// Frames: u32 little-endian length of what follows | u8 kind | Envelope in Protobuf.
#pragma once

#include <array>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "node/p2p/kinds.hpp"
#include "node/p2p/lanes.hpp"

namespace trainyard::p2p {

inline constexpr size_t kFrameHeaderBytes = 5;
/// Tags, request id and length of the payload inside an Envelope.
inline constexpr size_t kEnvelopeOverheadMax = 16;

enum class FrameError : uint8_t {
    empty,         ///< a length of zero
    unknown_kind,  ///< no row in kKinds
    too_long,      ///< more than the kind's row allows
    bad_envelope,  ///< not an Envelope, or with fields we do not know
    bad_request_id,
};
[[nodiscard]] std::string_view to_string(FrameError error);

struct FrameHeader {
    const KindRow* row = nullptr;
    size_t envelope_bytes = 0;
};

/// Checks kind and length before anything of the envelope is read.
[[nodiscard]] Result<FrameHeader, FrameError> decode_header(
    const std::array<uint8_t, kFrameHeaderBytes>& header);

struct Message {
    Kind kind{};
    uint64_t request_id = 0;
    Bytes payload;
    bool operator==(const Message&) const = default;
};

/// A request carries an id other than 0, its answer the same id; everything else carries 0.
[[nodiscard]] Result<Message, FrameError> decode_envelope(const KindRow& row, BytesView envelope);

/// Precondition: the kind has a row and the payload is within its limit.
[[nodiscard]] Frame encode_frame(Kind kind, uint64_t request_id, BytesView payload);

}  // namespace trainyard::p2p
