// SPDX-License-Identifier: Apache-2.0
// Messages between a node and its verifier process, as RLP. How they travel: transfer.hpp.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/rlp.hpp"
#include "node/verify/verifier.hpp"

namespace trainyard::node::verify {

/// A frame is u64 length | payload; nothing longer is read, nor a field of a request. An audit of
/// gpt 124M has 4.6 GB: the state and four sets of gradients. What really bounds a verifier is its
/// memory limit.
inline constexpr uint64_t kFrameBytesMax = 64ull << 30;
/// Draws and answers that one message may hold.
inline constexpr size_t kDrawsMax = 256;
/// Characters of a name, a finding or an error, all printable ASCII, since logs show them: the
/// encoder cuts the rest off and writes '?' for what is not printable, the decoder refuses.
inline constexpr size_t kTextBytesMax = 1024;
/// The frame of a reply: answers to as many audits as a request may hold.
inline constexpr uint64_t kReplyHeadBytesMax =
    (kAuditsMax + 1) * (kDrawsMax * 33 + kTextBytesMax + 64);

struct NameRequest {
    bool operator==(const NameRequest&) const = default;
};
using Request = std::variant<NameRequest, AuditRequest, ReplayRequest, PickRequest>;
struct Introduction {
    std::string name;
    Confinement confined;
    bool operator==(const Introduction&) const = default;
};
using Reply = std::variant<Introduction, VerifyAnswer, VerifyError, std::vector<AuditResult>, Pick>;

/// A message as it travels: a frame of its small fields and the sizes of the large ones, which
/// follow bare, in order, from where they lie in the message; that must stay as it is. So each
/// arrives in memory of its own and is not copied again. One behind the other: `encode_request`.
/// Between a node and its verifier process large ones do not pass through the socket, see
/// `write_request`.
struct Pieces {
    Bytes head;
    std::vector<BytesView> large;
    [[nodiscard]] uint64_t size() const;
};
[[nodiscard]] Pieces pieces_of(const NameRequest& request);
[[nodiscard]] Pieces pieces_of(const AuditRequest& request);
[[nodiscard]] Pieces pieces_of(const ReplayRequest& request);
[[nodiscard]] Pieces pieces_of(const PickRequest& request);
[[nodiscard]] Pieces pieces_of(const Reply& reply);

[[nodiscard]] Bytes encode_request(const Request& request);
[[nodiscard]] Result<Request, rlp::Error> decode_request(BytesView encoded);
[[nodiscard]] Bytes encode_reply(const Reply& reply);
[[nodiscard]] Result<Reply, rlp::Error> decode_reply(BytesView encoded);

/// What the frame of a message says: large fields are empty in it, their sizes stand beside.
template <class Message>
struct Head {
    Message message;
    std::vector<uint64_t> sizes;  ///< of `large_fields`, in bytes
};
[[nodiscard]] Result<Head<Request>, rlp::Error> decode_request_head(BytesView encoded);
[[nodiscard]] Result<Head<Reply>, rlp::Error> decode_reply_head(BytesView encoded);
/// In the order in which they follow a head.
[[nodiscard]] std::vector<Content*> large_fields(Request& request);
[[nodiscard]] std::vector<Content*> large_fields(Reply& reply);

}  // namespace trainyard::node::verify
