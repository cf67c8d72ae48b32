// SPDX-License-Identifier: Apache-2.0
// The lies of each behaviour.
#include "tests/sim/byzantine.hpp"

#include "core/merkle.hpp"
#include "tests/sim/fake_keys.hpp"

namespace trainyard::sim {
namespace cb = consensus::bft;
using cb::VoteKind;

cb::Vote Liar::vote(VoteKind kind, View view, const Hash& block, uint64_t ahead) const {
    cb::Vote out{kind, seat.epoch + ahead, view, block, seat.index, {}};
    out.signature = *signer->sign(chain, out);
    return out;
}

void Liar::say(Outgoing& out, const cb::Vote& message) {
    if (!said_.emplace(message.kind, message.epoch, message.view, message.block).second) return;
    for (unsigned to = 0; to < nodes; ++to)
        if (to != owner) out.emplace_back(to, message);
}

/// The same proposal with another block: a longer body, or a state root that execution refutes.
cb::Propose Liar::other_block(const cb::Propose& proposal, bool wrong_state) const {
    Header header = proposal.block->header;
    Bytes body = proposal.block->body;
    if (wrong_state) {
        header.state_root[0] ^= 1;
    } else {
        body.push_back(0xbb);
        header.transactions_root = body_root(body);
        header.gas_used += 1;  // the roots stay wrong: this one fails at certify
    }
    cb::Propose out = proposal;
    const auto seal = cb::decode_seal(header.extra_data);
    out.block = cb::make_block(std::move(header), std::move(body));
    out.signature = vote(VoteKind::notarize, seal->view, out.block->hash).signature;
    return out;
}

/// The same part with a shard that is none, with nothing to pass on, or of another block.
cb::Scatter Liar::spoiled(cb::Scatter part, Random& random) const {
    if (part.shards.empty() || random.one_in(3)) return other_block(std::move(part));
    if (random.one_in(2))
        part.shards.clear();
    else
        part.shards[0].data[0] ^= 1;
    return part;
}

/// Shards that each open to the root and together give no body.
cb::Scatter Liar::without_body(cb::Scatter part) const {
    const auto plan = consensus::dispersal::plan_shards(*seat.set);
    const auto size = consensus::dispersal::shard_size_bytes(plan, part.commitment.body_size_bytes);
    std::vector<Bytes> shards(plan.total(), Bytes(size));
    std::vector<Hash> leaves;
    uint64_t noise = mix(part.commitment.root[0] + 1u);
    for (auto& shard : shards) {
        for (auto& byte : shard) byte = static_cast<uint8_t>(noise = mix(noise));
        leaves.push_back(merkle::leaf(shard));
    }
    const auto paths = merkle::paths(leaves);
    part.commitment.root = merkle::root(leaves);
    for (auto& shard : part.shards) {
        shard.data = shards[shard.index];
        shard.path = paths[shard.index];
    }
    return part;
}

/// The same shards under a header whose state root is wrong.
cb::Scatter Liar::other_block(cb::Scatter part) const {
    part.header.state_root[0] ^= 1;
    const auto seal = cb::decode_seal(part.header.extra_data);
    part.signature = vote(VoteKind::notarize, seal->view, hash_header(part.header)).signature;
    return part;
}

Outgoing Liar::speak_shards(const std::vector<unsigned>& to, const cb::Scatter& part,
                            Random& random) const {
    Outgoing out;
    const bool for_some = part.commitment.root[1] % 2 == 0;
    for (const unsigned receiver : to) {
        cb::Scatter said = part;
        if (behaviour == Behaviour::withholder && random.one_in(4)) continue;
        if (behaviour == Behaviour::bad_blocks) said = other_block(std::move(said));
        if (behaviour == Behaviour::bad_encoder && !(for_some && random.one_in(2)))
            said = without_body(std::move(said));
        const bool spoils =
            behaviour == Behaviour::withholder || behaviour == Behaviour::equivocator;
        if (spoils && random.one_in(2)) said = spoiled(std::move(said), random);
        out.emplace_back(receiver, std::move(said));
    }
    return out;
}

Outgoing Liar::speak(const std::vector<unsigned>& to, const cb::Message& message,
                     Random& random) const {
    Outgoing out;
    const auto* proposal = std::get_if<cb::Propose>(&message);
    if (behaviour == Behaviour::silent) return out;
    if (behaviour == Behaviour::withholder && proposal && !to.empty()) {
        out.emplace_back(to[random.next() % to.size()], message);
        return out;
    }
    if (const auto* part = std::get_if<cb::Scatter>(&message))
        return speak_shards(to, *part, random);
    const bool gives = std::holds_alternative<cb::Shards>(message) ||
                       std::holds_alternative<cb::BlockMessage>(message);
    if (behaviour == Behaviour::hoarder && gives) return out;
    const bool lies =
        proposal && (behaviour == Behaviour::equivocator || behaviour == Behaviour::bad_blocks);
    if (!lies) {
        for (const unsigned receiver : to) out.emplace_back(receiver, message);
        return out;
    }
    const bool wrong_state = behaviour == Behaviour::bad_blocks;
    const cb::Propose other = other_block(*proposal, wrong_state);
    for (const unsigned receiver : to)
        out.emplace_back(receiver, wrong_state || random.one_in(2) ? cb::Message(other) : message);
    return out;
}

cb::Cert Liar::forge(VoteKind kind, View view, const Hash& block) const {
    const auto signature = vote(kind, view, block).signature;
    const auto size = static_cast<uint16_t>(seat.set->size());
    cb::Certificate out{kind, seat.epoch, view, block, size, {}, {}};
    out.signers.resize((size + 7u) / 8);
    for (unsigned i = 0; i < size; ++i) {
        out.signers[i / 8] |= static_cast<uint8_t>(1U << i % 8);
        out.signatures.push_back(signature);
    }
    return {std::make_shared<const cb::Certificate>(std::move(out))};
}

/// The block that a message proposes, whole or in part, and its view.
std::optional<std::pair<View, Hash>> proposed_by(const cb::Message& message) {
    if (const auto* whole = std::get_if<cb::Propose>(&message))
        return std::pair(cb::decode_seal(whole->block->header.extra_data)->view,
                         whole->block->hash);
    if (const auto* part = std::get_if<cb::Scatter>(&message))
        return std::pair(cb::decode_seal(part->header.extra_data)->view, hash_header(part->header));
    return std::nullopt;
}

/// Some hear that the block is final, the others that its view gave nothing.
Outgoing Liar::react_with_forgeries(const cb::Message& message) const {
    Outgoing out;
    const auto proposed = proposed_by(message);
    if (!proposed) return out;
    const auto& [view, block] = *proposed;
    for (unsigned to = 0; to < nodes; ++to) {
        if (to == owner) continue;
        if (to % 2 == view.value % 2)
            out.emplace_back(to, forge(VoteKind::finalize, view, block));
        else
            out.emplace_back(to, forge(VoteKind::nullify, view, {}));
    }
    return out;
}

Outgoing Liar::react_from_other_epochs(const cb::Message& message) {
    Outgoing out;
    const auto proposed = proposed_by(message);
    if (!proposed) return out;
    const auto& [view, block] = *proposed;
    for (const uint64_t ahead : {1, 2}) {
        say(out, vote(VoteKind::notarize, {1}, block, ahead));
        say(out, vote(VoteKind::finalize, {1}, block, ahead));
        say(out, vote(VoteKind::nullify, {2}, {}, ahead));
    }
    const cb::Repropose again{vote(VoteKind::notarize, view + 1, block), {}};
    const cb::Status elsewhere{seat.epoch + view.value % 3, view, {}, {}};
    for (unsigned to = 0; to < nodes; ++to) {
        if (to == owner) continue;
        out.emplace_back(to, again);
        out.emplace_back(to, elsewhere);
        out.emplace_back(to, cb::GetCert{{seat.epoch.value / 2}, view, 8});
    }
    return out;
}

Outgoing Liar::react(const cb::Message& message) {
    if (behaviour == Behaviour::jumper) return react_from_other_epochs(message);
    if (behaviour == Behaviour::forger) return react_with_forgeries(message);
    Outgoing out;
    const auto* heard = std::get_if<cb::Vote>(&message);
    if (behaviour == Behaviour::nuller && heard && heard->kind == VoteKind::notarize) {
        say(out, vote(VoteKind::nullify, heard->view, {}));
        say(out, vote(VoteKind::finalize, heard->view, heard->block));
    }
    if (behaviour != Behaviour::double_voter) return out;
    if (heard && heard->kind == VoteKind::nullify)
        say(out, vote(VoteKind::nullify, heard->view, {}));
    const auto proposed = proposed_by(message);
    if (!proposed) return out;
    say(out, vote(VoteKind::notarize, proposed->first, proposed->second));
    say(out, vote(VoteKind::finalize, proposed->first, proposed->second));
    say(out, vote(VoteKind::nullify, proposed->first, {}));
    return out;
}

}  // namespace trainyard::sim
