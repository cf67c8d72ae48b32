// SPDX-License-Identifier: Apache-2.0
// The checksum over genesis and the forks passed.
#include "consensus/rules/fork_id.hpp"

#include <set>

namespace trainyard::consensus {
namespace {

/// CRC-32 of IEEE 802.3, reflected, bit by bit: a few dozen bytes are hashed.
class Crc32 {
public:
    void update(BytesView data) {
        for (const uint8_t byte : data) {
            state_ ^= byte;
            for (int bit = 0; bit < 8; ++bit)
                state_ = (state_ >> 1) ^ ((state_ & 1) != 0 ? 0xedb88320u : 0u);
        }
    }
    void update(uint64_t number) {
        uint8_t big_endian[8];
        for (int i = 0; i < 8; ++i) big_endian[i] = static_cast<uint8_t>(number >> (56 - 8 * i));
        update(BytesView(big_endian));
    }
    [[nodiscard]] uint32_t sum() const { return ~state_; }

private:
    uint32_t state_ = ~0u;
};

}  // namespace

ForkId fork_id(const ChainConfig& config, const GenesisId& genesis, uint64_t number,
               uint64_t timestamp) {
    std::set<uint64_t> blocks(config.idle_fork_blocks.begin(), config.idle_fork_blocks.end());
    std::set<uint64_t> times;
    for (const auto& delay : config.bomb_delays) blocks.insert(delay.number);
    for (const auto& fork : config.forks) {
        if (fork.timestamp > genesis.timestamp) times.insert(fork.timestamp);
        // The Merge came at a difficulty, not at a block.
        if (!vm::is_at_least(fork.revision, vm::Revision::paris)) blocks.insert(fork.number);
    }
    Crc32 crc;
    crc.update(genesis.hash.bytes);
    for (const uint64_t block : blocks)
        if (block > 0 && block <= number) crc.update(block);
    for (const uint64_t time : times)
        if (time <= timestamp) crc.update(time);
    ForkId id;
    for (int i = 0; i < 4; ++i) id[i] = static_cast<uint8_t>(crc.sum() >> (24 - 8 * i));
    return id;
}

}  // namespace trainyard::consensus
