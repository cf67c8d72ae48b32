// SPDX-License-Identifier: Apache-2.0
// Messages on their way between a node and its verifier process: frames of a little-endian length.
#pragma once

#include <functional>
#include <optional>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "node/verify/protocol.hpp"
#include "node/verify/socket_bytes.hpp"
#include "node/verify/state_pieces.hpp"

namespace trainyard::node::verify {

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
