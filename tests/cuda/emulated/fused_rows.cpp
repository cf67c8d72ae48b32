// SPDX-License-Identifier: Apache-2.0
// Operators that wait for the next and become one kernel with it.
#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"
#include "machine.hpp"
#include "training/operator_cases.hpp"
#include "training/tensor_set.hpp"

namespace {

using namespace trainyard;
using namespace trainyard::training;

constexpr uint32_t kRows = 130;

/// One block of memory in which places may overlap.
struct Block {
    Backend& on;
    BackendMemory memory;

    explicit Block(Backend& backend, size_t count) : on(backend), memory(backend, count * 4) {
        const Values all = make_values(3, count, 2.0F);
        on.upload(memory.data(), all.data(), count * 4);
    }
    [[nodiscard]] float* at(size_t first) const { return memory.floats() + first; }
    [[nodiscard]] Values read(size_t first, size_t count) const {
        Values out(count);
        on.download(out.data(), at(first), count * 4);
        return out;
    }
};

/// Where a layer of width d keeps what it makes; h is the width of its hidden part.
struct Places {
    size_t a, b, sum, norm, r, g, w1, hidden, gelu, w2, out, end;

    Places(uint32_t d, uint32_t h) {
        const size_t rows = size_t{kRows} * d, wide = size_t{kRows} * h;
        a = 0, b = a + rows, sum = b + rows, norm = sum + rows, r = norm + rows;
        g = r + 256, w1 = g + 4096, hidden = w1 + size_t{d} * h, gelu = hidden + wide;
        w2 = gelu + wide, out = w2 + size_t{d} * h, end = out + rows;
    }
};

/// sum = a + b, norm of it, times w1, gelu, times w2: as one sequence, twice, the second time as a
/// graph where there are graphs.
Values layer(Backend& on, uint32_t d, uint32_t h, const Places& p) {
    const Block block(on, p.end);
    const Values inputs = block.read(p.a, p.sum - p.a);
    const auto sequence = on.make_sequence();
    for (int turn = 0; turn < 2; ++turn) {
        on.upload(block.at(p.a), inputs.data(), inputs.size() * 4);
        sequence->run([&] {
            on.add(block.at(p.sum), block.at(p.a), block.at(p.b), size_t{kRows} * d);
            on.rms_norm(block.at(p.norm), block.at(p.r), block.at(p.sum), block.at(p.g),
                        {kRows, d});
            on.linear(block.at(p.hidden), block.at(p.norm), block.at(p.w1), {kRows, d, h});
            on.gelu(block.at(p.gelu), block.at(p.hidden), size_t{kRows} * h);
            on.linear(block.at(p.out), block.at(p.gelu), block.at(p.w2), {kRows, h, d});
        });
    }
    EXPECT_TRUE(on.finish());
    Values all;
    const std::pair<size_t, size_t> results[] = {{p.sum, size_t{kRows} * d},
                                                 {p.norm, size_t{kRows} * d},
                                                 {p.r, kRows},
                                                 {p.gelu, size_t{kRows} * h},
                                                 {p.out, size_t{kRows} * d}};
    for (const auto& [first, count] : results) {
        const Values got = block.read(first, count);
        all.insert(all.end(), got.begin(), got.end());
    }
    return all;
}

void expect_same_layer(uint32_t d, uint32_t h, const Places& places) {
    const auto reference = make_reference_backend();
    const Values due = layer(*reference, d, h, places);
    for (const bool is_hopper : {false, true}) {
        emulated::set_hopper(is_hopper);
        const auto device = cuda::make_cuda_backend(0);
        EXPECT_EQ(layer(*device, d, h, places), due) << d << " " << h << " " << is_hopper;
        emulated::set_hopper(false);
    }
}

TEST(fused_rows, have_the_bits_of_one_operator_after_the_other) {
    for (const auto& [d, h] : {std::pair{128U, 384U}, {256U, 1152U}, {1152U, 128U}, {100U, 130U}})
        expect_same_layer(d, h, Places(d, h));
}

TEST(fused_rows, leave_a_norm_alone_whose_results_lie_where_the_sum_still_reads) {
    constexpr uint32_t kD = 128;
    Places same(kD, 128), moved = same, statistics = same, in_place = same;
    same.norm = same.b;
    moved.norm = moved.a + kD;  // row i over row i + 1 of a
    statistics.r = statistics.b + 5 * kD;
    in_place.sum = in_place.a;
    for (const Places& places : {same, moved, statistics, in_place})
        expect_same_layer(kD, 128, places);
}

/// Where the gradients of a layer lie, du in place of da and dx in place of dx_in if they are.
struct BackPlaces {
    size_t da, u, du, x, w, dx, dw, dy, r, g, dx_in, of_norm, dg, du_2, dw_2, end;

