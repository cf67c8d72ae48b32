// SPDX-License-Identifier: Apache-2.0
// Copies of tensors, whose memory is taken by one thread and filled by many.
#include "training/tensor_bytes.hpp"

#include <algorithm>
#include <cstring>

namespace trainyard::training {

namespace {

/// Zeros a piece that stays in the cache until it is written: the memory is passed over once.
void read_elements(Floats& to, const TensorBytes& from) {
    constexpr size_t kPiece = 16 << 10;
    while (to.size() < from.shape.count()) {
        const size_t done = to.size(), more = std::min(kPiece, from.shape.count() - done);
        to.resize(done + more);
        std::memcpy(&to[done], from.data + done * sizeof(float), more * sizeof(float));
    }
}

}  // namespace

std::vector<Tensor> read_tensors(std::span<const TensorBytes> from, Pool* pool) {
    std::vector<Tensor> out(from.size());
    for (size_t k = 0; k < out.size(); ++k) {
        out[k].shape = from[k].shape;
        out[k].data.reserve(from[k].shape.count());
    }
    run_ranges(pool, out.size(), 1, [&](size_t k, size_t) { read_elements(out[k].data, from[k]); });
    return out;
}

}  // namespace trainyard::training
