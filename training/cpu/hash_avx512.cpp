// SPDX-License-Identifier: Apache-2.0
// SHA-256 of sixteen messages at once, one in each lane of AVX-512, and of twice sixteen tiles
// where they lie (FIPS 180-4).
#include "core/sha256_constants.hpp"
#include "training/cpu/kernels.hpp"

#if defined(__AVX512F__) && defined(__AVX512BW__)

#include <immintrin.h>

namespace trainyard::training::cpu {
namespace {

using I = __m512i;

constexpr uint32_t kStart[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

[[gnu::always_inline]] inline I set1(uint32_t x) {
    return _mm512_set1_epi32(static_cast<int>(x));
}
[[gnu::always_inline]] inline I xor3(I a, I b, I c) {
    return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}
[[gnu::always_inline]] inline I swap_bytes(I x) {
    const I order =
        _mm512_broadcast_i32x4(_mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
    return _mm512_shuffle_epi8(x, order);
}

/// Rows become columns of 32-bit words.
[[gnu::always_inline]] inline void transpose(I* x) {
    I u[4][4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        const I* from = x + 4 * i;
        const I a = _mm512_unpacklo_epi32(from[0], from[1]);
        const I b = _mm512_unpackhi_epi32(from[0], from[1]);
        const I c = _mm512_unpacklo_epi32(from[2], from[3]);
        const I d = _mm512_unpackhi_epi32(from[2], from[3]);
        u[0][i] = _mm512_unpacklo_epi64(a, c), u[1][i] = _mm512_unpackhi_epi64(a, c);
        u[2][i] = _mm512_unpacklo_epi64(b, d), u[3][i] = _mm512_unpackhi_epi64(b, d);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
        const I a = _mm512_shuffle_i32x4(u[j][0], u[j][1], 0x44);
        const I b = _mm512_shuffle_i32x4(u[j][2], u[j][3], 0x44);
        const I c = _mm512_shuffle_i32x4(u[j][0], u[j][1], 0xEE);
        const I d = _mm512_shuffle_i32x4(u[j][2], u[j][3], 0xEE);
        x[j] = _mm512_shuffle_i32x4(a, b, 0x88), x[4 + j] = _mm512_shuffle_i32x4(a, b, 0xDD);
        x[8 + j] = _mm512_shuffle_i32x4(c, d, 0x88), x[12 + j] = _mm512_shuffle_i32x4(c, d, 0xDD);
    }
}

[[gnu::always_inline]] inline void one_round(I* s, I word, uint32_t constant) {
    const I e = s[4], a = s[0];
    const I sum1 = xor3(_mm512_ror_epi32(e, 6), _mm512_ror_epi32(e, 11), _mm512_ror_epi32(e, 25));
    const I choice = _mm512_ternarylogic_epi32(e, s[5], s[6], 0xCA);
    const I with_word = _mm512_add_epi32(s[7], _mm512_add_epi32(word, set1(constant)));
    const I t1 = _mm512_add_epi32(_mm512_add_epi32(with_word, choice), sum1);
    const I sum0 = xor3(_mm512_ror_epi32(a, 2), _mm512_ror_epi32(a, 13), _mm512_ror_epi32(a, 22));
    const I majority = _mm512_ternarylogic_epi32(a, s[1], s[2], 0xE8);
    s[7] = s[6], s[6] = s[5], s[5] = e;
    s[4] = _mm512_add_epi32(s[3], t1);
    s[3] = s[2], s[2] = s[1], s[1] = a;
    s[0] = _mm512_add_epi32(t1, _mm512_add_epi32(sum0, majority));
}

[[gnu::always_inline]] inline I next_word(const I* w, int i) {
    const I x = w[(i + 1) & 15], y = w[(i + 14) & 15];
    const I low = xor3(_mm512_ror_epi32(x, 7), _mm512_ror_epi32(x, 18), _mm512_srli_epi32(x, 3));
    const I high = xor3(_mm512_ror_epi32(y, 17), _mm512_ror_epi32(y, 19), _mm512_srli_epi32(y, 10));
    return _mm512_add_epi32(_mm512_add_epi32(w[i], low), _mm512_add_epi32(w[(i + 9) & 15], high));
}

/// `N` times sixteen messages. A round waits for the round before: with two sets the units that
/// would idle work on the other one. `before_quarter(q)` is called in front of rounds 16 q to
/// 16 q + 15.
template <size_t N, class BeforeQuarter>
[[gnu::always_inline]] inline void compress(I (*state)[8], I (*w)[16],
                                            const BeforeQuarter& before_quarter) {
    // Words and constants stay in memory, where they cost nothing: the registers are for the sums.
    const uint32_t* constants = kSha256Rounds.k;
    asm volatile("" : "+r"(constants), "+r"(w) : : "memory");
    I s[N][8];
#pragma GCC unroll 2
    for (size_t n = 0; n < N; ++n)
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; ++i) s[n][i] = state[n][i];
    before_quarter(0);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
#pragma GCC unroll 2
        for (size_t n = 0; n < N; ++n) one_round(s[n], w[n][i], constants[i]);
    for (size_t quarter = 1; quarter < 4; ++quarter) {
        constants += 16;
        before_quarter(quarter);
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i)
#pragma GCC unroll 2
            for (size_t n = 0; n < N; ++n) {
                w[n][i] = next_word(w[n], i);
                one_round(s[n], w[n][i], constants[i]);
            }
    }
#pragma GCC unroll 2
    for (size_t n = 0; n < N; ++n)
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; ++i) state[n][i] = _mm512_add_epi32(state[n][i], s[n][i]);
}

template <size_t N>
[[gnu::always_inline]] inline void compress(I (*state)[8], I (*w)[16]) {
    compress<N>(state, w, [](size_t) {});
}

/// Asks for the line there, which need not exist. In assembly, because GCC takes a function that
/// only prefetches for one that does nothing.
[[gnu::always_inline]] inline void fetch(uintptr_t at) {
    asm volatile("prefetcht0 (%0)" : : "r"(at));
}

[[gnu::always_inline]] inline void start(I* state) {
    for (int i = 0; i < 8; ++i) state[i] = set1(kStart[i]);
}

[[gnu::always_inline]] inline void store_digests(uint8_t* digests, const I* state) {
    I words[16];
    for (int i = 0; i < 8; ++i) words[i] = state[i];
    for (int i = 8; i < 16; ++i) words[i] = _mm512_setzero_si512();
    transpose(words);
    for (size_t lane = 0; lane < 16; ++lane)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(digests + lane * 32),
                            _mm512_castsi512_si256(swap_bytes(words[lane])));
}

