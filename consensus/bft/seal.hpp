// SPDX-License-Identifier: Apache-2.0
// What a header says about the vote that made it: RLP([epoch, view, parent_view, vrf_proof]) in
// extra_data.
#pragma once

#include "core/bytes.hpp"
#include "core/keys.hpp"
#include "core/result.hpp"
#include "core/rlp.hpp"
#include "core/units.hpp"

namespace trainyard::consensus::bft {

/// A list prefix of two bytes, three numbers of at most nine and a proof of 83: no seal is longer.
inline constexpr size_t kSealSizeMax = 2 + 3 * 9 + 83;

struct Seal {
    Epoch epoch;
    View view;
    View parent_view;  ///< of the parent block; 0 where the parent is genesis
    vrf::Proof vrf_proof;
    bool operator==(const Seal&) const = default;
};

[[nodiscard]] Bytes encode_seal(const Seal& seal);
/// Strict: four items, canonical, nothing after them.
[[nodiscard]] Result<Seal, rlp::Error> decode_seal(BytesView extra_data);

}  // namespace trainyard::consensus::bft
