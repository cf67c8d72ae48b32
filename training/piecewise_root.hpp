// SPDX-License-Identifier: Apache-2.0
// The root of a state whose blob passes by and is never whole in memory.
#pragma once

#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "training/pool.hpp"
#include "training/program.hpp"
#include "training/state_blob.hpp"

namespace trainyard::training {

/// Takes a blob piece by piece, each of them whole rows of tiles, and keeps their hashes alone:
/// 32 bytes for half a megabyte.
class PiecewiseRoot {
public:
    static constexpr size_t kPieceBytes = size_t{8} << 20;

    /// Of a blob of so many bytes. The threads of `pool`, which must live on, share a piece.
    PiecewiseRoot(Program program, uint64_t size_bytes, Pool* pool = nullptr,
                  size_t piece_bytes_max = kPieceBytes);
    /// Bytes of the pieces in order: at most so many, or 32 rows of a tensor whose rows are longer.
    /// None where no state of the program has that size.
    [[nodiscard]] const std::vector<size_t>& pieces() const { return pieces_; }
    /// Precondition: the next of `pieces`.
    void add(BytesView piece);
    /// What `blob_root` says of all pieces together. Precondition: there is no next one.
    [[nodiscard]] Result<Hash, StateError> finish() const;

private:
    /// Rows of a tensor that lie in one piece: its tiles from one number to another.
    struct Part {
        size_t parameter;
        Shape shape;
        bool is_last;  ///< of its tensor
    };
    void cut(size_t parameter);
    void hash(const Part& part, const uint8_t* at);

    Program program_;
    Hash id_;
    uint64_t size_bytes_;
    Pool* pool_;
    size_t piece_bytes_max_;
    std::vector<size_t> pieces_;
    std::vector<Part> parts_;
    std::vector<size_t> ends_;  ///< of the parts of each piece
    size_t added_ = 0;          ///< pieces
    Bytes header_;
    std::vector<Hash> tiles_;    ///< leaves of the tensor's last block, which is not full
    std::vector<Hash> blocks_;   ///< roots of its other blocks
    std::vector<Hash> tensors_;  ///< leaves of those before it
};

}  // namespace trainyard::training
