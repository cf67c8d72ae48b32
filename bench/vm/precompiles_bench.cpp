// SPDX-License-Identifier: Apache-2.0
// BN254, BLS12-381 and KZG, from a field product to whole precompile calls, on one core.
#include <benchmark/benchmark.h>

#include "core/hash.hpp"
#include "vm/precompiles.hpp"
#include "vm/precompiles/bls12381/curve.hpp"
#include "vm/precompiles/bls12381/kzg.hpp"
#include "vm/precompiles/bn254/curve.hpp"

namespace trainyard::vm {
namespace {

using field::Limbs;

constexpr Limbs<4> kNumber =
    field::from_hex_digits<4>("1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00f");

bn254::G2 bn254_generator2() {
    const auto hex = [](std::string_view digits) {
        return bn254::Fp::decode(from_hex(digits)->data()).value();
    };
    return {{hex("1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed"),
             hex("198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2")},
            {hex("12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa"),
             hex("090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b")}};
}
const bn254::G1 kBn254G1 = {bn254::Fp::from_int(1), bn254::Fp::from_int(2)};

template <class F>
void field_product(benchmark::State& state) {
    F a = F::from_int(3).inverse(), b = F::from_int(7).inverse();
    for (auto _ : state) {
        a = a * b;
        benchmark::DoNotOptimize(a);
    }
}
BENCHMARK(field_product<bn254::Fp>)->Name("vm::fp_product/curve=bn254");
BENCHMARK(field_product<bls12381::Fp>)->Name("vm::fp_product/curve=bls12381");

template <class F>
void field_inverse(benchmark::State& state) {
    F a = F::from_int(3);
    for (auto _ : state) benchmark::DoNotOptimize(a = a.inverse() + F::one());
}
BENCHMARK(field_inverse<bn254::Fp>)->Name("vm::fp_inverse/curve=bn254");
BENCHMARK(field_inverse<bls12381::Fp>)->Name("vm::fp_inverse/curve=bls12381");

template <class F>
void tower_product(benchmark::State& state) {
    const field::Fp2<F> x = {F::from_int(3).inverse(), F::from_int(7).inverse()};
    field::Fp12<F> a = {{x, x, x}, {x, x, x}};
    const auto b = a;
    for (auto _ : state) {
        a = a * b;
        benchmark::DoNotOptimize(a);
    }
}
BENCHMARK(tower_product<bn254::Fp>)->Name("vm::fp12_product/curve=bn254");
BENCHMARK(tower_product<bls12381::Fp>)->Name("vm::fp12_product/curve=bls12381");

void bn254_pairing(benchmark::State& state) {
    const std::vector<bn254::Pair> pairs(static_cast<size_t>(state.range(0)),
                                         {kBn254G1, bn254_generator2()});
    for (auto _ : state) benchmark::DoNotOptimize(bn254::pairing_product(pairs));
}
BENCHMARK(bn254_pairing)->Name("vm::bn254_pairing/pairs")->Arg(1)->Arg(2)->Arg(4)->Arg(16);

void bn254_membership(benchmark::State& state) {
    const auto q = bn254_generator2();
    for (auto _ : state) benchmark::DoNotOptimize(bn254::is_in_group(q));
}
BENCHMARK(bn254_membership)->Name("vm::bn254_membership/group=2");

void bn254_product(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(bn254::multiply(kBn254G1, kNumber).to_affine());
}
BENCHMARK(bn254_product)->Name("vm::bn254_product");

void bls_pairing(benchmark::State& state) {
    const std::vector<bls12381::Pair> pairs(static_cast<size_t>(state.range(0)),
                                            {bls12381::kGenerator1, bls12381::kGenerator2});
    for (auto _ : state) benchmark::DoNotOptimize(bls12381::pairing_product(pairs));
}
BENCHMARK(bls_pairing)->Name("vm::bls12381_pairing/pairs")->Arg(1)->Arg(2)->Arg(4)->Arg(16);

template <class Point>
void bls_membership(benchmark::State& state, const Point& p) {
    for (auto _ : state) benchmark::DoNotOptimize(bls12381::is_in_group(p));
}
BENCHMARK_CAPTURE(bls_membership, 1, bls12381::kGenerator1)
    ->Name("vm::bls12381_membership/group=1");
BENCHMARK_CAPTURE(bls_membership, 2, bls12381::kGenerator2)
    ->Name("vm::bls12381_membership/group=2");

/// Without the checks of membership.
template <class Point>
void bls_sum_of_products(benchmark::State& state, const Point& generator) {
    std::vector<bls12381::Product<Point>> products;
    curve::Jacobian p(generator);
    auto n = kNumber;
    for (int64_t i = 0; i < state.range(0); ++i, p = p.doubled()) {
        for (auto& limb : n) limb = limb * 6364136223846793005 + 1442695040888963407;
        products.push_back({p.to_affine(), n});
    }
    const std::span<const bls12381::Product<Point>> view(products);
    for (auto _ : state) benchmark::DoNotOptimize(bls12381::sum_of_products(view).to_affine());
}
BENCHMARK_CAPTURE(bls_sum_of_products, 1, bls12381::kGenerator1)
    ->Name("vm::bls12381_sum_of_products/group=1/products")
    ->Arg(1)
    ->Arg(2)
    ->Arg(8)
    ->Arg(16)
    ->Arg(32)
    ->Arg(64)
    ->Arg(128)
    ->Arg(1024);
BENCHMARK_CAPTURE(bls_sum_of_products, 2, bls12381::kGenerator2)
    ->Name("vm::bls12381_sum_of_products/group=2/products")
    ->Arg(1)
    ->Arg(2)
    ->Arg(8)
    ->Arg(16)
    ->Arg(32)
    ->Arg(64)
    ->Arg(128)
    ->Arg(1024);

template <class F>
void bls_map(benchmark::State& state, F u) {
    for (auto _ : state) {
        benchmark::DoNotOptimize(bls12381::map_to_group(u).to_affine());
        u = u + F::one();
    }
}
BENCHMARK_CAPTURE(bls_map, 1, bls12381::Fp::from_int(5))->Name("vm::bls12381_map/group=1");
BENCHMARK_CAPTURE(bls_map, 2, bls12381::Fp2{bls12381::Fp::from_int(5), {}})
    ->Name("vm::bls12381_map/group=2");

/// The polynomial 1: the commitment is the generator, the proof infinity; so the work is that of
/// any other proof but for one product with infinity. `proof` is the generator here, so the answer
/// is no.
void kzg(benchmark::State& state) {
    const Bytes generator = from_hex(
                                "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58"
                                "6c55e83ff97a1aeffb3af00adb22c6bb")
                                .value();
    Bytes number(32);
    field::store_big_endian(number.data(), kNumber);
    for (auto _ : state)
        benchmark::DoNotOptimize(bls12381::verify_kzg_proof(generator, number, number, generator));
}
BENCHMARK(kzg)->Name("vm::point_evaluation");

}  // namespace
}  // namespace trainyard::vm
