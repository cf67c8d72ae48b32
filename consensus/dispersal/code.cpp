// SPDX-License-Identifier: Apache-2.0
// Systematic Reed-Solomon over GF(2^8) with a Cauchy matrix, by ISA-L.
#include "consensus/dispersal/code.hpp"

#include <algorithm>

#include <isa-l/erasure_code.h>

#include "core/assert.hpp"
#include "core/merkle.hpp"

namespace trainyard::consensus::dispersal {
namespace {

constexpr size_t kTableBytes = 32;  // of ec_init_tables, for each coefficient

/// Rows of `total` x `data`: the identity, then Cauchy rows; any `data` rows are independent.
std::vector<uint8_t> generator(const ShardPlan& plan) {
    std::vector<uint8_t> matrix(size_t{plan.total()} * plan.data);
    gf_gen_cauchy1_matrix(matrix.data(), plan.total(), plan.data);
    return matrix;
}

/// out[r] = sum over c of rows[r][c] * in[c]; all of one size. `rows` is row by row.
void multiply(std::vector<uint8_t> rows, std::vector<uint8_t*> in, std::vector<uint8_t*> out,
              size_t size) {
    if (out.empty()) return;
    const int columns = static_cast<int>(in.size()), lines = static_cast<int>(out.size());
    std::vector<uint8_t> tables(rows.size() * kTableBytes);
    ec_init_tables(columns, lines, rows.data(), tables.data());
    ec_encode_data(static_cast<int>(size), columns, lines, tables.data(), in.data(), out.data());
}

/// All shards of `body`, one behind the other.
Bytes encode(BytesView body, const ShardPlan& plan) {
    const size_t size = shard_size_bytes(plan, static_cast<uint32_t>(body.size()));
    Bytes all(size * plan.total(), 0);
    std::copy(body.begin(), body.end(), all.begin());
    std::vector<uint8_t*> in, out;
    for (size_t i = 0; i < plan.total(); ++i)
        (i < plan.data ? in : out).push_back(all.data() + i * size);
    const auto matrix = generator(plan);
    const auto parity = matrix.begin() + std::ptrdiff_t{plan.data} * plan.data;
    multiply({parity, matrix.end()}, std::move(in), std::move(out), size);
    return all;
}

std::vector<Hash> leaves_of(const Bytes& all, size_t size) {
    std::vector<Hash> leaves;
    for (size_t at = 0; at < all.size(); at += size)
        leaves.push_back(merkle::leaf(BytesView(all).subspan(at, size)));
    return leaves;
}

/// The shards to rebuild from: the first `data` different ones, by index.
std::vector<const Shard*> choose(const ShardPlan& plan, const std::vector<Shard>& shards) {
    std::vector<const Shard*> by_index(plan.total(), nullptr), chosen;
    for (const auto& shard : shards) by_index[shard.index] = &shard;
    for (const auto* shard : by_index)
        if (shard != nullptr && chosen.size() < plan.data) chosen.push_back(shard);
    return chosen;
}

/// The data part, padded: what the chosen shards say it is.
Bytes solve(const ShardPlan& plan, const std::vector<const Shard*>& chosen, size_t size) {
    const size_t k = plan.data;
    const auto matrix = generator(plan);
    std::vector<uint8_t> taken, inverse(k * k);
    std::vector<uint8_t*> in, out;
    Bytes data(k * size, 0);
    for (size_t i = 0; i < k; ++i) {
        const auto row = matrix.begin() + static_cast<std::ptrdiff_t>(chosen[i]->index * k);
        taken.insert(taken.end(), row, row + static_cast<std::ptrdiff_t>(k));
        in.push_back(const_cast<uint8_t*>(chosen[i]->data.data()));  // ISA-L only reads it
    }
    ASSERT(gf_invert_matrix(taken.data(), inverse.data(), plan.data) == 0);
    std::vector<uint8_t> rows;
    size_t next = 0;  // chosen[next] is the first that is not yet below the row
    for (size_t i = 0; i < k; ++i) {
        while (next < k && chosen[next]->index < i) ++next;
        if (next < k && chosen[next]->index == i) {
            std::copy(chosen[next]->data.begin(), chosen[next]->data.end(),
                      data.begin() + static_cast<std::ptrdiff_t>(i * size));
            continue;
        }
        const auto row = inverse.begin() + static_cast<std::ptrdiff_t>(i * k);
        rows.insert(rows.end(), row, row + static_cast<std::ptrdiff_t>(k));
        out.push_back(data.data() + i * size);
    }
    multiply(std::move(rows), std::move(in), std::move(out), size);
    return data;
}

}  // namespace

size_t shard_size_bytes(const ShardPlan& plan, uint32_t body_size_bytes) {
    return (body_size_bytes + size_t{plan.data} - 1) / plan.data;
}

Dispersed disperse(BytesView body, const ShardPlan& plan) {
    ASSERT(!body.empty() && body.size() <= kBodySizeMax_bytes);
    const size_t size = shard_size_bytes(plan, static_cast<uint32_t>(body.size()));
    const Bytes all = encode(body, plan);
    const auto leaves = leaves_of(all, size);
    auto paths = merkle::paths(leaves);
    Dispersed out;
    out.commitment = {static_cast<uint32_t>(body.size()), merkle::root(leaves)};
    for (uint16_t i = 0; i < plan.total(); ++i) {
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(i * size);
        out.shards.push_back(
            {i, Bytes(begin, begin + static_cast<std::ptrdiff_t>(size)), std::move(paths[i])});
    }
    return out;
}

Commitment commitment_of(BytesView body, const ShardPlan& plan) {
    ASSERT(!body.empty() && body.size() <= kBodySizeMax_bytes);
    const auto size_bytes = static_cast<uint32_t>(body.size());
    const auto leaves = leaves_of(encode(body, plan), shard_size_bytes(plan, size_bytes));
    return {size_bytes, merkle::root(leaves)};
}

bool verify_shard(const Commitment& commitment, const ShardPlan& plan, const Shard& shard) {
    if (commitment.body_size_bytes == 0 || commitment.body_size_bytes > kBodySizeMax_bytes)
        return false;
    if (shard.index >= plan.total()) return false;
    if (shard.data.size() != shard_size_bytes(plan, commitment.body_size_bytes)) return false;
    return merkle::verify(commitment.root, merkle::leaf(shard.data), shard.index, plan.total(),
                          shard.path);
}

Result<Bytes, RebuildError> rebuild(const Commitment& commitment, const ShardPlan& plan,
                                    const std::vector<Shard>& shards) {
    const auto chosen = choose(plan, shards);
    if (chosen.size() < plan.data) return unexpected(RebuildError::too_few);
    Bytes body = solve(plan, chosen, shard_size_bytes(plan, commitment.body_size_bytes));
    body.resize(commitment.body_size_bytes);
    if (commitment_of(body, plan) != commitment) return unexpected(RebuildError::inconsistent);
    return body;
}

}  // namespace trainyard::consensus::dispersal
