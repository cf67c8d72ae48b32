// SPDX-License-Identifier: Apache-2.0
// CUDA devices as training backends: the same bits as training/reference, checked before use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "training/backend.hpp"

namespace trainyard::cuda {

struct DeviceInfo {
    int index = 0;
    std::string name;          ///< "NVIDIA H100 80GB HBM3"
    size_t memory_bytes = 0;   ///< of the whole device
    int major = 0, minor = 0;  ///< compute capability; at least 8.0
    int driver = 0;            ///< CUDA version of the driver, 13000 for 13.0
    int runtime = 0;           ///< CUDA version that this program was built with
    std::string uuid;          ///< 16 bytes that no other device has
    bool has_ecc = false;      ///< its memory corrects and tells errors
};

/// The devices that the backend can use, by index. Empty where the program was built without a
/// CUDA toolkit; `cuda_unavailable` says why.
[[nodiscard]] std::vector<DeviceInfo> cuda_devices();

/// One line for people: why `cuda_devices` is empty. Empty text when it is not.
[[nodiscard]] std::string cuda_unavailable();

/// How a device makes exact int8 products. All give the same integers, not the same speed.
enum class Products : uint8_t {
    fastest,      ///< of the others, by compute capability
    int8,         ///< by single warps; every device
    warpgroup,    ///< by four warps together; compute capability 9.0
    bulk,         ///< the same, fed by bulk copies of one warp; compute capability 9.0
    pairs,        ///< the same in pairs of blocks that share an operand; compute capability 9.0
    alternating,  ///< as pairs, and sums of a tile leave while those of the next are made
    bf16,         ///< in bf16, 512 terms at a time; for devices with little int8 rate
};
[[nodiscard]] std::string_view to_text(Products products);

/// How many blocks of a product share its tiles: as many as run at once, or, for tests, so few that
/// each takes many tiles one after the other also of what is small.
enum class ProductBlocks : uint8_t { all, few };

/// Whether the sums of products are checked against their operands, exactly; one that is wrong is
/// told by `finish`. Devices without ECC, which are what people have at home, need it.
enum class Checksums : uint8_t { where_no_ecc, always, never };

/// The products that a device can make with the code of this program, first what should be
/// fastest; none if there is no such device.
[[nodiscard]] std::vector<Products> cuda_products(int device);

/// A backend on one device, for one thread at a time, whose `pool` has `host_threads`; nullptr with
/// one line in `reason` if there is no such device, or it lacks these products. Not yet trusted:
/// see `make_tested_cuda_backend`.
[[nodiscard]] std::unique_ptr<training::Backend> make_cuda_backend(
    int device, std::string* reason = nullptr, Products products = Products::fastest,
    ProductBlocks blocks = ProductBlocks::all, unsigned host_threads = 1,
    Checksums checksums = Checksums::where_no_ecc);

/// The backend of `device` after it has passed training/self_test.hpp, with few blocks too where
/// those take tile after tile, else nullptr and the reason. Where the fastest products fail the
/// test, the others are tried.
[[nodiscard]] std::unique_ptr<training::Backend> make_tested_cuda_backend(
    int device, std::string* reason = nullptr);

}  // namespace trainyard::cuda
