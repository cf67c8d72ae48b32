// SPDX-License-Identifier: Apache-2.0
// Sizes of moves, field by field.
#include "training/referee/size.hpp"

#include <algorithm>

#include "core/blob.hpp"
#include "training/referee/subject.hpp"
#include "training/referee/term.hpp"
#include "training/state_root.hpp"

namespace trainyard::training::referee {
namespace {

constexpr uint64_t kHash = 32, kNumber = 4;
constexpr uint64_t kHeaders = 64;  ///< of RLP
/// A tile or pieces of 4 KiB for two ranges of bytes, their paths, and a unit with its own.
constexpr uint64_t kOpening = 4 * (blob::kPieceBytes + 40 * kHash) + 24 * kHash;
constexpr uint64_t kLongestLine = kPartsMax * kNumber;
static_assert(kTileBytes <= blob::kPieceBytes);

}  // namespace

uint64_t largest_move_bytes(const Program& program) {
    const uint64_t encoded = encode_program(program).size();
    const uint64_t parameters = program.parameters.size();
    const uint64_t steps = program.run.segment_length, units = program.run.micro_batches;
    const auto training = derive_training_graph(program);
    const uint64_t values = training ? training->graph.values.size() : 0;
    const uint64_t yields = values - std::min<uint64_t>(values, first_yield(program));
    const uint64_t beside_program = std::max({
        yields * kHash,
        parameters * (4 * kHash + kNumber),  // sums, w, m and v, squares
        kOpening,
    });
    return kHeaders + std::max({
                          encoded + beside_program,
                          3 * steps * kHash,
                          4 * kHash + units * (kHash + kNumber),
                          kLongestLine,
                      });
}

std::string beyond_dispute(const Program& program) {
    const uint64_t bytes = largest_move_bytes(program);
    if (bytes <= kMoveBytesMax) return "";
    return "its program is too large to be shown in a dispute: a move may need " +
           std::to_string((bytes >> 10) + 1) + " KiB, a transaction takes " +
           std::to_string(kMoveBytesMax >> 10) +
           "; train it in several jobs of fewer steps, or with fewer merges of the vocabulary";
}

}  // namespace trainyard::training::referee
