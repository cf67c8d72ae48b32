// SPDX-License-Identifier: Apache-2.0
// Pads messages of one length into lanes and hashes them together; else one by one.
#include "training/tile_hash.hpp"

#include <algorithm>
#include <cstring>

#include "core/merkle.hpp"
#include "training/backend.hpp"
#include "training/cpu/kernels.hpp"

namespace trainyard::training {

namespace {

constexpr size_t kBlock = 64;
constexpr uint8_t kLeafTag = 0x00, kNodeTag = 0x01;

/// Sixteen messages of one length, each a tag and its content, padded as FIPS 180-4 says.
class Lanes {
public:
    Lanes(uint8_t tag, size_t content)
        : blocks_((content + 1 + 8) / kBlock + 1), messages_(kHashLanes * blocks_ * kBlock) {
        for (size_t lane = 0; lane < kHashLanes; ++lane) {
            uint8_t* message = this->content(lane) - 1;
            message[0] = tag;
            message[content + 1] = 0x80;
            const uint64_t bits = 8 * (content + 1);
            for (size_t i = 0; i < 8; ++i)
                message[blocks_ * kBlock - 1 - i] = static_cast<uint8_t>(bits >> (8 * i));
        }
    }
    [[nodiscard]] uint8_t* content(size_t lane) {
        return messages_.data() + lane * blocks_ * kBlock + 1;
    }
    /// Hashes of the first `count` messages.
    void finish(Hash* out, size_t count) {
        uint8_t digests[kHashLanes * 32];
        cpu::sha256_lanes_avx512(digests, messages_.data(), blocks_ * kBlock, blocks_);
        for (size_t i = 0; i < count; ++i) std::memcpy(out[i].data(), digests + 32 * i, 32);
    }

private:
    size_t blocks_;
    std::vector<uint8_t> messages_;
};

bool has_lanes() {
    static const bool yes = cpu_has(CpuPath::avx512);
    return yes;
}

}  // namespace

std::vector<Hash> hash_tiles(size_t count, size_t bytes,
                             const std::function<void(uint8_t* to, size_t i)>& copy) {
    std::vector<Hash> out(count);
    if (!has_lanes()) {
        std::vector<uint8_t> tile(bytes);
        for (size_t i = 0; i < count; ++i) {
            copy(tile.data(), i);
            out[i] = merkle::leaf(tile);
        }
        return out;
    }
    Lanes lanes(kLeafTag, bytes);
    for (size_t i = 0; i < count; i += kHashLanes) {
        const size_t some = std::min(kHashLanes, count - i);
        for (size_t lane = 0; lane < some; ++lane) copy(lanes.content(lane), i + lane);
        lanes.finish(&out[i], some);
    }
    return out;
}

Hash hash_root(std::vector<Hash> leaves) {
    if (!has_lanes() || leaves.size() < 4) return merkle::root(std::move(leaves));
    Lanes lanes(kNodeTag, 64);
    while (leaves.size() > 1) {
        const size_t pairs = leaves.size() / 2;
        for (size_t i = 0; i < pairs; i += kHashLanes) {
            const size_t some = std::min(kHashLanes, pairs - i);
            for (size_t lane = 0; lane < some; ++lane)
                std::memcpy(lanes.content(lane), leaves[2 * (i + lane)].data(), 64);
            lanes.finish(&leaves[i], some);  // never ahead of what was read
        }
        if (leaves.size() % 2 != 0) leaves[pairs] = leaves.back();
        leaves.resize(pairs + leaves.size() % 2);
    }
    return leaves[0];
}

}  // namespace trainyard::training
