// SPDX-License-Identifier: Apache-2.0
// A field that a verifier process takes piece by piece, so that it is never whole in its memory.
#pragma once

#include "node/verify/socket_bytes.hpp"
#include "training/piecewise_root.hpp"

namespace trainyard::node::verify {

/// The process at the other end, which this one has started.
struct Receiver {
    int pid = -1;
    unsigned threads = 1;  ///< of this process, that write into its memory
};

/// Whether what was asked for lies there or passes through the socket: a byte.
enum Answer : uint8_t { kComesBare = 0, kLiesThere = 1 };

/// The process asks for the field from its first byte on: an address and a size (u64), answered by
/// an Answer and, where it comes bare, by the piece; two zeros when it is done. It may ask for the
/// next piece before the last one has come.
[[nodiscard]] Result<Done, FrameError> serve_pieces(int fd, BytesView field, const Receiver& to,
                                                    const Deadline& deadline);
/// The process's part, with room for two pieces: the node writes one while the other is hashed.
[[nodiscard]] Result<Done, FrameError> ask_for_pieces(int fd, training::PiecewiseRoot& root,
                                                      const Deadline& deadline);
/// Where the field comes bare. One of another size than a state is read to its end all the same.
[[nodiscard]] Result<Done, FrameError> read_bare_pieces(int fd, training::PiecewiseRoot& root,
                                                        uint64_t size, const Deadline& deadline);

}  // namespace trainyard::node::verify
