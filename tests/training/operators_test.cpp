// SPDX-License-Identifier: Apache-2.0
// Operators behind Backend::apply: every path equals the reference, and the reference is frozen.
#include "core/hash.hpp"
#include "tests/training/fixture.hpp"
#include "training/general_cases.hpp"
#include "training/graph.hpp"

namespace trainyard::training {
namespace {

using Floats = std::vector<float>;

std::vector<Floats> outputs_on(Backend& backend, const GeneralCase& c) {
    OpCall call = c.call;
    std::vector<Floats> out;
    for (size_t i = 0; i < call.inputs; ++i) call.in[i] = c.inputs[i].data();
    for (size_t i = 0; i < call.outputs; ++i) out.emplace_back(call.out_shape[i].count(), 5.0F);
    for (size_t i = 0; i < call.outputs; ++i) call.out[i] = out[i].data();
    backend.apply(call);
    return out;
}

TEST(operators, every_path_equals_the_reference) {
    const auto reference = make_reference_backend();
    const auto backends = fast_backends();
    for (const GeneralCase& c : general_cases()) {
        const auto due = outputs_on(*reference, c);
        for (const auto& backend : backends) {
            const auto got = outputs_on(*backend, c);
            for (size_t i = 0; i < due.size(); ++i)
                EXPECT_TRUE(bits_equal(got[i], due[i])) << backend->name() << ", " << c.name;
        }
    }
}

TEST(operators, bits_are_frozen) {
    // A changed digest means another rule: docs/spec/numerics.md, section 17.
    const auto reference = make_reference_backend();
    Bytes all;
    for (const GeneralCase& c : general_cases())
        for (const Floats& out : outputs_on(*reference, c))
            for (const float x : out) append_le(all, bits_of(x));
    EXPECT_EQ(to_hex(sha256(all).bytes),
              "1ef6640ce0cf491421f0ee305076e21bd58cfa2a91709daeb61c44c712fcdd7c");
}

TEST(operators, full_attention_equals_the_reference_on_every_path) {
    for (const AttentionShape s :
         {AttentionShape{1, 1, 1, 1, false}, {2, 3, 17, 7, false}, {1, 2, 33, 16, false}}) {
        const auto run = [&s](Backend& b) {
            const size_t n = size_t{s.b} * s.t, d = size_t{s.h} * s.hd;
            const Floats qkv = noise(n * 3 * d, 4), d_out = noise(n * d, 5, 1e-3F);
            Floats out(n * d), stats(n * s.h * 2), dqkv(n * 3 * d);
            b.attention(out.data(), stats.data(), qkv.data(), s);
            b.attention_grad(dqkv.data(), {d_out.data(), out.data(), stats.data(), qkv.data()}, s,
                             {1, 2, 3, 4});
            return std::vector<Floats>{out, stats, dqkv};
        };
        const auto due = run(*make_reference_backend());
        for (const auto& backend : fast_backends()) {
            const auto got = run(*backend);
            for (size_t i = 0; i < due.size(); ++i) EXPECT_TRUE(bits_equal(got[i], due[i]));
        }
    }
}

TEST(operators, sgd_equals_the_reference_on_every_path) {
    for (const size_t count : {1UL, 37UL, 20000UL}) {
        const auto run = [count](Backend& b) {
            Floats w = noise(count, 17), m = noise(count, 18);
            const Floats g = noise(count, 19);
            b.sgd({w.data(), m.data(), nullptr, g.data()}, count, {1e-2F, 0.5F, 0.9F}, 0.1F);
            return std::vector<Floats>{w, m};
        };
        const auto due = run(*make_reference_backend());
        for (const auto& backend : fast_backends()) {
            const auto got = run(*backend);
            for (size_t i = 0; i < due.size(); ++i) EXPECT_TRUE(bits_equal(got[i], due[i]));
        }
    }
}

TEST(operators, inf_in_softmax_or_a_product_raises_the_flag) {
    auto backends = fast_backends();
    backends.push_back(make_reference_backend());
    for (const GeneralCase& c : general_cases()) {
        const bool watched = c.call.op == Op::softmax || c.call.op == Op::matmul ||
                             c.call.op == Op::matmul_grad || c.call.op == Op::linear_grad_x;
        if (!watched) continue;
        GeneralCase bad = c;
        bad.inputs[0].back() = as_float(0x7f800000);
        for (const auto& backend : backends) {
            (void)outputs_on(*backend, c);
            EXPECT_FALSE(backend->finish()->nonfinite) << c.name;
            (void)outputs_on(*backend, bad);
            EXPECT_TRUE(backend->finish()->nonfinite) << c.name;
        }
    }
}

}  // namespace
}  // namespace trainyard::training
