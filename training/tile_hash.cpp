// SPDX-License-Identifier: Apache-2.0
// Hands tiles to the kernel in full sets, pads nodes into lanes; else one by one.
#include "training/tile_hash.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/blob.hpp"
#include "core/merkle.hpp"
#include "training/backend.hpp"

namespace trainyard::training {

namespace {

constexpr size_t kRows = 32, kRowBytes = 128, kTileBytes = kRows * kRowBytes;

/// Sixteen nodes SHA-256(01 | left | right), padded as FIPS 180-4 says.
class NodeLanes {
public:
    static constexpr size_t kLanes = 16;

    NodeLanes() {
        for (size_t lane = 0; lane < kLanes; ++lane) {
            uint8_t* message = messages_.data() + lane * kBytes;
            constexpr uint16_t kBits = 8 * (1 + kContent);
            message[0] = 0x01;
            message[1 + kContent] = 0x80;
            message[kBytes - 2] = kBits >> 8;
            message[kBytes - 1] = kBits & 0xff;
        }
    }
    [[nodiscard]] uint8_t* content(size_t lane) { return messages_.data() + lane * kBytes + 1; }
    /// Hashes of the first `count` nodes.
    void finish(Hash* out, size_t count) {
        uint8_t digests[kLanes * 32];
        cpu::sha256_lanes_avx512(digests, messages_.data(), kBytes, kBytes / 64);
        for (size_t i = 0; i < count; ++i) std::memcpy(out[i].data(), digests + 32 * i, 32);
    }

private:
    static constexpr size_t kContent = 64, kBytes = 128;
    std::array<uint8_t, kLanes * kBytes> messages_{};
};

bool has_lanes() {
    static const bool yes = cpu_has(CpuPath::avx512);
    return yes;
}

Hash hash_one(const cpu::TileRows& tile) {
    std::array<uint8_t, kTileBytes> bytes;
    for (size_t r = 0; r < kRows; ++r)
        std::memcpy(bytes.data() + r * kRowBytes, tile.first + r * tile.stride, kRowBytes);
    return merkle::leaf(bytes);
}

/// Up to 32 tiles; missing ones are stood in for by the first.
void hash_some(Hash* out, const cpu::TileRows* tiles, size_t count) {
    std::array<cpu::TileRows, kTilesAtOnce> all;
    all.fill(tiles[0]);
    std::copy(tiles, tiles + count, all.begin());
    uint8_t digests[kTilesAtOnce * 32];
    cpu::sha256_tiles_avx512(digests, all.data());
    for (size_t i = 0; i < count; ++i) std::memcpy(out[i].data(), digests + 32 * i, 32);
}

constexpr size_t kBlockBytes = kBlockTiles * kTileBytes;
/// Of at most that many bytes.
Hash block_root(BytesView bytes) {
    std::array<cpu::TileRows, kBlockTiles> pieces;
    const size_t whole = bytes.size() / kTileBytes;
    for (size_t i = 0; i < whole; ++i) pieces[i] = {bytes.data() + i * kTileBytes, kRowBytes};
    std::vector<Hash> leaves(whole);
    hash_tiles(leaves.data(), std::span(pieces).first(whole));
    const BytesView rest = bytes.subspan(whole * kTileBytes);
    if (!rest.empty()) leaves.push_back(merkle::leaf(rest));
    return hash_root(std::move(leaves));
}

}  // namespace

void hash_tiles(Hash* out, std::span<const cpu::TileRows> tiles) {
    if (!has_lanes()) {
        for (const cpu::TileRows& tile : tiles) *out++ = hash_one(tile);
        return;
    }
    for (size_t i = 0; i < tiles.size(); i += kTilesAtOnce)
        hash_some(out + i, &tiles[i], std::min(kTilesAtOnce, tiles.size() - i));
}

Hash hash_root(std::vector<Hash> leaves) {
    constexpr size_t kFewLeaves = 8;  // the lanes would be empty
    if (!has_lanes()) return merkle::root(std::move(leaves));
    NodeLanes lanes;
    while (leaves.size() > kFewLeaves) {
        const size_t pairs = leaves.size() / 2;
        for (size_t i = 0; i < pairs; i += NodeLanes::kLanes) {
            const size_t some = std::min(NodeLanes::kLanes, pairs - i);
            for (size_t lane = 0; lane < some; ++lane)
                std::memcpy(lanes.content(lane), leaves[2 * (i + lane)].data(), 64);
            lanes.finish(&leaves[i], some);  // never ahead of what was read
        }
        if (leaves.size() % 2 != 0) leaves[pairs] = leaves.back();
        leaves.resize(pairs + leaves.size() % 2);
    }
    return merkle::root(std::move(leaves));
}

Hash piece_root(BytesView bytes, Pool* pool) {
    static_assert(kTileBytes == blob::kPieceBytes);
    std::vector<Hash> nodes((bytes.size() + kBlockBytes - 1) / kBlockBytes);
    run_ranges(pool, bytes.size(), kBlockBytes, [&](size_t first, size_t last) {
        nodes[first / kBlockBytes] = block_root(bytes.subspan(first, last - first));
    });
    return hash_root(std::move(nodes));
}

}  // namespace trainyard::training
