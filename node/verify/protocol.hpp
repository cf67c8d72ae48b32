// SPDX-License-Identifier: Apache-2.0
// Messages between a node and its verifier process: RLP in frames of a little-endian length.
#pragma once

#include <string>
#include <variant>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/rlp.hpp"
#include "node/verify/verifier.hpp"

namespace trainyard::node::verify {

/// A frame is u64 length | payload; nothing longer is read. An audit of gpt 124M has 4.6 GB: the
/// state and four sets of gradients. What really bounds a verifier is its memory limit.
inline constexpr uint64_t kFrameBytesMax = 64ull << 30;
/// Draws and answers that one message may hold.
inline constexpr size_t kDrawsMax = 256;

struct NameRequest {
    bool operator==(const NameRequest&) const = default;
};
using Request = std::variant<NameRequest, AuditRequest, ReplayRequest>;
using Reply = std::variant<std::string, VerifyAnswer, VerifyError, std::vector<AuditResult>>;

[[nodiscard]] Bytes encode_request(const Request& request);
[[nodiscard]] Result<Request, rlp::Error> decode_request(BytesView encoded);
[[nodiscard]] Bytes encode_reply(const Reply& reply);
[[nodiscard]] Result<Reply, rlp::Error> decode_reply(BytesView encoded);

enum class FrameError { closed, timed_out, too_large };
/// Blocking, on a connected descriptor. `timeout_ms` 0: no limit.
[[nodiscard]] Result<Done, FrameError> write_frame(int fd, BytesView payload, uint32_t timeout_ms);
[[nodiscard]] Result<Bytes, FrameError> read_frame(int fd, uint32_t timeout_ms);

}  // namespace trainyard::node::verify
