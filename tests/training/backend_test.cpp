// SPDX-License-Identifier: Apache-2.0
// Every fast path equals the reference bit for bit, on odd shapes and with one and two threads.
#include "training/backend.hpp"

#include <algorithm>

#include "tests/training/fixture.hpp"
#include "training/cpu/backend.hpp"
#include "training/operator_cases.hpp"

namespace trainyard::training {
namespace {

using Floats = std::vector<float>;

/// Runs `op` on the reference and on each fast path and compares everything it returns.
template <class Op>
void expect_same(const Op& op) {
    const auto reference = make_reference_backend();
    const std::vector<Floats> due = op(*reference);
    for (const auto& backend : fast_backends()) {
        const std::vector<Floats> got = op(*backend);
        ASSERT_EQ(got.size(), due.size());
        for (size_t i = 0; i < due.size(); ++i)
            EXPECT_TRUE(bits_equal(got[i], due[i])) << backend->name() << ", output " << i;
        EXPECT_EQ(backend->wrong_products(), 0U) << backend->name();
    }
}

TEST(backend, linear_and_its_gradient_equal_the_reference) {
    const LinearShape shapes[] = {{1, 1, 1},    {2, 3, 5},    {7, 16, 33},  {9, 130, 17},
                                  {33, 64, 48}, {65, 36, 81}, {128, 5, 16}, {70, 200, 100}};
    for (const LinearShape s : shapes)
        expect_same([s](Backend& b) {
            const Floats x = noise(size_t{s.n} * s.i, 1), w = noise(size_t{s.i} * s.o, 2, 0.05F);
            const Floats dy = noise(size_t{s.n} * s.o, 3, 1e-4F);
            Floats y(dy.size()), dx(x.size()), dw(w.size());
            b.linear(y.data(), x.data(), w.data(), s);
            b.linear_grad(dx.data(), dw.data(), {dy.data(), x.data(), w.data()}, s, {7, 8, 9});
            return std::vector<Floats>{y, dx, dw};
        });
}

TEST(backend, attention_and_its_gradient_equal_the_reference) {
    // The last three have scores of several blocks.
    const AttentionShape shapes[] = {{1, 1, 1, 1},    {1, 2, 3, 5},          {2, 3, 17, 7},
                                     {1, 1, 70, 33},  {3, 2, 33, 16},        {1, 2, 304, 8},
                                     {1, 1, 411, 19}, {1, 1, 411, 19, false}};
    for (const AttentionShape s : shapes)
        expect_same([s](Backend& b) {
            const size_t n = size_t{s.b} * s.t, d = size_t{s.h} * s.hd;
            const Floats qkv = noise(n * 3 * d, 4), d_out = noise(n * d, 5, 1e-3F);
            Floats out(n * d), stats(n * s.h * 2), dqkv(n * 3 * d);
            b.attention(out.data(), stats.data(), qkv.data(), s);
            b.attention_grad(dqkv.data(), {d_out.data(), out.data(), stats.data(), qkv.data()}, s,
                             {1, 2, 3, 4});
            return std::vector<Floats>{out, stats, dqkv};
        });
}

TEST(backend, attention_holds_no_square_of_the_positions) {
    const auto bytes = [](uint32_t t) {
        const cpu::HeadMemory head = cpu::head_memory({1, 1, t, 64});
        return head.bytes + head.elements;
    };
    EXPECT_LE(bytes(2048), 2 * bytes(1024));
    EXPECT_LT(bytes(1024), 1024U * 1024 * 2);
}

TEST(backend, rms_norm_and_its_gradient_equal_the_reference) {
    const MatrixShape shapes[] = {{1, 1},    {3, 5},    {33, 31},  {70, 130},
                                  {2, 4099}, {4100, 3}, {8193, 70}};
    for (const MatrixShape s : shapes)
        expect_same([s](Backend& b) {
            const size_t count = size_t{s.rows} * s.cols;
            const Floats x = noise(count, 6), g = noise(s.cols, 7), dy = noise(count, 8);
            Floats y(count), r(s.rows), dx(count), dg(s.cols), in_place = noise(count, 9);
            b.rms_norm(y.data(), r.data(), x.data(), g.data(), s);
            b.rms_norm_grad(dx.data(), dg.data(),
                            {dy.data(), x.data(), r.data(), g.data(), nullptr}, s);
            b.rms_norm_grad(in_place.data(), dg.data(),
                            {dy.data(), x.data(), r.data(), g.data(), in_place.data()}, s);
            return std::vector<Floats>{y, r, dx, dg, in_place};
        });
}

TEST(backend, cross_entropy_and_its_gradient_equal_the_reference) {
    const MatrixShape shapes[] = {{1, 1}, {3, 5}, {70, 37}, {5, 256}, {2, 5000}};
    for (const MatrixShape s : shapes)
        expect_same([s](Backend& b) {
            const Floats z = noise(size_t{s.rows} * s.cols, 10, 9.0F);
            std::vector<uint32_t> targets;
            for (uint32_t n = 0; n < s.rows; ++n) targets.push_back(n * 7 % s.cols);
            Floats losses(s.rows), dz(z.size());
            b.cross_entropy(losses.data(), z.data(), targets.data(), s);
            b.cross_entropy_grad(dz.data(), z.data(), targets.data(), s, 0.01F);
            return std::vector<Floats>{losses, dz};
        });
}

TEST(backend, embedding_and_its_gradient_equal_the_reference) {
    const EmbeddingShape s{3, 7, 37, 11};
    expect_same([s](Backend& b) {
        const size_t n = size_t{s.b} * s.t;
        std::vector<uint32_t> tokens;
        for (uint32_t i = 0; i < n; ++i) tokens.push_back(i * i % s.v);
        const Floats e = noise(size_t{s.v} * s.d, 11), pos = noise(size_t{s.t} * s.d, 12);
        const Floats d = noise(n * s.d, 13);
        Floats x(n * s.d), de(e.size()), dpos(pos.size());
        b.embedding(x.data(), tokens.data(), e.data(), pos.data(), s);
        b.embedding_grad(de.data(), dpos.data(), tokens.data(), d.data(), s);
        return std::vector<Floats>{x, de, dpos};
    });
}

TEST(backend, elementwise_operators_equal_the_reference) {
    for (const size_t count : {1UL, 15UL, 16UL, 4097UL, 20000UL})
        expect_same([count](Backend& b) {
            const Floats u = noise(count, 14, 8.0F), da = noise(count, 15);
            Floats a(count), du(count), sum(count), in_place = da;
            b.gelu(a.data(), u.data(), count);
            b.gelu_grad(du.data(), da.data(), u.data(), count);
            b.gelu_grad(in_place.data(), in_place.data(), u.data(), count);
            b.add(sum.data(), u.data(), da.data(), count);
            return std::vector<Floats>{a, du, in_place, sum};
        });
}

TEST(backend, sums_of_every_length_equal_the_reference) {
    for (const size_t count : {0UL, 1UL, 31UL, 33UL, 4096UL, 4097UL, 70000UL})
        expect_same([count](Backend& b) {
            const Floats x = noise(count, 16);
            Floats out(2);
            b.sum(&out[0], x.data(), count);
            b.sum_squares(&out[1], x.data(), count);
            return std::vector<Floats>{out};
        });
}

TEST(backend, adamw_equals_the_reference) {
    for (const size_t count : {1UL, 37UL, 20000UL})
        expect_same([count](Backend& b) {
            Floats w = noise(count, 17), m = noise(count, 18), v(count, 0.5F);
            const Floats g = noise(count, 19);
            const AdamwScalars s{1e-3F, 0.5F, 0.9F, 0.99F, 0.1F, 0.01F, 10.0F, 100.0F, 1e-8F};
            b.adamw({w.data(), m.data(), v.data(), g.data()}, count, s, 0.1F);
            return std::vector<Floats>{w, m, v};
        });
}

/// Until a flag is raised Inf and NaN are numbers like others (docs/spec/numerics.md, section 15).
TEST(backend, values_that_are_not_finite_go_the_same_way) {
    for (const auto& backend : fast_backends())
        for (const OperatorCase& c : operator_cases())
            for (const uint32_t every : {5U, 40U, 400U}) {
                const auto same = check_extremes(*backend, with_extremes(c, every, every));
                EXPECT_TRUE(same) << backend->name() << ": " << same.error();
            }
}

TEST(backend, inf_and_nan_raise_the_flag_once) {
    auto backends = fast_backends();
    backends.push_back(make_reference_backend());
    for (const auto& b : backends)
        for (const uint32_t bits : {0x7f800000U, 0xff800000U, 0x7fc00000U}) {
            Floats x = noise(64, 20), w = noise(64, 21), y(64);
            b->linear(y.data(), x.data(), w.data(), {8, 8, 8});
            EXPECT_FALSE(b->finish()->nonfinite) << b->name();
            x[5] = as_float(bits);
            b->linear(y.data(), x.data(), w.data(), {8, 8, 8});
            EXPECT_TRUE(b->finish()->nonfinite) << b->name();
            b->check_finite(x.data(), x.size());
            EXPECT_TRUE(b->finish()->nonfinite) << b->name();
            EXPECT_FALSE(b->finish()->nonfinite) << b->name();
        }
}

/// Flips one bit of an operand in the first `faults` attempts, after its sums were taken.
class FaultyBackend final : public cpu::CpuBackend {
public:
    FaultyBackend(const cpu::Kernels& kernels, unsigned faults)
        : CpuBackend(kernels, 2), faults_(faults) {}

private:
    void before_product(const cpu::ProductArgs& args, unsigned attempt) override {
        if (attempt < faults_) const_cast<uint8_t*>(args.a)[3] ^= 0x04;
    }
    unsigned faults_;
};

TEST(backend, a_flipped_bit_in_a_product_is_seen_and_the_product_repeated) {
    // Sums of rows of two, three and four bytes.
    for (const LinearShape s : {LinearShape{70, 36, 81}, {300, 5, 3}, {66000, 4, 2}}) {
        Floats x = noise(size_t{s.n} * s.i, 1), w = noise(size_t{s.i} * s.o, 2, 0.05F);
        if (s.n > 70) std::fill(x.begin(), x.end(), 1.0F);
        Floats due(size_t{s.n} * s.o), got(due.size());
        make_reference_backend()->linear(due.data(), x.data(), w.data(), s);
        for (const CpuPath path : kCpuPaths)
            for (const unsigned faults : {0U, 1U, 2U, 3U}) {
                FaultyBackend b(kernels_for(path), faults);
                b.linear(got.data(), x.data(), w.data(), s);
                EXPECT_EQ(b.wrong_products(), faults) << b.name();
                const auto status = b.finish();
                EXPECT_EQ(status.has_value(), faults < 3)
                    << "three wrong products in a row are given up";
                EXPECT_TRUE(faults == 3 || bits_equal(got, due)) << b.name();
            }
    }
}

Floats attention_and_its_gradient(Backend& b, AttentionShape s) {
    const size_t n = size_t{s.b} * s.t, d = size_t{s.h} * s.hd;
    const Floats qkv = noise(n * 3 * d, 4), d_out = noise(n * d, 5, 1e-3F);
    Floats all(n * d + n * s.h * 2 + n * 3 * d);
    float *const out = all.data(), *const stats = out + n * d, *const dqkv = stats + n * s.h * 2;
    b.attention(out, stats, qkv.data(), s);
    b.attention_grad(dqkv, {d_out.data(), out, stats, qkv.data()}, s, {1, 2, 3, 4});
    return all;
}

/// Flips one bit of the left operand of a product of attention, after its rows were counted: of the
/// one that comes so late in the first attempts, or of all products in all attempts.
class FaultyAttention final : public cpu::CpuBackend {
public:
    explicit FaultyAttention(const cpu::Kernels& kernels) : CpuBackend(kernels, 1) {}
    size_t products = 0;
    size_t faulty = ~size_t{0};
    bool always = false;

private:
    void before_product(const cpu::ProductArgs& args, unsigned attempt) override {
        if (always || (attempt == 0 && products++ == faulty))
            const_cast<uint8_t*>(args.a)[3] ^= 0x04;
    }
};

TEST(backend, a_flipped_bit_in_attention_is_seen_and_the_head_repeated) {
    // Strips of four rows or more, so that the bit is one of theirs. Backward in one block, and in
    // blocks of columns and of rows.
    const AttentionShape shapes[] = {{1, 2, 5, 4},    {2, 1, 70, 33},        {1, 1, 132, 16},
                                     {1, 1, 411, 19}, {1, 1, 77, 40, false}, {1, 1, 304, 8, false}};
    for (const AttentionShape s : shapes) {
        const Floats due = attention_and_its_gradient(*make_reference_backend(), s);
        for (const CpuPath path : kCpuPaths) {
            if (!cpu_has(path)) continue;
            FaultyAttention right(kernels_for(path));
            ASSERT_TRUE(bits_equal(attention_and_its_gradient(right, s), due)) << right.name();
            EXPECT_EQ(right.wrong_products(), 0U) << right.name();
            for (size_t i = 0; i < right.products; ++i) {
                FaultyAttention b(kernels_for(path));
                b.faulty = i;
                EXPECT_TRUE(bits_equal(attention_and_its_gradient(b, s), due))
                    << b.name() << ", " << s.t << " positions, product " << i;
                EXPECT_EQ(b.wrong_products(), 1U)
                    << b.name() << ", " << s.t << " positions, product " << i;
                EXPECT_TRUE(b.finish().has_value());
            }
        }
    }
}

TEST(backend, a_head_that_is_wrong_three_times_in_a_row_is_given_up) {
    for (const CpuPath path : kCpuPaths) {
        if (!cpu_has(path)) continue;
        FaultyAttention b(kernels_for(path));
        b.always = true;
        (void)attention_and_its_gradient(b, {1, 2, 5, 4});
        EXPECT_EQ(b.wrong_products(), 12U) << b.name() << ": two heads, forward and backward";
        EXPECT_EQ(b.finish().error(), BackendError::device_failed) << b.name();
    }
}

TEST(backend, attention_is_right_for_every_number_of_positions) {
    for (const CpuPath path : kCpuPaths)
        for (uint32_t t = 1; cpu_has(path) && t < 400; t += t < 140 ? 1 : 37)
            for (const bool causal : {true, false}) {
                FaultyAttention b(kernels_for(path));
                (void)attention_and_its_gradient(b, {1, 1, t, 3, causal});
                EXPECT_EQ(b.wrong_products(), 0U) << b.name() << ", " << t << " positions";
            }
}

}  // namespace
}  // namespace trainyard::training
