// SPDX-License-Identifier: Apache-2.0
// What a validator pays to have a blob for its verifier: from its node over HTTP, and mapped from
// the store. usage: bench_blobs URL MEGABYTES [THREADS]; bench/network/blobs.py starts the node.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <sys/resource.h>
#include <unistd.h>

#include "node/blobs/store.hpp"
#include "node/wallet/eth_client.hpp"

namespace trainyard::node {
namespace {

double wall_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

double processor_s() {
    rusage use{};
    ::getrusage(RUSAGE_SELF, &use);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return seconds(use.ru_utime) + seconds(use.ru_stime);
}

/// Memory that is this process's own, of which the system can take nothing back.
double own_mib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("RssAnon:")) return std::stod(line.substr(8)) / 1024;
    return 0;
}

/// `take` gives what keeps the blob, so that its memory is counted.
template <class F>
bool measure(const char* way, double megabytes, F take) {
    const double wall = wall_s(), processor = processor_s(), own = own_mib();
    const auto kept = take();
    if (!kept) {
        std::fprintf(stderr, "%s: failed\n", way);
        return false;
    }
    std::printf("| %s | %.2f | %.2f | %.0f | %.0f |\n", way, wall_s() - wall,
                processor_s() - processor, megabytes / (wall_s() - wall), own_mib() - own);
    std::fflush(stdout);
    return true;
}

int run(const char* url, size_t megabytes, unsigned threads) {
    Bytes blob(megabytes * 1'000'000);
    uint64_t x = 1;
    for (uint8_t& byte : blob) byte = static_cast<uint8_t>((x = x * 6364136223846793005 + 1) >> 56);
    const auto folder =
        std::filesystem::temp_directory_path() / ("bench_blobs_" + std::to_string(::getpid()));
    bool ok = false;
    {
        auto client = wallet::EthClient::open(url);
        auto store = blobs::BlobStore::open({folder});
        const auto there = client ? (*client)->put_blob(blob) : wallet::Answer<Hash>(Hash());
        const auto here = store ? (*store)->put(blob) : blobs::BlobResult<Hash>(Hash());
        blob = {};
        const auto size = static_cast<double>(megabytes);
        ok = client && store && there && here && *there == *here;
        for (int round = 0; ok && round < 3; ++round)
            ok = measure("HTTP", size, [&] { return (*client)->get_blob(*there, ~0ull); }) &&
                 measure("mapped", size, [&] { return (*store)->map(*here, threads); });
    }
    std::filesystem::remove_all(folder);
    return ok ? 0 : 1;
}

}  // namespace
}  // namespace trainyard::node

int main(int argc, char** argv) {
    if (argc < 3) return std::fprintf(stderr, "usage: bench_blobs URL MEGABYTES [THREADS]\n"), 2;
    const auto threads = static_cast<unsigned>(argc > 3 ? std::atoi(argv[3]) : 2);
    return trainyard::node::run(argv[1], static_cast<size_t>(std::atoi(argv[2])), threads);
}
