// SPDX-License-Identifier: Apache-2.0
// Typed calls of Staking.
#include "staking.hpp"

#include "consensus/staking/read_set.hpp"
#include "core/hash.hpp"

namespace trainyard::contracts {

namespace cb = consensus::bft;

Sent StakingChain::join(const Address& who, const Uint256& stake, uint64_t commission_bps,
                        const std::optional<Address>& keys_of) {
    Abi args;
    for (const Duty duty : {Duty::consensus, Duty::vrf, Duty::p2p}) {
        const Address& owner = keys_of.value_or(who);
        const auto point = *whole_point(duty_public(owner, duty));
        const Hash digest = hash_at(view("possessionDigest(address,uint256)",
                                         Abi().address(who).word(static_cast<uint64_t>(duty))),
                                    0);
        const auto proof = sign(duty_key(owner, duty), digest);
        args.hash(*fixed_from<Hash>(BytesView(point.bytes).first(32)))
            .hash(*fixed_from<Hash>(BytesView(point.bytes).subspan(32)))
            .word(27u + proof.y_parity)
            .hash(*fixed_from<Hash>(BytesView(proof.rs.bytes).first(32)))
            .hash(*fixed_from<Hash>(BytesView(proof.rs.bytes).subspan(32)));
    }
    return send(who, "register((bytes32,bytes32,uint8,bytes32,bytes32)[3],uint16)",
                args.word(commission_bps), stake);
}

void StakingChain::enter_epoch(uint64_t epoch) {
    const uint64_t first = epoch * kEpoch + 1;
    if (chain.number() < first) chain.mine(first - chain.number());
}

Bytes StakingChain::votes(const Address& who, cb::VoteKind first, cb::VoteKind second,
                          uint64_t view) const {
    const auto vote = [&](cb::VoteKind kind, std::string_view block) {
        cb::Vote v{kind, {}, {view}, keccak256(as_bytes(block)), 0, {}};
        if (kind == cb::VoteKind::nullify) v.block = {};
        const cb::ChainIdentity identity{chain.config().chain_id, chain.config().genesis_hash};
        v.signature = sign(duty_key(who, Duty::consensus), cb::vote_digest(identity, v)).rs;
        return v;
    };
    return cb::encode_evidence(vote(first, "a"), vote(second, "b"));
}

CandidateState StakingChain::candidate(const Address& who) {
    const Bytes out = view("candidate(address)", Abi().address(who));
    CandidateState c;
    c.known = !word_at(out, 0).is_zero();
    c.tombstoned = !word_at(out, 1).is_zero();
    c.contends = !word_at(out, 2).is_zero();
    c.jailed_until = word_at(out, 3).low();
    c.commission_bps = word_at(out, 4).low();
    c.self = word_at(out, 5);
    c.delegated = word_at(out, 6);
    c.shares = word_at(out, 7);
    c.leaving = word_at(out, 8);
    c.weight_gwei = word_at(out, 9);
    c.led = word_at(out, 10).low();
    c.missed = word_at(out, 11).low();
    return c;
}

consensus::ValidatorSet StakingChain::set_of(uint64_t epoch) const {
    auto set = consensus::read_set(chain.state(), chain.config(), {epoch});
    ASSERT(set.has_value());
    return std::move(*set);
}

uint64_t StakingChain::weight_in(uint64_t epoch, const Address& who) const {
    const auto set = set_of(epoch);
    const auto index = set.find_address(who);
    return index ? set.at(*index).stake_gwei : 0;
}

}  // namespace trainyard::contracts
