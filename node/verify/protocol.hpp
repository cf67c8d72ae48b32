// SPDX-License-Identifier: Apache-2.0
// Messages between a node and its verifier process: RLP in frames of a little-endian length.
#pragma once

#include <string>
#include <variant>
#include <vector>

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

/// An encoded message in pieces: its small fields in bytes of its own, the large ones where they
/// lie in the request, which must stay as it is. One behind the other they are `encode_request`.
class Pieces {
public:
    void add(Bytes own);
    void add(BytesView elsewhere);
    void add(Pieces&& more);
    [[nodiscard]] uint64_t size() const { return size_; }
    [[nodiscard]] const std::vector<BytesView>& views() const { return views_; }

private:
    std::vector<Bytes> own_;
    std::vector<BytesView> views_;  ///< in order; of `own_` too
    uint64_t size_ = 0;
};
[[nodiscard]] Pieces pieces_of(const NameRequest& request);
[[nodiscard]] Pieces pieces_of(const AuditRequest& request);
[[nodiscard]] Pieces pieces_of(const ReplayRequest& request);

[[nodiscard]] Bytes encode_request(const Request& request);
[[nodiscard]] Result<Request, rlp::Error> decode_request(BytesView encoded);
[[nodiscard]] Bytes encode_reply(const Reply& reply);
[[nodiscard]] Result<Reply, rlp::Error> decode_reply(BytesView encoded);

enum class FrameError { closed, timed_out, too_large };
/// Blocking, on a connected descriptor. `timeout_ms` 0: no limit.
[[nodiscard]] Result<Done, FrameError> write_frame(int fd, BytesView payload, uint32_t timeout_ms);
[[nodiscard]] Result<Done, FrameError> write_frame(int fd, const Pieces& payload,
                                                   uint32_t timeout_ms);
[[nodiscard]] Result<Bytes, FrameError> read_frame(int fd, uint32_t timeout_ms);

}  // namespace trainyard::node::verify
