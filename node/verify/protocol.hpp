// SPDX-License-Identifier: Apache-2.0
// Messages between a node and its verifier process: RLP in frames of a little-endian length.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/rlp.hpp"
#include "node/verify/socket_bytes.hpp"
#include "node/verify/state_pieces.hpp"
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

/// Blocking, on a connected descriptor. `timeout_ms` 0: no limit. Buffers grow with what arrives,
/// so that a false length costs its sender and not us.
[[nodiscard]] Result<Done, FrameError> write_frame(int fd, BytesView payload, uint32_t timeout_ms);
[[nodiscard]] Result<Bytes, FrameError> read_frame(int fd, uint64_t bytes_max, uint32_t timeout_ms);
[[nodiscard]] Result<Done, FrameError> write_pieces(int fd, const Pieces& message,
                                                    uint32_t timeout_ms);
/// Requests that are shorter travel bare.
inline constexpr uint64_t kPlacedBytesMin = uint64_t{1} << 20;
/// An empty frame announces that the fields of the next one need not come through the socket. The
/// process says where they shall lie (a frame: its number, then an address for each, u64) and is
/// told by a byte that they do (1), or that they follow bare after all (0): where the kernel does
/// not let this process write there, or another process answers.
/// Fields with the address 0 it asks for piece by piece then, in order: state_pieces.hpp.
[[nodiscard]] Result<Done, FrameError> write_request(int fd, const Pieces& request,
                                                     const Receiver& to, uint32_t timeout_ms);
/// A node believes nothing of its verifier process: `last_bytes_max` is what the request allowed.
[[nodiscard]] Result<Reply, FrameError> read_reply(int fd, uint64_t last_bytes_max,
                                                   uint32_t timeout_ms);
/// See Verifier::open_last_state.
using OpenLastState =
    std::function<std::optional<training::PiecewiseRoot>(const JobCase& job, uint64_t size_bytes)>;
/// Either kind. A verifier process believes the node that started it: room for a large field is
/// taken at once, and it takes no more than the field. Last states that `open` takes pass through
/// two pieces of room instead, one of which arrives while the other is hashed.
[[nodiscard]] Result<Request, FrameError> read_request(int fd, uint32_t timeout_ms,
                                                       const OpenLastState& open = {});

}  // namespace trainyard::node::verify
