// SPDX-License-Identifier: Apache-2.0
// Keccak-256 of many messages, one in each lane of wide registers; the width is chosen at run time.
#include <bit>
#include <cstring>

#include "core/hash.hpp"
#include "core/keccak.hpp"

namespace trainyard {
namespace {

/// N messages at once: word w of message i is lane i of words[w].
template <size_t N>
struct Lanes {
    using Word [[gnu::vector_size(8 * N)]] = uint64_t;
    Word words[25];
};

// References, because a wide register as an argument is no part of the plain calling convention.
#define INLINE [[gnu::always_inline]] inline

template <int kBits, class Word>
INLINE void xor_rotated(Word& out, const Word& a, const Word& d) {
    const Word x = a ^ d;
    out = x << kBits | x >> (64 - kBits);
}

template <class Word>
INLINE void chi(Word* out, const Word& b0, const Word& b1, const Word& b2, const Word& b3,
                const Word& b4) {
    out[0] = b0 ^ (~b1 & b2);
    out[1] = b1 ^ (~b2 & b3);
    out[2] = b2 ^ (~b3 & b4);
    out[3] = b3 ^ (~b4 & b0);
    out[4] = b4 ^ (~b0 & b1);
}

/// One round from `a` to `e`, as in core/keccak.cpp.
template <class Word>
INLINE void one_round(const Word* a, Word* e, uint64_t constant) {
    Word c[5], d[5], b[5];
    for (int x = 0; x < 5; ++x) c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
    for (int x = 0; x < 5; ++x) xor_rotated<1>(d[x], c[(x + 1) % 5], Word{});
    for (int x = 0; x < 5; ++x) d[x] ^= c[(x + 4) % 5];
    b[0] = a[0] ^ d[0];
    xor_rotated<44>(b[1], a[6], d[1]);
    xor_rotated<43>(b[2], a[12], d[2]);
    xor_rotated<21>(b[3], a[18], d[3]);
    xor_rotated<14>(b[4], a[24], d[4]);
    chi(e, b[0], b[1], b[2], b[3], b[4]);
    xor_rotated<28>(b[0], a[3], d[3]);
    xor_rotated<20>(b[1], a[9], d[4]);
    xor_rotated<3>(b[2], a[10], d[0]);
    xor_rotated<45>(b[3], a[16], d[1]);
    xor_rotated<61>(b[4], a[22], d[2]);
    chi(e + 5, b[0], b[1], b[2], b[3], b[4]);
    xor_rotated<1>(b[0], a[1], d[1]);
    xor_rotated<6>(b[1], a[7], d[2]);
    xor_rotated<25>(b[2], a[13], d[3]);
    xor_rotated<8>(b[3], a[19], d[4]);
    xor_rotated<18>(b[4], a[20], d[0]);
    chi(e + 10, b[0], b[1], b[2], b[3], b[4]);
    xor_rotated<27>(b[0], a[4], d[4]);
    xor_rotated<36>(b[1], a[5], d[0]);
    xor_rotated<10>(b[2], a[11], d[1]);
    xor_rotated<15>(b[3], a[17], d[2]);
    xor_rotated<56>(b[4], a[23], d[3]);
    chi(e + 15, b[0], b[1], b[2], b[3], b[4]);
    xor_rotated<62>(b[0], a[2], d[2]);
    xor_rotated<55>(b[1], a[8], d[3]);
    xor_rotated<39>(b[2], a[14], d[4]);
    xor_rotated<41>(b[3], a[15], d[0]);
    xor_rotated<2>(b[4], a[21], d[1]);
    chi(e + 20, b[0], b[1], b[2], b[3], b[4]);
    e[0] ^= constant;
}

template <size_t N>
INLINE void permute_lanes(Lanes<N>& lanes) {
    using Word = typename Lanes<N>::Word;
    Word a[25], e[25];
    for (int w = 0; w < 25; ++w) a[w] = lanes.words[w];
    for (size_t i = 0; i < 24; i += 2) {
        one_round(a, e, keccak::kRoundConstants[i]);
        one_round(e, a, keccak::kRoundConstants[i + 1]);
    }
    for (int w = 0; w < 25; ++w) lanes.words[w] = a[w];
}

/// One message on its way through a lane.
struct Passenger {
    size_t index = 0;  ///< of the message
    BytesView rest;
    bool is_last_block = false;
};

/// The next 136 bytes of the message, with padding in the last block.
void take_block(Passenger& p, uint64_t* block) {
    p.is_last_block = p.rest.size() < keccak::kRate;
    if (!p.is_last_block) {
        std::memcpy(block, p.rest.data(), keccak::kRate);
        p.rest = p.rest.subspan(keccak::kRate);
        return;
    }
    std::array<uint8_t, keccak::kRate> last{};
    std::copy(p.rest.begin(), p.rest.end(), last.begin());
    last[p.rest.size()] = 0x01;
    last[keccak::kRate - 1] |= 0x80;
    std::memcpy(block, last.data(), last.size());
}

/// Fills the lanes as they become free, until all messages are through.
template <size_t N>
INLINE void hash_all(std::span<const BytesView> messages, std::span<Hash> digests) {
    Lanes<N> lanes{};
    Passenger passengers[N];
    bool taken[N] = {};
    size_t next = 0, done = 0;
    while (done < messages.size()) {
        for (size_t i = 0; i < N; ++i) {
            if (!taken[i] && next < messages.size()) {
                passengers[i] = {next, messages[next], false};
                ++next;
                taken[i] = true;
                for (auto& word : lanes.words) word[i] = 0;
            }
            if (!taken[i]) continue;
            uint64_t block[keccak::kRate / 8];
            take_block(passengers[i], block);
            for (size_t w = 0; w < keccak::kRate / 8; ++w) lanes.words[w][i] ^= block[w];
        }
        permute_lanes(lanes);
        for (size_t i = 0; i < N; ++i) {
            if (!taken[i] || !passengers[i].is_last_block) continue;
            uint64_t digest[4];
            for (size_t w = 0; w < 4; ++w) digest[w] = lanes.words[w][i];
            std::memcpy(digests[passengers[i].index].data(), digest, sizeof(digest));
            taken[i] = false;
            ++done;
        }
    }
}

#if defined(__x86_64__)
[[gnu::target("avx512f,avx512vl,avx512dq")]] void hash_by_eight(std::span<const BytesView> messages,
                                                                std::span<Hash> digests) {
    hash_all<8>(messages, digests);
}
[[gnu::target("avx2")]] void hash_by_four(std::span<const BytesView> messages,
                                          std::span<Hash> digests) {
    hash_all<4>(messages, digests);
}
#endif

}  // namespace

bool keccak256_has_lanes(size_t lanes) {
#if defined(__x86_64__)
    if (lanes == 8) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
    if (lanes == 4) return __builtin_cpu_supports("avx2");
#endif
    return lanes == 1;
}

void keccak256_by_lanes(size_t lanes, std::span<const BytesView> messages,
                        std::span<Hash> digests) {
#if defined(__x86_64__)
    if (lanes == 8) return hash_by_eight(messages, digests);
    if (lanes == 4) return hash_by_four(messages, digests);
#endif
    for (size_t i = 0; i < messages.size(); ++i) digests[i] = keccak256(messages[i]);
}

void keccak256_many(std::span<const BytesView> messages, std::span<Hash> digests) {
    static const size_t kLanes = keccak256_has_lanes(8) ? 8 : keccak256_has_lanes(4) ? 4 : 1;
    // Half-empty lanes cost more than one message after the other.
    keccak256_by_lanes(messages.size() < 3 ? 1 : kLanes, messages, digests);
}

}  // namespace trainyard
