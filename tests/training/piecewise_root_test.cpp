// SPDX-License-Identifier: Apache-2.0
// The root of a state that comes in pieces is that of its blob, however it is cut; a piece that is
// wrong or out of order is seen.
#include "training/piecewise_root.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/training/small_program.hpp"
#include "training/numerics/philox.hpp"

namespace trainyard::training {
namespace {

/// Tensors of more tiles than a block, with and without edges, of one tile and of less; all bytes
/// are different ones.
struct Case {
    Program program;
    Bytes blob;

    Case() {
        GptOptions o = small_options();
        o.vocabulary = 2100, o.width = 96;
        program = *make_gpt(o);
        ModelState state = make_initial_state(program, seed_of(5));
        uint32_t number = 0;
        for (auto* tensors : {&state.w, &state.m, &state.v})
            for (Tensor& t : *tensors)
                for (float& x : t.data)
                    x = static_cast<float>(philox({++number, 0, 0, 0}, 7, 1)[0]);
        blob = encode_state(state, program_id(program));
    }
};

std::vector<Bytes> cut(const PiecewiseRoot& root, BytesView blob) {
    std::vector<Bytes> out;
    for (const size_t bytes : root.pieces()) {
        out.emplace_back(blob.begin(), blob.begin() + static_cast<ptrdiff_t>(bytes));
        blob = blob.subspan(bytes);
    }
    EXPECT_TRUE(blob.empty());
    return out;
}

Result<Hash, StateError> root_of(PiecewiseRoot root, const std::vector<Bytes>& pieces) {
    for (const Bytes& piece : pieces) root.add(piece);
    return root.finish();
}

TEST(piecewise_root, is_that_of_the_blob_however_it_is_cut) {
    const Case c;
    const Hash due = *blob_root(c.program, c.blob);
    Pool three(3);
    size_t pieces_before = SIZE_MAX;
    for (const size_t bytes_max : {size_t{1}, size_t{5000}, size_t{100'000}, size_t{8} << 20})
        for (Pool* pool : {static_cast<Pool*>(nullptr), &three}) {
            const PiecewiseRoot root(c.program, c.blob.size(), pool, bytes_max);
            EXPECT_LE(root.pieces().size(), pieces_before);
            pieces_before = root.pieces().size();
            constexpr size_t kWidest = size_t{32} * 2100 * sizeof(float);
            for (const size_t bytes : root.pieces()) EXPECT_LE(bytes, std::max(bytes_max, kWidest));
            const auto found = root_of(root, cut(root, c.blob));
            ASSERT_TRUE(found);
            EXPECT_EQ(*found, due) << bytes_max;
        }
    EXPECT_EQ(pieces_before, 1U) << "a small state is one piece";
}

TEST(piecewise_root, is_another_where_a_piece_is_wrong_or_out_of_order) {
    const Case c;
    const Hash due = *blob_root(c.program, c.blob);
    const PiecewiseRoot root(c.program, c.blob.size(), nullptr, 100'000);
    const auto right = cut(root, c.blob);
    ASSERT_GT(right.size(), 20U);
    size_t swapped = 0;
    for (size_t k = 0; k < right.size(); k += 5) {
        auto pieces = right;
        pieces[k].back() ^= 1;
        EXPECT_NE(*root_of(root, pieces), due) << k;
        pieces = right;
        if (k + 1 == right.size() || right[k].size() != right[k + 1].size()) continue;
        std::swap(pieces[k], pieces[k + 1]);
        EXPECT_NE(*root_of(root, pieces), due) << k;
        ++swapped;
    }
    EXPECT_GT(swapped, 0U);
}

TEST(piecewise_root, refuses_what_is_no_state_of_the_program) {
    const Case c;
    for (const auto& [size, error] : {std::pair{c.blob.size() - 1, StateError::truncated},
                                      std::pair{c.blob.size() + 1, StateError::leftover}}) {
        const PiecewiseRoot root(c.program, size);
        EXPECT_TRUE(root.pieces().empty());
        EXPECT_EQ(root.finish().error(), error);
    }
    const PiecewiseRoot root(c.program, c.blob.size());
    const auto with = [&](size_t at) {
        Bytes changed = c.blob;
        changed[at] ^= 1;
        const auto found = root_of(root, cut(root, changed));
        EXPECT_EQ(found.error(), blob_root(c.program, changed).error());
        return found.error();
    };
    EXPECT_EQ(with(0), StateError::wrong_program);
    EXPECT_EQ(with(4), StateError::wrong_program);
    EXPECT_EQ(with(4 + 32 + 32), StateError::wrong_shape) << "the step";
}

}  // namespace
}  // namespace trainyard::training