    BackPlaces(uint32_t d, uint32_t h, bool in_place) {
        const size_t rows = size_t{kRows} * d, wide = size_t{kRows} * h;
        da = 0, u = wide, du = in_place ? da : u + wide, x = u + 2 * wide, w = x + rows;
        dx = w + size_t{d} * h, dw = dx + rows, dy = dw + size_t{d} * h, r = dy + rows;
        g = r + 256, dx_in = g + 4096, of_norm = in_place ? dx_in : dx_in + rows;
        dg = dx_in + 2 * rows, du_2 = dg + 4096, dw_2 = du_2 + wide;
        end = dw_2 + size_t{d} * h;
    }
};

/// du = da gelu'(u), and what it is for x w; the gradient of a norm of x, and what that is for a
/// product of u with the turned w.
Values back(Backend& on, uint32_t d, uint32_t h, const BackPlaces& p) {
    const Block block(on, p.end);
    const size_t count = size_t{kRows} * d, wide = size_t{kRows} * h, weights = size_t{d} * h;
    const Values inputs = block.read(0, p.end);
    const std::pair<size_t, size_t> results[] = {{p.du, wide},       {p.dx, count}, {p.dw, weights},
                                                 {p.of_norm, count}, {p.dg, d},     {p.du_2, wide},
                                                 {p.dw_2, weights}};
    const auto sequence = on.make_sequence();
    Values all;
    for (int turn = 0; turn < 2; ++turn) {
        on.upload(block.at(0), inputs.data(), inputs.size() * 4);
        sequence->run([&] {
            on.gelu_grad(block.at(p.du), block.at(p.da), block.at(p.u), wide);
            on.linear_grad(block.at(p.dx), block.at(p.dw),
                           {block.at(p.du), block.at(p.x), block.at(p.w)}, {kRows, d, h},
                           {7, 3, 40});
            on.rms_norm_grad(
                block.at(p.of_norm), block.at(p.dg),
                {block.at(p.dy), block.at(p.x), block.at(p.r), block.at(p.g), block.at(p.dx_in)},
                {kRows, d});
            on.linear_grad(block.at(p.du_2), block.at(p.dw_2),
                           {block.at(p.of_norm), block.at(p.u), block.at(p.w)}, {kRows, h, d},
                           {7, 3, 41});
        });
        for (const auto& [first, size] : results) {
            const Values got = block.read(first, size);
            all.insert(all.end(), got.begin(), got.end());
        }
    }
    EXPECT_TRUE(on.finish());
    return all;
}

TEST(fused_rows, leave_the_maxima_of_gradients_that_products_take) {
    const auto reference = make_reference_backend();
    for (const auto& [d, h] : {std::pair{64U, 384U}, {1152U, 64U}, {33U, 100U}, {2052U, 20U}})
        for (const bool in_place : {false, true}) {
            const BackPlaces places(d, h, in_place);
            const Values due = back(*reference, d, h, places);
            for (const bool is_hopper : {false, true}) {
                emulated::set_hopper(is_hopper);
                const auto device = cuda::make_cuda_backend(0);
                EXPECT_EQ(back(*device, d, h, places), due) << d << " " << h << " " << is_hopper;
                emulated::set_hopper(false);
            }
        }
}

/// What comes between a loss and the product that takes its gradient; or the product is of other
/// numbers.
enum class Between { nothing, another, change, sum_of_losses, other_product };

/// Logits of a head, their loss and gradient, and what that is for x w; in turns of which each has
/// smaller gradients than the one before, the first as it is called and the others as one graph.
Values head(Backend& on, LinearShape s, Between between, bool wants_losses) {
    const size_t logits = size_t{s.n} * s.o, inputs = size_t{s.n} * s.i,
                 weights = size_t{s.i} * s.o;
    const size_t z = 0, dz = z + (logits + 3) / 4 * 4, x = dz + (logits + 3) / 4 * 4;
    const size_t w = x + inputs, dx = w + weights, dw = dx + inputs, losses = dw + weights;
    const size_t sum = losses + s.n, end = sum + 4;
    const Block block(on, end);
    const BackendMemory targets(on, s.n * sizeof(uint32_t));
    std::vector<uint32_t> all_targets(s.n);
    for (uint32_t row = 0; row < s.n; ++row) all_targets[row] = row * 1237U % s.o;
    on.upload(targets.data(), all_targets.data(), s.n * sizeof(uint32_t));
    const auto* const wanted = static_cast<const uint32_t*>(targets.data());
    const auto sequence = on.make_sequence();
    Values all;
    float inv_n = 1.0F;
    for (int turn = 0; turn < 3; ++turn, inv_n *= 0.3F) {
        sequence->run([&] {
            if (wants_losses)
                on.cross_entropy_both(block.at(losses), block.at(dz), block.at(z), wanted,
                                      {s.n, s.o}, inv_n);
            else
                on.cross_entropy_grad(block.at(dz), block.at(z), wanted, {s.n, s.o}, inv_n);
            if (between == Between::another) on.add(block.at(dx), block.at(x), block.at(x), inputs);
            if (between == Between::change) on.add(block.at(dz), block.at(dz), block.at(z), logits);
            if (between == Between::sum_of_losses) on.sum(block.at(sum), block.at(losses), s.n);
            const size_t dy = between == Between::other_product ? z : dz;
            on.linear_grad(block.at(dx), block.at(dw), {block.at(dy), block.at(x), block.at(w)}, s,
                           {7, 3, 42});
        });
        const Values got = block.read(dz, end - dz);
        all.insert(all.end(), got.begin(), got.end());
    }
    EXPECT_TRUE(on.finish());
    return all;
}

void expect_same_head(LinearShape s, bool wants_losses) {
    const auto reference = make_reference_backend();
    const Values due = head(*reference, s, Between::nothing, wants_losses);
    for (const bool is_hopper : {false, true}) {
        emulated::set_hopper(is_hopper);
        const auto device = cuda::make_cuda_backend(0);
        EXPECT_EQ(head(*device, s, Between::nothing, wants_losses), due) << s.o << " " << is_hopper;
        emulated::set_hopper(false);
    }
}

/// Rows in shared memory that begin alike or anywhere, and rows that a device of compute capability
/// 8.0 has no room for; more rows than a tile has.
TEST(fused_rows, have_the_maxima_of_a_loss) {
    for (const LinearShape s :
         {LinearShape{7, 20, 4101}, {5, 36, 8200}, {130, 4, 4098}, {2, 4, 50257}})
        expect_same_head(s, true);
    expect_same_head({6, 4, 4099}, false);
}

TEST(fused_rows, take_no_maxima_of_a_loss_that_are_not_meant) {
    const auto reference = make_reference_backend();
    constexpr LinearShape kShape{9, 12, 4101};
    for (const Between between :
         {Between::another, Between::change, Between::sum_of_losses, Between::other_product}) {
        const auto device = cuda::make_cuda_backend(0);
        EXPECT_EQ(head(*device, kShape, between, true), head(*reference, kShape, between, true))
            << static_cast<int>(between);
    }
}

/// The result of each of two that wait is read by somebody else than the next.
TEST(fused_rows, are_launched_alone_where_another_follows) {
    const auto run = [](Backend& on) {
        constexpr uint32_t kCols = 128;
        constexpr size_t kCount = size_t{kRows} * kCols;
        const Block block(on, 6 * kCount);
        const auto sequence = on.make_sequence();
        sequence->run([&] {
            on.gelu(block.at(kCount), block.at(0), kCount);
            on.rms_norm(block.at(2 * kCount), block.at(5 * kCount), block.at(0), block.at(0),
                        {kRows, kCols});
            on.linear(block.at(3 * kCount), block.at(kCount), block.at(0), {kRows, kCols, kCols});
            on.add(block.at(4 * kCount), block.at(0), block.at(kCount), kCount);
        });
        return block.read(kCount, 4 * kCount);
    };
    const auto reference = make_reference_backend();
    const auto device = cuda::make_cuda_backend(0);
    EXPECT_EQ(run(*device), run(*reference));
}

}  // namespace
