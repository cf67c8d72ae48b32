// SPDX-License-Identifier: Apache-2.0
// The vote machine over epochs, told anything by peers whose signatures nobody
// checks: it never dies, never goes back, and never contradicts its own votes,
// restarts included.
#include <map>
#include <set>
#include <tuple>

#include "consensus/bft/bft.hpp"
#include "consensus/bft/relay.hpp"
#include "core/assert.hpp"
#include "core/hash.hpp"
#include "tests/fuzz/choices.hpp"
#include "tests/sim/fake_keys.hpp"

namespace trainyard::sim {
namespace {

namespace cb = consensus::bft;

constexpr unsigned kNodes = 4;
constexpr unsigned kSelf = 0;
constexpr uint64_t kEpochLength = 2;
constexpr size_t kBlocksMax = 64;
constexpr size_t kStepsMax = 400;

/// From epoch 2 on one validator is out, another in each.
class Sets final : public consensus::ValidatorSets {
public:
    explicit Sets(const Keyring& keys) : keys_(keys) {}
    [[nodiscard]] consensus::SetPtr of_epoch(Epoch epoch) const override {
        auto members = keys_.validators;
        if (epoch.value >= 2)
            members.erase(members.begin() + static_cast<std::ptrdiff_t>(epoch.value % kNodes));
        return std::make_shared<const consensus::ValidatorSet>(
            *consensus::ValidatorSet::make(std::move(members)));
    }

private:
    const Keyring& keys_;
};

class Session {
public:
    explicit Session(BytesView data)
        : in_(data), keys_(make_keyring({10, 10, 10, 10}, Keys::unchecked)), sets_(keys_) {
        Header genesis;
        genesis.prev_randao = keccak256(as_bytes("seed"));
        params_.chain = {7, hash_header(genesis)};
        params_.self = keys_.validators[kSelf].consensus_key;
        params_.epoch_length = kEpochLength;
        params_.mini_epoch_length = 3;
        params_.block_interval_ms = 0;
        blocks_.push_back(cb::make_block(genesis, {}));
        bodies_.insert(blocks_[0]->hash);  // it has none to be had
        final_ = {genesis, blocks_[0]->hash,
                  consensus::BeaconTrail(params_.mini_epoch_length, genesis.prev_randao), nullptr};
        restart();
    }

    void run() {
        for (size_t i = 0; i < kStepsMax && !in_.is_over() && !stopped_; ++i) act();
    }

private:
    void act() {
        switch (in_.below(8)) {
            case 0:
                return step(
                    cb::Timeout{{static_cast<cb::TimerKind>(in_.below(5)), epoch(), view()}});
            case 1:
                return answer();
            case 2:
                return in_.below(16) == 0 ? restart() : step(cb::PeerConnected{peer()});
            case 3:
                return hear(proposal());
            case 4:
            case 5:
                return hear(vote());
            case 6:
                return hear(cb::Cert{certificate()});
            default:
                return hear(other());
        }
    }

    // --- what peers may say

    // Mostly where the machine is, and what was proposed there: far things are soon refused.
    Epoch epoch() {
        const uint64_t here = machine_->standing().epoch.value;
        const uint64_t where = in_.below(16);
        if (where == 0) return {here - std::min<uint64_t>(here, 1)};
        return {where < 3 ? here + where : here};
    }
    View view() {
        const uint64_t here = machine_->standing().view.value;
        const uint64_t where = in_.below(8);
        if (where < 2) return {here - std::min<uint64_t>(here, where + 1)};
        return {where < 4 ? here + where - 1 : here};
    }
    cb::Peer peer() { return keys_.validators[in_.below(kNodes)].p2p_key; }
    const cb::BlockPtr& block() {
        const uint64_t back = in_.below(2) == 0 ? 0 : in_.below(blocks_.size());
        return blocks_[blocks_.size() - 1 - back];
    }
    /// One proposed in that view, if there is one and the input wants it.
    const cb::BlockPtr& block_of(Epoch in, View at) {
        const auto& any = block();
        if (in_.below(8) == 0) return any;
        for (auto it = blocks_.rbegin(); it != blocks_.rend(); ++it) {
            const auto seal = cb::decode_seal((*it)->header.extra_data);
            if (seal && seal->epoch == in && seal->view == at) return *it;
        }
        return any;
    }

