// SPDX-License-Identifier: Apache-2.0
// Two pieces of room, used in turns, and what both ends say about them.
#include "node/verify/state_pieces.hpp"

#include <algorithm>
#include <array>

#include "node/verify/content.hpp"
#include "node/verify/placing.hpp"

namespace trainyard::node::verify {
namespace {

/// A piece of a field and where it shall lie, as the process asks for it.
struct Wish {
    uint64_t address = 0, size = 0;
};
constexpr size_t kWishBytes = 2 * sizeof(uint64_t);

/// Room for two pieces of a state, used in turns.
class PieceRoom {
public:
    explicit PieceRoom(const std::vector<size_t>& pieces)
        : half_(pieces.empty() ? 0 : *std::max_element(pieces.begin(), pieces.end())),
          memory_(2 * half_) {}
    [[nodiscard]] std::span<uint8_t> of(size_t piece, size_t size) const {
        return memory_.bytes().subspan(piece % 2 * half_, size);
    }

private:
    size_t half_;
    Blank memory_;
};

}  // namespace

Result<Done, FrameError> serve_pieces(int fd, BytesView field, const Receiver& to,
                                      const Deadline& deadline) {
    for (;;) {
        std::array<uint8_t, kWishBytes> asked{};
        if (auto done = read_exactly(fd, asked, deadline); !done) return done;
        const Wish wish{load_le<uint64_t>(asked.data()),
                        load_le<uint64_t>(asked.data() + sizeof(uint64_t))};
        if (wish.size == 0) return Done{};
        if (wish.size > field.size()) return unexpected(FrameError::malformed);
        const BytesView piece = field.first(wish.size);
        field = field.subspan(wish.size);
        const auto placing =
            place({to.pid, {wish.address}}, std::span(&piece, 1), to.threads, deadline);
        if (placing == Placing::late) return unexpected(FrameError::timed_out);
        const uint8_t answer = placing == Placing::done ? kLiesThere : kComesBare;
        if (auto done = write_exactly(fd, {&answer, 1}, deadline); !done) return done;
        if (placing == Placing::done) continue;
        if (auto done = write_exactly(fd, piece, deadline); !done) return done;
    }
}

Result<Done, FrameError> ask_for_pieces(int fd, training::PiecewiseRoot& root,
                                        const Deadline& deadline) {
    const std::vector<size_t>& pieces = root.pieces();
    const PieceRoom room(pieces);
    const auto ask = [&](size_t k) {
        Bytes wish;
        const auto at = k < pieces.size() ? room.of(k, pieces[k]) : std::span<uint8_t>();
        append_le<uint64_t>(wish, reinterpret_cast<uintptr_t>(at.data()));
        append_le<uint64_t>(wish, at.size());
        return write_exactly(fd, wish, deadline);
    };
    if (auto done = ask(0); !done) return done;
    for (size_t k = 0; k < pieces.size(); ++k) {
        const auto piece = room.of(k, pieces[k]);
        uint8_t answer = 0;
        if (auto done = read_exactly(fd, {&answer, 1}, deadline); !done) return done;
        if (answer > kLiesThere) return unexpected(FrameError::malformed);
        if (answer == kComesBare)
            if (auto done = read_exactly(fd, piece, deadline); !done) return done;
        if (auto done = ask(k + 1); !done) return done;
        root.add(piece);
    }
    return Done{};
}

Result<Done, FrameError> read_bare_pieces(int fd, training::PiecewiseRoot& root, uint64_t size,
                                          const Deadline& deadline) {
    std::vector<size_t> pieces = root.pieces();
    const bool is_state = !pieces.empty();
    for (; !is_state && size != 0; size -= pieces.back())
        pieces.push_back(std::min<uint64_t>(size, training::PiecewiseRoot::kPieceBytes));
    const PieceRoom room(pieces);
    for (const size_t bytes : pieces) {
        const auto piece = room.of(0, bytes);
        if (auto done = read_exactly(fd, piece, deadline); !done) return done;
        if (is_state) root.add(piece);
    }
    return Done{};
}

}  // namespace trainyard::node::verify
