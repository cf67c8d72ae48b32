// SPDX-License-Identifier: Apache-2.0
// Audits of a segment: the bundle a provider serves for given draws, and the auditor's check of it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "training/segment.hpp"

namespace trainyard::training {

struct UnitDraw {
    uint32_t t = 0, j = 0;
    bool operator==(const UnitDraw&) const = default;
};
struct TileDraw {
    uint32_t tensor = 0, tile = 0;  ///< parameter number and tile number
    bool operator==(const TileDraw&) const = default;
};

/// What the beacon chose for one auditor.
struct AuditDraws {
    std::vector<UnitDraw> units;
    std::vector<TileDraw> tiles;
    bool operator==(const AuditDraws&) const = default;
};

/// The bytes a provider serves for each of the draws; walks through the segment once, for all of
/// them. Errors: wrong_shape if a draw lies outside the segment; bad_log if
/// a logged gradient cannot be read or does not lead to the committed root.
[[nodiscard]] Result<std::vector<Bytes>, EngineError> make_bundles(
    const Program& program, Backend& backend, const SegmentLog& log,
    std::span<const AuditDraws> draws);
[[nodiscard]] Result<Bytes, EngineError> make_bundle(const Program& program, Backend& backend,
                                                     const SegmentLog& log,
                                                     const AuditDraws& draws);

enum class AuditFinding : uint8_t {
    match,
    bad_bundle,  ///< malformed: the provider did not serve what was drawn
    old_bundle,  ///< in a format that is not in use any more
    steps_root,  ///< roots and tuples do not lead to the claimed steps_root
    boundary,    ///< S_first or S_last is not the claimed one, or not the seed's initial state
    weights,     ///< the weights served for step t do not lead to the root of S_t
    scalars,     ///< step, cursor, p1, p2, seed or program of S_t are wrong
    gradient,    ///< a gradient tile does not lead to grad_root_t
    update,      ///< a tile of S_{t+1} is not the update of S_t; of w alone inside the segment
    nonfinite,   ///< a step that claims or yields Inf or NaN
};
[[nodiscard]] std::string_view to_text(AuditFinding finding);

struct AuditAnswer {
    AuditFinding finding = AuditFinding::match;
    uint32_t step = 0;        ///< where, if not match
    TileDraw tile;            ///< where, for gradient and update
    std::vector<Hash> units;  ///< unit leaves of draws.units in order, as recomputed here
    [[nodiscard]] bool matches() const { return finding == AuditFinding::match; }
};

struct AuditInputs {
    SegmentClaim claim;
    Hash run_seed;
    BytesView data;
    AuditDraws draws;
};

/// Checks the bundle and replays the drawn units. Unit leaves are present whenever the weights of
/// their step were right. Errors are those of this machine, never of the bundle.
[[nodiscard]] Result<AuditAnswer, EngineError> check_bundle_and_audit(Engine& engine,
                                                                      BytesView bundle,
                                                                      const AuditInputs& inputs);

}  // namespace trainyard::training
