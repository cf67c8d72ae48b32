// SPDX-License-Identifier: Apache-2.0
// What one consensus key has signed, and which further vote would be an offence.
#pragma once

#include <compare>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "consensus/bft/messages.hpp"
#include "core/result.hpp"

namespace trainyard::node::signer {

/// A view of an epoch; epochs count first, since views start again with each.
struct Position {
    Epoch epoch;
    View view;
    auto operator<=>(const Position&) const = default;
};
inline constexpr Position kNoMore{{UINT64_MAX}, {UINT64_MAX}};

struct SignedView {
    std::optional<Hash> notarized, finalized;
    bool nullified = false;
    bool operator==(const SignedView&) const = default;
};

/// Why a vote is not signed. The first three are the offences of docs/spec/consensus.md, section 6.
enum class Refusal : uint8_t {
    two_notarize,
    two_finalize,
    nullify_and_finalize,
    below_mark,   ///< a view that this history no longer answers for
    other_chain,  ///< the vote is not of the chain that the key votes on
    not_stored,   ///< the disk refused the record, so nothing may be signed
};
inline constexpr size_t kRefusals = 6;
[[nodiscard]] std::string_view to_text(Refusal refusal);
[[nodiscard]] std::string_view name_of(Refusal refusal);  ///< as a metric's label

/// A pure value; SigningDb keeps one on disk.
///
/// Invariant: no entry of `views` lies below `mark`, and nothing below `mark` is ever signed.
struct History {
    Position mark;
    std::map<Position, SignedView> views;
    bool operator==(const History&) const = default;

    /// The reason not to sign `vote`, or nullopt. The same vote again is no offence.
    [[nodiscard]] std::optional<Refusal> objection(const consensus::bft::Vote& vote) const;
    [[nodiscard]] bool holds(const consensus::bft::Vote& vote) const;
    /// Precondition: no objection.
    void record(const consensus::bft::Vote& vote);
    /// The highest view of which anything is known: signed in, or just below the mark.
    [[nodiscard]] Position newest() const;
    /// Raises the mark and drops what lies below; never lowers it.
    void raise_mark(const Position& to);
    /// Keeps the `most` highest views and raises the mark to the lowest of them.
    void prune(size_t most);
};

/// Takes over all that `other` knows, so that afterwards everything is refused that either refused.
/// Gives the views in which the two contradict each other: the key has broken a rule there already,
/// and the mark is raised above them.
std::vector<Position> merge(History& into, const History& other);

}  // namespace trainyard::node::signer
