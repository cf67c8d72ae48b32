// SPDX-License-Identifier: Apache-2.0
// The rules of slashing protection over plain values.
#include "node/signer/history.hpp"

#include <algorithm>
#include <iterator>

#include "core/assert.hpp"

namespace trainyard::node::signer {
namespace {

using consensus::bft::Vote;
using consensus::bft::VoteKind;

Position position_of(const Vote& vote) {
    return {vote.epoch, vote.view};
}

bool differ(const std::optional<Hash>& a, const std::optional<Hash>& b) {
    return a && b && *a != *b;
}

bool is_offence(const SignedView& v) {
    return v.nullified && v.finalized;
}

Position after(const Position& p) {
    if (p.view.value < UINT64_MAX) return {p.epoch, p.view + 1};
    return p.epoch.value < UINT64_MAX ? Position{p.epoch + 1, {}} : kNoMore;
}

}  // namespace

std::string_view to_text(Refusal refusal) {
    switch (refusal) {
        case Refusal::two_notarize:
            return "this key has notarized another block in that view";
        case Refusal::two_finalize:
            return "this key has finalized another block in that view";
        case Refusal::nullify_and_finalize:
            return "this key has finalized and may not nullify that view, or the reverse";
        case Refusal::below_mark:
            return "that view lies below the mark up to which this database signs no more";
        case Refusal::other_chain:
            return "the vote is of another chain than the key votes on";
        case Refusal::not_stored:
            return "the signing database cannot be written: check the disk";
    }
    return "unknown";
}

std::string_view name_of(Refusal refusal) {
    switch (refusal) {
        case Refusal::two_notarize:
            return "two_notarize";
        case Refusal::two_finalize:
            return "two_finalize";
        case Refusal::nullify_and_finalize:
            return "nullify_and_finalize";
        case Refusal::below_mark:
            return "below_mark";
        case Refusal::other_chain:
            return "other_chain";
        case Refusal::not_stored:
            return "not_stored";
    }
    return "unknown";
}

std::optional<Refusal> History::objection(const Vote& vote) const {
    const Position at = position_of(vote);
    if (at < mark || at == kNoMore) return Refusal::below_mark;
    const auto found = views.find(at);
    if (found == views.end()) return std::nullopt;
    const SignedView& before = found->second;
    switch (vote.kind) {
        case VoteKind::notarize:
            if (differ(before.notarized, vote.block)) return Refusal::two_notarize;
            return std::nullopt;
        case VoteKind::finalize:
            if (differ(before.finalized, vote.block)) return Refusal::two_finalize;
            if (before.nullified) return Refusal::nullify_and_finalize;
            return std::nullopt;
        case VoteKind::nullify:
            if (before.finalized) return Refusal::nullify_and_finalize;
            return std::nullopt;
    }
    return std::nullopt;
}

bool History::holds(const Vote& vote) const {
    const auto found = views.find(position_of(vote));
    if (found == views.end()) return false;
    switch (vote.kind) {
        case VoteKind::notarize:
            return found->second.notarized == vote.block;
        case VoteKind::finalize:
            return found->second.finalized == vote.block;
        case VoteKind::nullify:
            return found->second.nullified;
    }
    return false;
}

void History::record(const Vote& vote) {
    ASSERT(!objection(vote));
    SignedView& entry = views[position_of(vote)];
    if (vote.kind == VoteKind::notarize) entry.notarized = vote.block;
    if (vote.kind == VoteKind::finalize) entry.finalized = vote.block;
    if (vote.kind == VoteKind::nullify) entry.nullified = true;
}

Position History::newest() const {
    if (!views.empty()) return views.rbegin()->first;
    if (mark.view.value > 0) return {mark.epoch, mark.view - 1};
    return mark;
}

void History::raise_mark(const Position& to) {
    if (to <= mark) return;
    mark = to;
    views.erase(views.begin(), views.lower_bound(to));
}

void History::prune(size_t most) {
    if (views.size() <= most) return;
    raise_mark(std::prev(views.end(), static_cast<std::ptrdiff_t>(most))->first);
}

std::vector<Position> merge(History& into, const History& other) {
    std::vector<Position> conflicts;
    into.raise_mark(other.mark);
    for (const auto& [at, theirs] : other.views) {
        if (at < into.mark) continue;
        SignedView& ours = into.views[at];
        const bool contradicts =
            differ(ours.notarized, theirs.notarized) || differ(ours.finalized, theirs.finalized);
        if (!ours.notarized) ours.notarized = theirs.notarized;
        if (!ours.finalized) ours.finalized = theirs.finalized;
        ours.nullified = ours.nullified || theirs.nullified;
        if (contradicts || is_offence(ours)) conflicts.push_back(at);
    }
    if (!conflicts.empty()) into.raise_mark(after(conflicts.back()));
    return conflicts;
}

}  // namespace trainyard::node::signer
