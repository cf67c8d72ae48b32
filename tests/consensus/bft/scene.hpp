// SPDX-License-Identifier: Apache-2.0
// Four validators with real keys and one machine under test; tests speak for the others.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "consensus/bft/bft.hpp"
#include "core/hash.hpp"

namespace trainyard::consensus::bft {
inline constexpr size_t kNodes = 4;

inline SecretKey secret(size_t owner, uint8_t purpose) {
    SecretKey key;
    key[0] = purpose;
    key[31] = static_cast<uint8_t>(owner + 1);
    return key;
}

class TestChecks : public RealChecks {
public:
    bool is_body_of(const Header& header, BytesView body) const override {
        return header.transactions_root == keccak256(body);
    }
    bool is_plausible(const Header&, const Header& header) const override {
        return header.gas_used == 0;
    }
    bool may_vote_for(const Header& header) const override { return header.number <= height_max; }
    bool is_timely(const Header&, const Header& header) const override {
        return header.timestamp <= time_max_s;
    }
    uint64_t height_max = UINT64_MAX, time_max_s = UINT64_MAX;
};

/// Sets as a test wants them; where it names none, the one before goes on.
class TestSets final : public ValidatorSets {
public:
    explicit TestSets(const ValidatorSet& first) {
        sets.push_back(std::make_shared<const ValidatorSet>(first));
    }
    SetPtr of_epoch(Epoch epoch) const override {
        return sets[std::min<size_t>(epoch.value, sets.size() - 1)];
    }
    std::vector<SetPtr> sets;
};

/// Four validators with real keys; tests speak for the others and watch one machine.
struct Scene {
    Scene() : set(make_set()), sets(set) {
        for (size_t i = 0; i < kNodes; ++i)
            signers.push_back(std::make_unique<KeySigner>(secret(i, 1), secret(i, 2)));
        genesis.prev_randao = keccak256(as_bytes("seed"));
        genesis_hash = hash_header(genesis);
        params.chain = {7, genesis_hash};
        params.block_interval_ms = 0;
    }

    static ValidatorSet make_set() {
        std::vector<Validator> validators;
        for (size_t i = 0; i < kNodes; ++i) {
            Address address;
            address[0] = static_cast<uint8_t>(i + 1);
            validators.push_back({address, *public_key(secret(i, 1)), *public_key(secret(i, 2)),
                                  *public_key(secret(i, 3)), 10});
        }
        return *ValidatorSet::make(validators);
    }

    ValidatorIndex leader(uint64_t view) const {
        return leader_of(set, genesis.prev_randao, {view});
    }
    /// Somebody who does not lead the views 1 to 3.
    ValidatorIndex follower() const {
        for (ValidatorIndex i = 0; i < kNodes; ++i)
            if (i != leader(1) && i != leader(2) && i != leader(3)) return i;
        return 0;
    }
    /// Three validators besides `self`, or all of them.
    std::vector<ValidatorIndex> others(ValidatorIndex self) const {
        std::vector<ValidatorIndex> out;
        for (ValidatorIndex i = 0; i < kNodes; ++i)
            if (i != self) out.push_back(i);
        return out;
    }

    Bft machine(ValidatorIndex self, std::vector<Bytes> records = {}) {
        return machine(self, *signers[self], std::move(records));
    }
    Bft machine(ValidatorIndex self, Signer& signer, std::vector<Bytes> records = {}) {
        Params mine = params;
        mine.self = set.at(self).consensus_key;
        return Bft(mine, sets, {genesis_point(), std::move(records)}, &signer, checks);
    }
    FinalPoint genesis_point() const {
        return {genesis, genesis_hash, BeaconTrail(256, genesis.prev_randao), {}};
    }
    Vote vote(VoteKind kind, ValidatorIndex who, uint64_t view, const Hash& block = {}) {
        Vote out{kind, epoch, {view}, block, who, {}};
        out.signature = *signers[who]->sign(params.chain, out);
        return out;
    }
    CertPtr certificate(VoteKind kind, uint64_t view, const std::vector<ValidatorIndex>& who,
                        const Hash& block = {}) {
        Certificate out;
        out.kind = kind;
        out.epoch = epoch;
        out.view = {view};
        out.block = block;
        out.set_size = kNodes;
        out.signers = {0};
        for (const auto i : who) {
            out.signers[0] |= static_cast<uint8_t>(1u << i);
            out.signatures.push_back(vote(kind, i, view, block).signature);
        }
        return std::make_shared<Certificate>(out);
    }
    /// A right proposal on genesis by the leader of `view`, with nullifications from 1 on.
    Propose proposal(uint64_t view, uint8_t salt = 0) {
        const auto who = leader(view);
        const auto vrf = *signers[who]->prove(
            beacon_alpha(params.chain.chain_id, genesis_hash, {1}, genesis.prev_randao));
        Header header;
        header.parent_hash = genesis_hash;
        header.number = 1;
        header.prev_randao = next_beacon(genesis.prev_randao, vrf.beta);
        header.extra_data = encode_seal({{}, {view}, {}, vrf.proof});
        return seal(header, Bytes{salt}, view);
    }
    Propose seal(Header header, Bytes body, uint64_t view) {
        header.transactions_root = keccak256(body);
        Propose out{make_block(header, body), {}, leader(view), {}};
        for (uint64_t v = 1; v < view; ++v)
            out.justification.push_back(certificate(VoteKind::nullify, v, {0, 1, 2}));
        out.signature = vote(VoteKind::notarize, out.leader, view, out.block->hash).signature;
        return out;
    }

    ValidatorSet set;
    TestSets sets;
    Epoch epoch;  ///< of what is made
    std::vector<std::unique_ptr<KeySigner>> signers;
    TestChecks checks;
    Header genesis;
    Hash genesis_hash;
    Params params;
};

using Effects = std::vector<Effect>;

template <class T>
std::vector<T> all(const Effects& effects) {
    std::vector<T> out;
    for (const auto& effect : effects)
        if (const auto* found = std::get_if<T>(&effect)) out.push_back(*found);
    return out;
}

inline std::vector<Vote> votes_sent(const Effects& effects, VoteKind kind) {
    std::vector<Vote> out;
    for (const auto& broadcast : all<Broadcast>(effects))
        if (const auto* vote = std::get_if<Vote>(&broadcast.message))
            if (vote->kind == kind) out.push_back(*vote);
    return out;
}

inline std::vector<Bytes> records_of(const Effects& effects) {
    std::vector<Bytes> out;
    for (const auto& persist : all<Persist>(effects)) out.push_back(persist.record);
    return out;
}

/// The P2P key of a validator of the scene.
inline Peer peer(size_t owner) {
    return *public_key(secret(owner, 3));
}

inline Effects hear(Bft& machine, ValidatorIndex from, Message message) {
    return machine.step(Received{peer(from), std::move(message)});
}

inline TimerId timer(TimerKind kind, View view) {
    return {kind, {}, view};
}

}  // namespace trainyard::consensus::bft
