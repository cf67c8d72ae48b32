// SPDX-License-Identifier: Apache-2.0
// Opening the signing database and putting it before the keys.
#include "node/cli/node_voting.hpp"

#include "node/bft/journal.hpp"

namespace trainyard::node::cli {
namespace {

namespace cb = consensus::bft;

std::string_view name_of(cb::VoteKind kind) {
    switch (kind) {
        case cb::VoteKind::notarize:
            return "notarize";
        case cb::VoteKind::finalize:
            return "finalize";
        case cb::VoteKind::nullify:
            return "nullify";
    }
    return "unknown";
}

/// The journal of a data folder that is older than its signing database knows votes as well.
Result<Done, std::string> take_over_journal(signer::SigningDb& db, state::Kv& votes,
                                            const signer::Owner& owner) {
    signer::History known;
    for (const auto& record : bft::Journal(votes).load()) {
        const auto message = cb::decode_message(record);
        const auto* vote = message ? std::get_if<cb::Vote>(&*message) : nullptr;
        if (vote != nullptr && !known.objection(*vote) &&
            verify(owner.key, cb::vote_digest(owner.chain, *vote), vote->signature))
            known.record(*vote);
    }
    if (known.views.empty() || known.newest() <= db.newest()) return Done{};
    const auto merged = db.merge_in(known);
    if (!merged) return unexpected("the signing database cannot be written: check the disk");
    return Done{};
}

}  // namespace

Result<std::unique_ptr<NodeVoting>, std::string> NodeVoting::open(const NodeSetup& setup,
                                                                  state::Kv& votes,
                                                                  const runtime::Logger& log) {
    const signer::Owner owner{{setup.chain.chain_id, setup.genesis_hash},
                              *public_key(setup.keys->consensus)};
    // Buffered: the vote machine syncs the same store before a vote leaves (ADR 010).
    auto db = signer::SigningDb::open(votes, owner, state::Durability::buffered);
    if (!db) return unexpected(db.error());
    if ((*db)->history().mark == signer::kNoMore)
        return unexpected(
            "this folder's signing database was retired by `slashing-protection export --retire`: "
            "its key votes elsewhere. Follow without `keys`, or import the other machine's export "
            "into a fresh data folder");
    if (auto done = take_over_journal(**db, votes, owner); !done) return unexpected(done.error());
    auto voting = std::make_unique<NodeVoting>();
    voting->db_ = std::move(*db);
    voting->signer_ = std::make_unique<signer::GuardedSigner>(
        setup.keys->consensus, setup.keys->vrf, *voting->db_,
        [log](const cb::Vote& vote, signer::Refusal why) {
            log.error("refused to sign a vote", {{"vote", name_of(vote.kind)},
                                                 {"epoch", vote.epoch.value},
                                                 {"view", vote.view.value},
                                                 {"why", signer::to_text(why)}});
        });
    return voting;
}

void NodeVoting::add_metrics(metrics::Metrics& out) const {
    const auto counts = signer_->refusals();
    metrics::Family refusals{"trainyard_signer_refusals_total",
                             "Votes not signed, by what the signing database objected to.",
                             metrics::Kind::counter,
                             {}};
    for (size_t i = 0; i < counts.size(); ++i)
        refusals.samples.push_back(
            {{{"reason", std::string(signer::name_of(static_cast<signer::Refusal>(i)))}},
             static_cast<double>(counts[i])});
    out.families.push_back(std::move(refusals));
}

}  // namespace trainyard::node::cli
