// SPDX-License-Identifier: Apache-2.0
// Hashing and signatures; Keccak-256 against OpenSSL's SHA3-256, which runs the same permutation.
#include <benchmark/benchmark.h>
#include <openssl/evp.h>

#include "core/hash.hpp"
#include "core/keys.hpp"

namespace trainyard {
namespace {

void keccak(benchmark::State& state) {
    const Bytes data(static_cast<size_t>(state.range(0)), 7);
    for (auto _ : state) benchmark::DoNotOptimize(keccak256(data));
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(keccak)->Name("core::keccak256/bytes")->Arg(32)->Arg(1024)->Arg(65536);

void keccak_many(benchmark::State& state) {
    const auto size = static_cast<size_t>(state.range(1));
    if (!keccak256_has_lanes(static_cast<size_t>(state.range(0))))
        return state.SkipWithError("no such lanes here");
    const Bytes data(64 * size, 7);
    std::vector<BytesView> messages;
    for (size_t i = 0; i < 64; ++i) messages.push_back(BytesView(data).subspan(i * size, size));
    std::vector<Hash> digests(messages.size());
    for (auto _ : state) {
        keccak256_by_lanes(static_cast<size_t>(state.range(0)), messages, digests);
        benchmark::DoNotOptimize(digests.data());
    }
    state.SetItemsProcessed(state.iterations() * 64);
}
BENCHMARK(keccak_many)
    ->Name("core::keccak256_many/lanes/bytes")
    ->ArgsProduct({{1, 4, 8}, {32, 532}});

void openssl_sha3(benchmark::State& state) {
    const Bytes data(static_cast<size_t>(state.range(0)), 7);
    EVP_MD* method = EVP_MD_fetch(nullptr, "SHA3-256", nullptr);
    uint8_t digest[32];
    for (auto _ : state) EVP_Digest(data.data(), data.size(), digest, nullptr, method, nullptr);
    benchmark::DoNotOptimize(digest);
    EVP_MD_free(method);
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(openssl_sha3)->Name("core::rival_openssl_sha3_256/bytes")->Arg(32)->Arg(1024)->Arg(65536);

void sha(benchmark::State& state) {
    const Bytes data(static_cast<size_t>(state.range(0)), 7);
    for (auto _ : state) benchmark::DoNotOptimize(sha256(data));
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(sha)->Name("core::sha256/bytes")->Arg(64)->Arg(4096)->Arg(65536);

void recover_address(benchmark::State& state) {
    SecretKey key;
    key[31] = 9;
    const Hash digest = keccak256(key.bytes);
    const auto signature = sign(key, digest);
    for (auto _ : state) benchmark::DoNotOptimize(recover(digest, signature));
}
BENCHMARK(recover_address)->Name("core::recover");

}  // namespace
}  // namespace trainyard