    cb::Vote vote() {
        cb::Vote out;
        out.kind = static_cast<cb::VoteKind>(1 + in_.below(3));
        out.epoch = epoch();
        out.view = view();
        if (out.kind != cb::VoteKind::nullify) out.block = block_of(out.epoch, out.view)->hash;
        out.signer = static_cast<consensus::ValidatorIndex>(in_.below(kNodes + 1));
        if (is_self(out.epoch, out.signer)) ++out.signer;  // nobody can sign for it
        return out;
    }
    [[nodiscard]] bool is_self(Epoch in, consensus::ValidatorIndex index) const {
        const auto set = sets_.of_epoch(in);
        return index < set->size() && owner_of(set->at(index)) == kSelf;
    }
    cb::CertPtr certificate() {
        const auto one = vote();
        const auto set_size = static_cast<uint16_t>(kNodes - in_.below(2));
        cb::Certificate out{one.kind, one.epoch, one.view, one.block, set_size, {}, {}};
        out.signers.push_back(static_cast<uint8_t>((1U << set_size) - 1 - (in_.below(8) == 0)));
        if (is_self(one.epoch, 0)) out.signers[0] &= 0xfe;
        for (unsigned i = 0; i < set_size; ++i)
            if (out.has_signer(i)) out.signatures.emplace_back();
        return std::make_shared<const cb::Certificate>(std::move(out));
    }
    std::vector<cb::CertPtr> justification() {
        std::vector<cb::CertPtr> out;
        for (uint64_t i = in_.below(3); i > 0; --i) out.push_back(certificate());
        return out;
    }
    cb::Propose proposal() {
        const auto& parent = *block();
        const auto leader = static_cast<unsigned>(1 + in_.below(kNodes - 1));
        Header header;
        header.parent_hash = parent.hash;
        header.number = parent.header.number + 1 + in_.below(16) / 15;
        const auto output = *keys_.signers[leader]->prove(
            consensus::beacon_alpha(params_.chain.chain_id, params_.chain.genesis_hash,
                                    {header.number}, parent.header.prev_randao));
        header.prev_randao = consensus::next_beacon(parent.header.prev_randao, output.beta);
        const auto seal = cb::decode_seal(parent.header.extra_data);
        const Epoch in = epoch();
        const View parent_view = seal && seal->epoch == in ? seal->view : View{};
        header.extra_data = cb::encode_seal({in, view(), parent_view, output.proof});
        const Bytes body{static_cast<uint8_t>(in_.below(4))};
        header.transactions_root = body_root(body);
        auto made = cb::make_block(std::move(header), body);
        if (blocks_.size() < kBlocksMax) blocks_.push_back(made);
        const auto set = sets_.of_epoch(in);
        const auto index = set->find_address(keys_.validators[leader].address);
        return cb::Propose{made, justification(), index.value_or(0), {}};
    }
    /// The machine's part of a proposal; the others' shards are there to be said later.
    cb::Message scattered() {
        const auto whole = proposal();
        const auto seal = cb::decode_seal(whole.block->header.extra_data);
        cb::Params params = params_;
        params.whole_body_max_bytes = params.dispersal_set_min = 0;
        const auto set = sets_.of_epoch(seal->epoch);
        const bool is_spoiled = in_.below(4) == 0;
        cb::Message own = whole;
        for (auto& [to, part] : cb::Relay(seal->epoch, set, std::nullopt, params).scatter(whole)) {
            if (is_spoiled && !part.shards.empty()) part.shards[0].data[0] ^= 1;
            if (shards_.size() < kBlocksMax)
                shards_.push_back(cb::Shards{seal->epoch, seal->view, whole.block->hash,
                                             part.commitment, part.shards});
            if (is_self(seal->epoch, to)) own = part;
        }
        return own;
    }
    cb::Message other() {
        switch (in_.below(7)) {
            case 0: {
                auto again = vote();
                again.kind = cb::VoteKind::notarize;
                again.block = block()->hash;
                return cb::Repropose{again, justification()};
            }
            case 1:
                return cb::GetCert{epoch(), view(), static_cast<uint8_t>(1 + in_.below(9))};
            case 2:
                return cb::GetBlock{block()->hash};
            case 3:
                return cb::BlockMessage{block()};
            case 4:
                return scattered();
            case 5:
                if (!shards_.empty()) return shards_[in_.below(shards_.size())];
                [[fallthrough]];
            default:
                return cb::Status{epoch(), view(), view(), {in_.below(9)}};
        }
    }

    // --- what the shell does

    void hear(cb::Message message) { step(cb::Received{peer(), std::move(message)}); }

