// SPDX-License-Identifier: Apache-2.0
// process_vm_writev, piece by piece.
#include "node/verify/placing.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include <sys/uio.h>

#include "core/assert.hpp"

namespace trainyard::node::verify {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kPieceBytes = size_t{2} << 20;
constexpr unsigned kThreadsMax = 8;  ///< more than memory can serve

struct Piece {
    uint64_t to;
    BytesView from;
};

std::vector<Piece> cut(const Places& places, std::span<const BytesView> fields) {
    std::vector<Piece> out;
    for (size_t k = 0; k < fields.size(); ++k)
        for (size_t at = 0; at < fields[k].size(); at += kPieceBytes)
            out.push_back({places.addresses[k] + at,
                           fields[k].subspan(at, std::min(kPieceBytes, fields[k].size() - at))});
    return out;
}

bool write_piece(int pid, Piece piece) {
    while (!piece.from.empty()) {
        const iovec from{const_cast<uint8_t*>(piece.from.data()), piece.from.size()};
        const iovec to{reinterpret_cast<void*>(piece.to), piece.from.size()};
        const ssize_t n = ::process_vm_writev(pid, &from, 1, &to, 1, 0);
        if (n <= 0) return false;
        piece.to += static_cast<uint64_t>(n);
        piece.from = piece.from.subspan(static_cast<size_t>(n));
    }
    return true;
}

}  // namespace

Placing place(const Places& places, std::span<const BytesView> fields, unsigned threads,
              const std::optional<Clock::time_point>& deadline) {
    ASSERT(places.addresses.size() == fields.size());
    const auto pieces = cut(places, fields);
    std::atomic<size_t> next{0};
    std::atomic<Placing> outcome{Placing::done};
    const auto work = [&] {
        for (size_t i = next++; i < pieces.size() && outcome == Placing::done; i = next++)
            if (deadline && Clock::now() >= *deadline)
                outcome = Placing::late;
            else if (!write_piece(places.pid, pieces[i]))
                outcome = Placing::refused;
    };
    const size_t helpers = std::min<size_t>(std::clamp(threads, 1U, kThreadsMax), pieces.size());
    std::vector<std::thread> others;
    for (size_t i = 1; i < helpers; ++i) others.emplace_back(work);
    work();
    for (std::thread& other : others) other.join();
    return outcome;
}

}  // namespace trainyard::node::verify
