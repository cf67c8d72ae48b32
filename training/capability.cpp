// SPDX-License-Identifier: Apache-2.0
// The chain in plain C++, its commitment and its check.
#include "training/capability.hpp"

#include <algorithm>
#include <memory>
#include <numeric>

#include "core/assert.hpp"
#include "core/hash.hpp"
#include "core/merkle.hpp"
#include "training/numerics/philox.hpp"
#include "training/pool.hpp"

namespace trainyard::training {

namespace {

constexpr uint32_t kStep =
    64;  ///< of sizes; the inner loop that compilers turn into wide registers
enum Matrix : uint32_t { kRowsOfX = 0, kColumnsOfB = 1 };

/// Line `line` of one of the two matrices: sixteen elements to a Philox block.
void fill_line(int8_t* to, const Challenge& c, Matrix matrix, uint32_t line) {
    std::array<uint32_t, 4> key{};
    for (size_t i = 0; i < 4; ++i) key[i] = load_le<uint32_t>(c.seed.bytes.data() + 4 * i);
    for (uint32_t block = 0; block < c.size / 16; ++block) {
        const uint32_t index = line * (c.size / 16) + block;
        const PhiloxBlock words = philox({index, matrix, key[2], key[3]}, key[0], key[1]);
        for (uint32_t i = 0; i < 16; ++i) {
            const int value = static_cast<int>(words[i / 4] >> (8 * (i % 4)) & 0xff) - 128;
            to[block * 16 + i] = static_cast<int8_t>(std::max(value, -127));
        }
    }
}

int32_t dot(const int8_t* a, const int8_t* b, uint32_t count) {
    int32_t sum = 0;
    for (uint32_t first = 0; first < count; first += kStep)
        for (uint32_t i = 0; i < kStep; ++i) sum += int32_t{a[first + i]} * b[first + i];
    return sum;
}

BytesView bytes_of(const int8_t* row, uint32_t size) {
    return {reinterpret_cast<const uint8_t*>(row), size};
}

std::vector<Hash> leaves_of(std::span<const int8_t> rows, uint32_t size) {
    std::vector<Hash> leaves;
    for (size_t at = 0; at < rows.size(); at += size)
        leaves.push_back(merkle::leaf(bytes_of(rows.data() + at, size)));
    return leaves;
}

}  // namespace

bool is_valid(const Challenge& c) {
    return c.size != 0 && c.size % kStep == 0 && c.size <= kChallengeSizeMax && c.links != 0 &&
           c.links <= kChallengeLinksMax;
}

uint64_t challenge_macs(const Challenge& c) {
    return uint64_t{c.size} * c.size * c.size * c.links;
}

std::vector<int8_t> challenge_rows(const Challenge& c, const std::vector<uint32_t>& rows) {
    std::vector<int8_t> out(rows.size() * c.size);
    for (size_t i = 0; i < rows.size(); ++i)
        fill_line(out.data() + i * c.size, c, kRowsOfX, rows[i]);
    return out;
}

std::vector<int8_t> challenge_columns(const Challenge& c) {
    std::vector<int8_t> out(size_t{c.size} * c.size);
    for (uint32_t i = 0; i < c.size; ++i)
        fill_line(out.data() + size_t{i} * c.size, c, kColumnsOfB, i);
    return out;
}

std::vector<uint32_t> all_rows(const Challenge& c) {
    std::vector<uint32_t> rows(c.size);
    std::iota(rows.begin(), rows.end(), 0U);
    return rows;
}

ChallengeChain make_cpu_chain(const Challenge& c, unsigned threads) {
    const auto pool = std::make_shared<Pool>(threads);
    const auto columns = std::make_shared<const std::vector<int8_t>>(challenge_columns(c));
    return [c, pool, columns](std::span<int8_t> rows) -> Result<Done, BackendError> {
        pool->run(rows.size() / c.size, [&](size_t task, size_t) {
            int8_t* const x = rows.data() + task * c.size;
            std::vector<int8_t> next(c.size);
            for (uint32_t link = 0; link < c.links; ++link) {
                for (uint32_t j = 0; j < c.size; ++j)
                    next[j] = fold(dot(x, columns->data() + size_t{j} * c.size, c.size));
                std::copy(next.begin(), next.end(), x);
            }
        });
        return Done{};
    };
}

Result<ChallengeProof, BackendError> prove(const Challenge& c, const ChallengeChain& chain) {
    ASSERT(is_valid(c));
    auto x = challenge_rows(c, all_rows(c));
    if (auto done = chain(x); !done) return unexpected(done.error());
    ChallengeProof proof;
    proof.leaves = leaves_of(x, c.size);
    proof.root = merkle::root(proof.leaves);
    return proof;
}

std::vector<uint32_t> drawn_rows(const Challenge& c, const Hash& beacon) {
    Bytes text(c.seed.bytes.begin(), c.seed.bytes.end());
    append(text, beacon.bytes);
    const Hash key = sha256(text);
    std::vector<uint32_t> rows;
    for (uint32_t i = 0; i < kChallengeRows; ++i) {
        const PhiloxBlock words = philox({i, 0, 0, 0}, load_le<uint32_t>(key.bytes.data()),
                                         load_le<uint32_t>(key.bytes.data() + 4));
        rows.push_back(static_cast<uint32_t>((uint64_t{words[0]} * c.size) >> 32));
    }
    return rows;
}

ChallengeOpening open_rows(const ChallengeProof& proof, const std::vector<uint32_t>& rows) {
    const auto paths = merkle::paths(proof.leaves);
    ChallengeOpening out;
    for (const uint32_t row : rows) out.push_back(paths[row]);
    return out;
}

Result<bool, BackendError> verify_rows(const Challenge& c, const Hash& root, const Hash& beacon,
                                       const ChallengeOpening& opening,
                                       const ChallengeChain& chain) {
    if (!is_valid(c)) return false;
    const auto drawn = drawn_rows(c, beacon);
    if (opening.size() != drawn.size()) return false;
    auto rows = challenge_rows(c, drawn);
    if (auto done = chain(rows); !done) return unexpected(done.error());
    const auto leaves = leaves_of(rows, c.size);
    for (size_t i = 0; i < drawn.size(); ++i)
        if (!merkle::verify(root, leaves[i], drawn[i], c.size, opening[i])) return false;
    return true;
}

}  // namespace trainyard::training