    void answer() {
        if (build_) {
            const auto asked = *std::exchange(build_, std::nullopt);
            Header header;
            header.parent_hash = asked.parent_hash;
            header.number = asked.parent.number + 1;
            header.extra_data = asked.extra_data;
            header.prev_randao = asked.prev_randao;
            header.transactions_root = body_root({});
            auto made = cb::make_block(std::move(header), {});
            if (blocks_.size() < kBlocksMax) blocks_.push_back(made);
            return step(cb::BuiltBlock{asked.epoch, asked.view, asked.parent_hash, made});
        }
        if (executing_.empty()) return;
        const auto made = executing_.back();
        executing_.pop_back();
        step(cb::BlockVerdict{made->hash,
                              static_cast<cb::Verdict>(in_.below(8) < 6 ? 0 : in_.below(3))});
    }

    void restart() {
        build_.reset();
        executing_.clear();
        machine_ = std::make_unique<cb::Bft>(params_, sets_, cb::Recovered{final_, records_},
                                             keys_.signers[kSelf].get(), *keys_.checks);
        reached_ = {};
        step(cb::Start{});
    }

    void step(const cb::Input& input) {
        for (const auto& effect : machine_->step(input))
            std::visit([this](const auto& e) { carry_out(e); }, effect);
        const auto at = machine_->standing();
        const std::tuple now{at.epoch, at.view, at.final_height};
        ASSERT(now >= reached_ || at.epoch > std::get<0>(reached_));
        ASSERT(at.final_height >= std::get<2>(reached_));
        reached_ = now;
    }

    template <class Effect>
    void carry_out(const Effect&) {}
    void carry_out(const cb::Persist& e) {
        records_.push_back(e.record);
        const auto record = cb::decode_message(e.record);
        ASSERT(record.has_value());
        if (const auto* block = std::get_if<cb::BlockMessage>(&*record))
            bodies_.insert(block->block->hash);
        if (e.sync) durable_.insert(e.record);
    }
    void carry_out(const cb::Broadcast& e) {
        if (const auto* own = std::get_if<cb::Vote>(&e.message)) said(*own);
        if (const auto* again = std::get_if<cb::Repropose>(&e.message)) said(again->vote);
        const auto* proposal = std::get_if<cb::Propose>(&e.message);
        if (!proposal) return;
        const auto seal = cb::decode_seal(proposal->block->header.extra_data);
        said({cb::VoteKind::notarize, seal->epoch, seal->view, proposal->block->hash,
              proposal->leader, proposal->signature});
    }
    void carry_out(const cb::Build& e) { build_ = e; }
    void carry_out(const cb::Execute& e) { executing_.push_back(e.block); }
    void carry_out(const cb::Diverged&) { stopped_ = true; }
    void carry_out(const cb::Finalized& e) {
        ASSERT(e.block->header.number == final_.header.number + 1);
        ASSERT(e.block->header.parent_hash == final_.hash);
        const bool own = e.certificate->block == e.block->hash;
        final_ = {e.block->header, e.block->hash,
                  final_.beacon.extended(e.block->header.prev_randao),
                  own ? e.certificate : nullptr};
    }

    void said(const cb::Vote& vote) {
        ASSERT(durable_.count(cb::encode_message(vote)) > 0);
        const auto slot = [&](cb::VoteKind kind) {
            return std::tuple{vote.epoch, vote.view, kind};
        };
        const auto [it, is_new] = votes_.emplace(slot(vote.kind), vote.block);
        ASSERT(it->second == vote.block);
        // The body came first; what was persisted before a vote is durable when the vote is.
        if (vote.kind == cb::VoteKind::finalize) ASSERT(bodies_.count(vote.block) > 0);
        if (vote.kind == cb::VoteKind::finalize)
            ASSERT(votes_.count(slot(cb::VoteKind::nullify)) == 0);
        if (vote.kind == cb::VoteKind::nullify)
            ASSERT(votes_.count(slot(cb::VoteKind::finalize)) == 0);
        if (vote.kind == cb::VoteKind::notarize && is_new)
            ASSERT(votes_.count(slot(cb::VoteKind::nullify)) == 0);
    }

    Choices in_;
    Keyring keys_;
    Sets sets_;
    cb::Params params_;
    cb::FinalPoint final_{{}, {}, consensus::BeaconTrail(1, {}), nullptr};
    std::vector<cb::BlockPtr> blocks_;
    std::unique_ptr<cb::Bft> machine_;
    std::vector<Bytes> records_;
    std::set<Bytes> durable_;
    std::set<Hash> bodies_;
    std::vector<cb::Shards> shards_;
    std::map<std::tuple<Epoch, View, cb::VoteKind>, Hash> votes_;
    std::optional<cb::Build> build_;
    std::vector<cb::BlockPtr> executing_;
    std::tuple<Epoch, View, Height> reached_;
    bool stopped_ = false;
};

}  // namespace
}  // namespace trainyard::sim

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    trainyard::sim::Session({data, size}).run();
    return 0;
}
