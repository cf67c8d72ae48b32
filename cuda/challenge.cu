// SPDX-License-Identifier: Apache-2.0
// The chain of a capability challenge on a device: products on the tensor cores, folded in place.
#include <utility>

#include "cuda/challenge.hpp"
#include "cuda/context.cuh"
#include "cuda/products.cuh"

namespace trainyard::cuda {

namespace {

using training::BackendError;
using training::Challenge;

/// A matrix of int8 rows as an operand without scales.
Operand operand_of(const DeviceMemory& memory, uint32_t groups, uint32_t k) {
    return {reinterpret_cast<int8_t*>(memory.data()), nullptr, groups, k, Layout::lines};
}

Result<Done, BackendError> run(int device, const Challenge& c, std::span<const int8_t> columns,
                               std::span<int8_t> rows) {
    Context on(device);
    for (const DeviceInfo& info : cuda_devices())
        if (info.index == device) on.set_products(products_of(info.major, info.minor).front());
    DeviceMemory b(columns.size()), x(rows.size()), next(rows.size());
    if (b.data() == nullptr || x.data() == nullptr || next.data() == nullptr)
        return unexpected(BackendError::out_of_memory);
    on.upload(b.data(), columns.data(), columns.size());
    on.upload(x.data(), rows.data(), rows.size());
    const auto count = static_cast<uint32_t>(rows.size() / c.size);
    for (uint32_t link = 0; link < c.links && on.ok(); ++link) {
        on.begin();  // a link's scratch memory is that of the link before
        ProductOut out;
        out.stride = c.size;
        out.folded = reinterpret_cast<int8_t*>(next.data());
        multiply(on, 1, operand_of(x, count, c.size), operand_of(b, c.size, c.size), out);
        std::swap(x, next);
    }
    on.download(rows.data(), x.data(), rows.size());
    if (const auto error = on.take_error()) return unexpected(*error);
    return Done{};
}

}  // namespace

training::ChallengeChain make_device_chain(int device, const Challenge& challenge) {
    return [device, challenge, columns = training::challenge_columns(challenge)](
               std::span<int8_t> rows) { return run(device, challenge, columns, rows); };
}

}  // namespace trainyard::cuda