/// The next 64 bytes of sixteen tiles as words of their messages, which lie one byte behind because
/// of the tag: each word takes three bytes here and one from the word before. `last` carries the
/// one of the block before.
[[gnu::always_inline]] inline void shifted_words(I* w, const uint8_t* const* rows, size_t half,
                                                 I& last) {
    const I turn =
        _mm512_broadcast_i32x4(_mm_setr_epi8(2, 1, 0, 3, 6, 5, 4, 7, 10, 9, 8, 11, 14, 13, 12, 15));
    const I top = set1(0xff000000);
#pragma GCC unroll 16
    for (size_t lane = 0; lane < 16; ++lane) w[lane] = _mm512_loadu_si512(rows[lane] + half);
    transpose(w);
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; ++i) w[i] = _mm512_shuffle_epi8(w[i], turn);
    const I next = w[15];
#pragma GCC unroll 16
    for (size_t i = 15; i > 0; --i) w[i] = _mm512_ternarylogic_epi32(top, w[i - 1], w[i], 0xCA);
    w[0] = _mm512_ternarylogic_epi32(top, last, w[0], 0xCA);
    last = next;
}

}  // namespace

void sha256_lanes_avx512(uint8_t* digests, const uint8_t* messages, size_t stride, size_t blocks) {
    I state[1][8];
    start(state[0]);
    for (size_t block = 0; block < blocks; ++block) {
        I w[1][16];
        for (size_t lane = 0; lane < 16; ++lane)
            w[0][lane] = _mm512_loadu_si512(messages + lane * stride + block * 64);
        transpose(w[0]);
        for (I& word : w[0]) word = swap_bytes(word);
        compress<1>(state, w);
    }
    store_digests(digests, state[0]);
}

void sha256_tiles_avx512(uint8_t* digests, const TileRows* tiles) {
    constexpr size_t kSets = 2, kRows = 32, kRowBytes = 128;
    const uint8_t* rows[kSets * 16];
    for (size_t i = 0; i < kSets * 16; ++i) rows[i] = tiles[i].first;
    I state[kSets][8], last[kSets], w[kSets][16];
    for (size_t n = 0; n < kSets; ++n) start(state[n]), last[n] = _mm512_setzero_si512();
    for (size_t row = 0; row < kRows; ++row) {
        for (size_t half = 0; half < kRowBytes; half += 64) {
            for (size_t n = 0; n < kSets; ++n) shifted_words(w[n], rows + 16 * n, half, last[n]);
            // The next row a few lines at a time: only so many can be on their way. Below the last
            // one lies the first of another tile.
            compress<kSets>(state, w, [&rows, tiles, half](size_t quarter) {
                for (size_t i = 8 * quarter; i < 8 * quarter + 8; ++i)
                    fetch(reinterpret_cast<uintptr_t>(rows[i]) + tiles[i].stride + half);
            });
        }
        for (size_t i = 0; i < kSets * 16; ++i) rows[i] += tiles[i].stride;
    }
    for (size_t n = 0; n < kSets; ++n) {
        for (I& word : w[n]) word = _mm512_setzero_si512();
        w[n][0] = _mm512_or_si512(_mm512_and_si512(last[n], set1(0xff000000)), set1(0x00800000));
        w[n][15] = set1(8 * (1 + kRows * kRowBytes));
    }
    compress<kSets>(state, w);
    for (size_t n = 0; n < kSets; ++n) store_digests(digests + n * 16 * 32, state[n]);
}

}  // namespace trainyard::training::cpu

#else

namespace trainyard::training::cpu {
void sha256_lanes_avx512(uint8_t*, const uint8_t*, size_t, size_t) {}
void sha256_tiles_avx512(uint8_t*, const TileRows*) {}
}  // namespace trainyard::training::cpu

#endif
