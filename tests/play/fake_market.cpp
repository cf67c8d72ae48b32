// SPDX-License-Identifier: Apache-2.0
// What each call does to the ledger of the market in memory.
#include "fake_market.hpp"

#include <algorithm>
#include <utility>

#include "core/hash.hpp"
#include "node/wallet/blob.hpp"
#include "training/referee/start.hpp"
#include "training/segment.hpp"

namespace trainyard::test {
namespace {

using wallet::Answer;
using wallet::JobState;
using wallet::Phase;
using wallet::SegmentState;
using wallet::TxReceipt;
using wallet::Verdict;
namespace referee = training::referee;
using wallet::WalletErrorCode;

wallet::WalletError revert(std::string why) {
    return {WalletErrorCode::reverted, "fake: " + std::move(why)};
}

Hash answer_leaf(const wallet::UnitOpening& o) {
    return training::unit_leaf(o.t, o.j, {o.unit_loss_bits, o.unit_grad_root});
}

bool leads(const wallet::UnitOpening& o, const training::SegmentClaim& claim, uint32_t m) {
    training::UnitOpening in;
    in.t = o.t;
    in.j = o.j;
    in.unit = {o.unit_loss_bits, o.unit_grad_root};
    in.unit_path = o.unit_path;
    in.tuple.grad_root = o.grad_root;
    in.tuple.norm_bits = o.norm_bits;
    in.tuple.loss_bits = o.loss_bits;
    in.tuple.nonfinite = o.nonfinite;
    in.step_path = o.step_path;
    // The tuple's units_root is what the unit path leads to.
    Hash at = answer_leaf(o);
    size_t index = o.j, count = m, used = 0;
    for (; count > 1; index /= 2, count = (count + 1) / 2) {
        if (index % 2 == 0 && index + 1 >= count) continue;
        if (used == o.unit_path.size()) return false;
        const Hash sibling = o.unit_path[used++];
        Bytes data{1};
        append(data, index % 2 == 1 ? sibling.bytes : at.bytes);
        append(data, index % 2 == 1 ? at.bytes : sibling.bytes);
        at = sha256(data);
    }
    in.tuple.units_root = at;
    return training::verify_unit_opening(claim, m, in);
}

class FakeMarket final : public wallet::MarketApi {
public:
    FakeMarket(std::shared_ptr<FakeLedger> ledger, const Address& account)
        : l_(std::move(ledger)), self_(account) {}

    Address self() const override { return self_; }
    Answer<uint64_t> block_number() override {
        if (l_->is_away)
            return unexpected(wallet::WalletError{wallet::WalletErrorCode::unreachable, "away"});
        return locked<uint64_t>([&] { return l_->block; });
    }
    Answer<double> block_seconds() override { return 1.0; }
    Answer<uint64_t> job_count() override {
        return locked<uint64_t>([&] { return l_->jobs.size(); });
    }
    Answer<std::vector<uint64_t>> changed_jobs(uint64_t from, uint64_t to) override {
        if (!l_->tells_events)
            return unexpected(wallet::WalletError{WalletErrorCode::rpc, "too many"});
        return locked<std::vector<uint64_t>>([&] {
            std::vector<uint64_t> out;
            for (const auto& [id, block] : l_->changed_at)
                if (block >= from && block <= to) out.push_back(id);
            return out;
        });
    }
    Answer<wallet::Job> job(uint64_t id) override {
        ++l_->reads;
        if (l_->is_away)
            return unexpected(wallet::WalletError{WalletErrorCode::unreachable, "away"});
        return locked<wallet::Job>([&] { return l_->jobs[id].job; });
    }
    Answer<wallet::JobSpec> spec(uint64_t id) override {
        return locked<wallet::JobSpec>([&] { return l_->jobs[id].spec; });
    }
    Answer<wallet::Segment> segment(uint64_t id, uint32_t seg) override {
        ++l_->reads;
        return locked<wallet::Segment>([&] {
            auto& list = l_->jobs[id].segments;
            return seg < list.size() ? list[seg].segment : wallet::Segment{};
        });
    }
    Answer<std::vector<Address>> auditors(uint64_t id, uint32_t seg) override {
        return locked<std::vector<Address>>([&] {
            std::vector<Address> out;
            for (const auto& seat : book(id, seg).seats) out.push_back(seat.who);
            return out;
        });
    }
    Answer<std::vector<wallet::UnitDrawing>> units_of(uint64_t id, uint32_t seg,
                                                      const Address& who) override {
        return locked<std::vector<wallet::UnitDrawing>>([&] {
            const auto* seat = find(id, seg, who);
            return seat == nullptr ? std::vector<wallet::UnitDrawing>{} : seat->units;
        });
    }
    Answer<Hash> tile_seed(uint64_t id, uint32_t seg, const Address& who) override {
        return locked<Hash>([&] {
            const auto* seat = find(id, seg, who);
            return seat == nullptr ? Hash{} : seat->tile_seed;
        });
    }
    Answer<std::vector<wallet::UnitDrawing>> units_to_open(uint64_t id, uint32_t seg) override {
        return locked<std::vector<wallet::UnitDrawing>>([&] {
            std::vector<wallet::UnitDrawing> out;
            for (const auto& seat : book(id, seg).answered)
                out.insert(out.end(), seat.units.begin(), seat.units.end());
            return out;
        });
    }
    Answer<Phase> phase(uint64_t id, uint32_t seg) override {
        return locked<Phase>([&] { return book(id, seg).phase; });
    }
    Answer<wallet::AnswerState> answer_of(uint64_t id, uint32_t seg, const Address& who) override {
        return locked<wallet::AnswerState>([&] {
            const auto* seat = find(id, seg, who);
            return seat == nullptr
                       ? wallet::AnswerState{}
                       : wallet::AnswerState{seat->commitment, seat->verdict, seat->answers};
        });
    }
    Answer<uint64_t> audit_wait(uint64_t id, uint32_t seg) override {
        return locked<uint64_t>([&] {
            const bool waits = book(id, seg).segment.state == SegmentState::committed;
            return waits && l_->room_at > l_->block ? l_->room_at - l_->block : 0;
        });
    }
    Answer<Uint256> challenge_bond(uint64_t id, uint32_t seg) override {
        return locked<Uint256>(
            [&] { return Uint256(uint64_t{2} << book(id, seg).challenge.number); });
    }
    Answer<Uint256> challenge_bounty(uint64_t) override { return Uint256(5); }
    Answer<Uint256> dispute_bounty(uint64_t) override { return Uint256(10); }
    Answer<Uint256> dispute_bond(uint64_t id, uint32_t seg) override {
        return locked<Uint256>([&] {
            const auto& b = book(id, seg);
            return Uint256(uint64_t{2} << (is_accuser(id, seg) ? 0 : b.dispute.lost));
        });
    }
    Answer<Uint256> appeal_bond(uint64_t) override { return Uint256(2); }
    Answer<wallet::Dispute> dispute_of(uint64_t id, uint32_t seg) override {
        return locked<wallet::Dispute>([&] { return book(id, seg).dispute; });
    }
    Answer<Bytes> dispute_state(uint64_t id, uint32_t seg, const wallet::Dispute&) override {
        return locked<Bytes>([&] { return book(id, seg).dispute_state; });
    }
    Answer<wallet::Challenge> challenge_of(uint64_t id, uint32_t seg) override {
        return locked<wallet::Challenge>([&] { return book(id, seg).challenge; });
    }
    Answer<training::AuditLimits> audit_limits() override {
        return locked<training::AuditLimits>([&] { return l_->limits; });
    }
    Answer<wallet::MarketTerms> terms() override { return wallet::MarketTerms{3, 12, Uint256(8)}; }
    Answer<Uint256> bond(uint64_t) override { return Uint256(8); }
    Answer<Uint256> bond_of(uint64_t id, const Address& who) override {
        if (l_->is_away)
            return unexpected(wallet::WalletError{WalletErrorCode::unreachable, "away"});
        return locked<Uint256>([&] { return Uint256(l_->bonds[{id, who}]); });
    }
    Answer<Uint256> quote(const wallet::JobSpec&) override { return Uint256(1); }
    Answer<wallet::ProviderRecord> provider(const Address& who) override {
        return locked<wallet::ProviderRecord>([&] { return l_->providers[who]; });
    }
    Answer<Uint256> stake_minimum() override { return Uint256(1); }
    Answer<uint64_t> unstake_blocks() override { return 400; }
    Answer<Uint256> credit(const Address& who) override {
        return locked<Uint256>([&] { return l_->credits[who]; });
    }
    Answer<Uint256> gas_price() override {
        return locked<Uint256>([&] { return l_->gas_price; });
    }
    Answer<Uint256> balance(const Address& who) override {
        return locked<Uint256>([&] {
            const auto found = l_->balances.find(who);
            return Uint256(found == l_->balances.end() ? 1'000'000 : found->second);
        });
    }

    Answer<Done> check_post(const wallet::JobSpec&, const Uint256&) override { return Done{}; }
    Answer<TxReceipt> post(const wallet::JobSpec& spec, const Uint256&) override {
        return change([&](std::string&) { l_->post(spec, self_); });
    }
    Answer<TxReceipt> cancel(uint64_t id) override {
        return change_job(id, [&](std::string&) { l_->jobs[id].job.state = JobState::closed; });
    }
    Answer<TxReceipt> take(uint64_t id) override {
        if (const auto meanwhile = std::exchange(l_->before_take, nullptr)) meanwhile();
        const auto receipt = change_job(id, [&](std::string& why) {
            auto& j = l_->jobs[id];
            if (j.job.state != JobState::open || j.slashed) return void(why = "take");
            j.job.state = JobState::active;
            j.job.provider = self_;
            j.job.segment_deadline = l_->block + 100'000'000;
            l_->bonds[{id, self_}] = 8;
        });
        if (const auto then = std::exchange(l_->after_take, nullptr)) then();
        if (std::exchange(l_->loses_take, false))
            return unexpected(wallet::WalletError{WalletErrorCode::unreachable, "no receipt"});
        return receipt;
    }
    Answer<TxReceipt> release(uint64_t id) override {
        return change_job(id, [&](std::string& why) {
            auto& j = l_->jobs[id];
            if (j.job.state != JobState::active || j.job.provider != self_)
                return void(why = "release");
            j.history.push_back("released");
            l_->reopen(id);
        });
    }
    Answer<TxReceipt> commit(uint64_t id, const wallet::Commitment& c) override {
        wallet::Segment made;
        made.loss_bits = c.loss_bits;
        made.first = c.first;
        made.last = c.last;
        made.steps_root = c.steps_root;
        made.state_blob = c.state_blob;
        return append(id, c.seg, std::move(made));
    }
    Answer<TxReceipt> commit_divergence(uint64_t id, const wallet::Divergence& d) override {
        wallet::Segment made;
        made.first = d.first;
        made.diverges_at = d.step;
        return append(id, d.seg, std::move(made));
    }
    Answer<TxReceipt> serve(uint64_t id, uint32_t seg, const Hash& blob) override {
        return change_job(id, [&](std::string& why) {
            auto& b = book(id, seg);
            if (b.phase != Phase::serve) return void(why = "serve");
            b.segment.bundle_blob = blob;
            set_phase(b, Phase::commit);
        });
    }
    Answer<TxReceipt> open(uint64_t id, uint32_t seg,
                           const std::vector<wallet::UnitOpening>& openings) override {
        return change_job(id, [&](std::string& why) { open_units(id, seg, openings, why); });
    }
    Answer<TxReceipt> commit_answer(uint64_t id, uint32_t seg, const Hash& commitment) override {
        return change_job(id, [&](std::string& why) {
            auto& b = book(id, seg);
            auto* seat = find(id, seg, self_);
            if (b.phase != Phase::commit || seat == nullptr) return void(why = "commitAnswer");
            seat->commitment = commitment;
            const bool all = std::all_of(b.seats.begin(), b.seats.end(),
                                         [](const auto& s) { return !s.commitment.is_zero(); });
            if (all) set_phase(b, Phase::reveal);
        });
    }
    Answer<TxReceipt> reveal_answer(uint64_t id, uint32_t seg,
                                    const wallet::RevealedAnswer& a) override {
        return change_job(id, [&](std::string& why) { reveal(id, seg, a, why); });
    }
    Answer<TxReceipt> challenge(uint64_t id, uint32_t seg, const Uint256& bond) override {
        return change_job(id, [&](std::string& why) {
            auto& b = book(id, seg);
            if (b.segment.state != SegmentState::accepted || self_ == b.segment.provider ||
                l_->block >= b.segment.phase_deadline)
                return void(why = "challenge");
            put_up(FakeLedger::Bond::Kind::challenge, id, seg, bond);
            b.challenge = {self_, static_cast<uint8_t>(b.challenge.number + 1), bond};
            b.segment.state = SegmentState::committed;
            b.segment.round = static_cast<uint8_t>(wallet::kCommitteeRound + b.challenge.number);
            b.segment.committed_at = l_->block;  // from which its seed counts
            b.phase = Phase::none;
        });
    }
    Answer<TxReceipt> dispute(uint64_t id, uint32_t seg, const Uint256& bond) override {
        return change_job(id, [&](std::string& why) {
            auto& b = book(id, seg);
            const bool is_open = b.segment.state == SegmentState::accepted ||
                                 b.segment.state == SegmentState::appealed;
            if (!is_open || self_ == b.segment.provider || b.segment.diverges_at > 0 ||
                l_->block >= b.segment.phase_deadline)
                return void(why = "dispute");
            const auto state = referee::start(referee::encode_claim(claim_of(id, seg)));
            if (is_accuser(id, seg)) b.disputed_by.insert(self_);
            put_up(FakeLedger::Bond::Kind::dispute, id, seg, bond);
            b.dispute.challenger = self_;
            b.dispute.bond_wei = bond;
            b.dispute.moves = 0;
            b.segment.state = SegmentState::disputed;
            l_->jobs[id].history.push_back("seg " + std::to_string(seg) + " disputed");
            take_state(b, *state);
        });
    }
    Answer<TxReceipt> play(uint64_t id, uint32_t seg, BytesView state, BytesView move) override {
        return change_job(id, [&](std::string& why) {
            auto& b = book(id, seg);
            if (l_->moves_to_lose > 0) return --l_->moves_to_lose, void(why = "lost");
            const Address& mover =
                b.dispute.is_challengers ? b.dispute.challenger : b.segment.provider;
            const bool is_due = b.segment.state == SegmentState::disputed && self_ == mover &&
                                l_->block <= b.segment.phase_deadline &&
                                keccak256(state) == b.dispute.state_hash;
            if (!is_due) return void(why = "play");
            const auto next = referee::play(*referee::decode_state(state), move);
            if (!next) return void(why = std::string(referee::to_text(next.error())));
            ++b.dispute.moves;
            referee::turn_of(next->phase) == referee::Turn::nobody ? lose_dispute(id, seg)
                                                                   : take_state(b, *next);
        });
    }
    Answer<TxReceipt> appeal(uint64_t id, uint32_t seg, const Uint256& bond) override {
        return change_job(id, [&](std::string& why) {
            auto& b = book(id, seg);
            if (b.segment.state != SegmentState::convicted || self_ != b.segment.provider ||
                l_->block > b.segment.phase_deadline)
                return void(why = "appeal");
            put_up(FakeLedger::Bond::Kind::appeal, id, seg, bond);
            b.is_appealed = true;
            l_->jobs[id].history.push_back("seg " + std::to_string(seg) + " appealed");
            wait_for_disputes(b);
        });
    }
    Answer<TxReceipt> reclaim(uint64_t id, uint32_t seg, uint32_t attempt) override {
        return change_job(id, [&](std::string& why) {
            const auto& j = l_->jobs[id];
            if (seg < j.job.tip && j.segments[seg].segment.attempt == attempt)
                return void(why = "WrongState");
            const auto is_due = [&](const FakeLedger::Bond& bond) {
                return bond.job == id && bond.seg == seg && bond.attempt == attempt;
            };
            for (const auto& bond : l_->put_up)
                if (is_due(bond)) l_->credits[bond.who] += bond.wei;
            if (std::erase_if(l_->put_up, is_due) == 0) why = "NothingDue";
        });
    }
    Answer<TxReceipt> register_provider(std::string_view name, std::string_view endpoint,
                                        const Uint256& stake) override {
        return change([&](std::string&) {
            auto& record = l_->providers[self_];
            record.registered = true;
            record.name = name, record.endpoint = endpoint;
            record.stake_wei += stake, record.free_wei += stake;
        });
    }
    Answer<TxReceipt> add_stake(const Uint256& stake) override {
        return change([&](std::string&) {
            l_->providers[self_].stake_wei += stake;
            l_->providers[self_].free_wei += stake;
        });
    }
    Answer<TxReceipt> request_unstake(const Uint256& stake) override {
        return change([&](std::string&) {
            auto& record = l_->providers[self_];
            record.stake_wei -= stake, record.free_wei -= stake, record.leaving_wei += stake;
        });
    }
    Answer<TxReceipt> withdraw_stake() override {
        return change([&](std::string&) { l_->providers[self_].leaving_wei = {}; });
    }
    Answer<TxReceipt> withdraw() override {
        return change([&](std::string& why) {
            if (l_->credits[self_].is_zero()) return void(why = "NothingDue");
            l_->withdrawn[self_] += std::exchange(l_->credits[self_], Uint256{});
        });
    }

    Answer<TxReceipt> nudge(Nudge what, uint64_t id, uint32_t seg) override {
        return change_job(id, [&](std::string& why) { why = try_nudge(what, id, seg, true); });
    }
    Answer<bool> can_nudge(Nudge what, uint64_t id, uint32_t seg) override {
        return locked<bool>([&] { return try_nudge(what, id, seg, false).empty(); });
    }
    Answer<Hash> put_blob(BytesView content) override {
        return locked<Hash>([&] {
            const Hash id = wallet::blob_id(content);
            l_->blobs[id] = Bytes(content.begin(), content.end());
            l_->owners.erase(id);
            return id;
        });
    }
    Answer<Hash> keep_blob(BytesView content) override {
        return locked<Hash>([&] {
            ++l_->uploads;
            const Hash id = wallet::blob_id(content);
            const bool is_new = l_->blobs.emplace(id, Bytes(content.begin(), content.end())).second;
            if (is_new || l_->owners.contains(id)) l_->owners[id].insert(self_);
            return id;
        });
    }
    /// Gone at once, where a node keeps it until it needs the room.
    Answer<Done> release_blob(const Hash& id) override {
        return locked<Done>([&] {
            const auto kept = l_->owners.find(id);
            if (kept != l_->owners.end() && kept->second.erase(self_) && kept->second.empty()) {
                l_->owners.erase(kept);
                l_->blobs.erase(id);
            }
            return Done{};
        });
    }
    Answer<Bytes> get_blob(const Hash& id, uint64_t size_bytes_max) override {
        const std::lock_guard lock(l_->mutex);
        if (l_->is_away)
            return unexpected(wallet::WalletError{WalletErrorCode::unreachable, "no node"});
        const auto found = l_->blobs.find(id);
        if (found == l_->blobs.end()) {
            l_->block += l_->wait_blocks;
            return unexpected(wallet::WalletError{WalletErrorCode::not_found, "no such blob"});
        }
        if (found->second.size() > size_bytes_max)
            return unexpected(wallet::WalletError{WalletErrorCode::too_large, "too large"});
        ++l_->blob_reads[id];
        return found->second;
    }
    Answer<wallet::BlobPlace> seek_blob(const Hash& id) override {
        const std::lock_guard lock(l_->mutex);
        if (l_->is_away)
            return unexpected(wallet::WalletError{WalletErrorCode::unreachable, "no node"});
        if (l_->blobs.contains(id)) return wallet::BlobPlace::here;
        return l_->seeks_long ? wallet::BlobPlace::sought : wallet::BlobPlace::absent;
    }

private:
    template <class T, class F>
    Answer<T> locked(F read) {
        const std::lock_guard lock(l_->mutex);
        return T(read());
    }
    template <class F>
    Answer<TxReceipt> change_job(uint64_t id, F apply) {
        const std::lock_guard lock(l_->mutex);
        auto receipt = change(apply);
        if (receipt) l_->changed_at[id] = receipt->block + 1;  // the head that first has it
        return receipt;
    }
    template <class F>
    Answer<TxReceipt> change(F apply) {
        const std::lock_guard lock(l_->mutex);
        if (l_->is_away)
            return unexpected(wallet::WalletError{WalletErrorCode::unreachable, "away"});
        ++l_->calls;
        std::string why;
        apply(why);
        if (!why.empty()) return unexpected(revert(why));
        return TxReceipt{{}, l_->block++, true, 0, {}, {}, {}};
    }

    Answer<TxReceipt> append(uint64_t id, uint32_t seg, wallet::Segment made) {
        if (l_->refuses_commits) {
            ++l_->calls;
            return unexpected(wallet::WalletError{WalletErrorCode::rpc, "insufficient funds"});
        }
        auto receipt = change_job(id, [&](std::string& why) {
            auto& j = l_->jobs[id];
            if (j.job.provider != self_ || seg != j.job.tip) return void(why = "commit");
            if (seg > 0 && made.first != j.job.tip_root) return void(why = "first");
            if (l_->now_s > j.spec.deadline_s) return void(why = "TooLate");
            if (made.diverges_at > j.spec.steps_per_segment) return void(why = "step");
            made.state = SegmentState::committed;
            made.provider = self_;
            made.attempt = j.job.attempt;
            made.committed_at = l_->block;
            j.job.tip = seg + 1;
            j.job.tip_root = made.last;
            if (made.diverges_at > 0) j.job.outcome = wallet::Outcome::diverged;
            if (made.diverges_at > 0 || j.job.tip == j.spec.segments)
                j.job.state = JobState::draining;
            j.segments.resize(seg);
            j.segments.emplace_back().segment = std::move(made);
        });
        if (l_->loses_receipts)
            return unexpected(wallet::WalletError{WalletErrorCode::unreachable, "no receipt"});
        return receipt;
    }

    FakeLedger::SegmentBook& book(uint64_t id, uint32_t seg) { return l_->jobs[id].segments[seg]; }
    void put_up(FakeLedger::Bond::Kind kind, uint64_t id, uint32_t seg, const Uint256& wei) {
        l_->put_up.push_back({kind, id, seg, book(id, seg).segment.attempt, self_, wei});
    }
    FakeLedger::Seat* find(uint64_t id, uint32_t seg, const Address& who) {
        for (auto& seat : book(id, seg).seats)
            if (seat.who == who) return &seat;
        return nullptr;
    }
    void set_phase(FakeLedger::SegmentBook& b, Phase phase) {
        b.phase = phase;
        b.segment.phase_deadline = l_->block + l_->phase_blocks;
    }

    void seat_auditors(uint64_t id, uint32_t seg, size_t count) {
        auto& b = book(id, seg);
        const auto& spec = l_->jobs[id].spec;
        b.seats.clear();
        for (size_t k = 0; k < std::min(count, l_->validators.size()); ++k) {
            FakeLedger::Seat seat;
            seat.who = l_->validators[(k + seg) % l_->validators.size()];
            seat.tile_seed = l_->random("tile", seg, k);
            std::set<uint64_t> drawn;
            const uint64_t all = uint64_t{spec.steps_per_segment} * spec.micro_batches;
            for (uint64_t i = 0; drawn.size() < std::min<uint64_t>(l_->units, all); ++i)
                drawn.insert(from_hash(l_->random("unit", seg * 1000 + k, i)).low() % all);
            for (const auto at : drawn)
                seat.units.push_back(
                    {static_cast<uint32_t>(seg * spec.steps_per_segment + at / spec.micro_batches),
                     static_cast<uint32_t>(at % spec.micro_batches)});
            b.seats.push_back(std::move(seat));
        }
    }

    void start_level1(uint64_t id, uint32_t seg, uint8_t round = wallet::kCommitteeRound) {
        auto& b = book(id, seg);
        b.segment.state = SegmentState::l1;
        b.segment.round = round;
        seat_auditors(id, seg, round == wallet::kPairRound ? 2 : l_->validators.size());
        l_->jobs[id].replays += b.seats.size();
        set_phase(b, Phase::commit);
    }

    /// The pair clears with two equal matches, the committee decides by its majority.
    void end_level1(uint64_t id, uint32_t seg, size_t mismatches) {
        const auto& b = book(id, seg);
        if (b.segment.round != wallet::kPairRound)
            return 2 * mismatches > b.seats.size() ? convict(id, seg) : accept(id, seg);
        const bool agree = b.seats.front().answers == b.seats.back().answers;
        mismatches == 0 && agree ? accept(id, seg) : start_level1(id, seg);
    }

    [[nodiscard]] referee::Claim claim_of(uint64_t id, uint32_t seg) {
        const auto& j = l_->jobs[id];
        const auto& s = book(id, seg).segment;
        return {j.spec.program_id,
                j.job.run_seed,
                j.spec.micro_batches,
                s.loss_bits,
                {seg * j.spec.steps_per_segment, j.spec.steps_per_segment, s.first, s.last,
                 s.steps_root}};
    }
    /// Called it wrong, and has not disputed the appeal against that.
    [[nodiscard]] bool is_accuser(uint64_t id, uint32_t seg) {
        const auto& b = book(id, seg);
        const auto* seat = find(id, seg, self_);
        return b.is_appealed && seat != nullptr && seat->verdict == Verdict::mismatch &&
               !b.disputed_by.contains(self_);
    }
    void take_state(FakeLedger::SegmentBook& b, const referee::State& state) {
        b.dispute_state = referee::encode_state(state);
        b.dispute.state_hash = keccak256(b.dispute_state);
        b.dispute.is_challengers = referee::turn_of(state.phase) == referee::Turn::challenger;
        b.dispute.moved_at = l_->block;
        b.segment.phase_deadline = l_->block + l_->move_blocks;
    }
    void lose_dispute(uint64_t id, uint32_t seg) {
        auto& b = book(id, seg);
        std::erase_if(l_->put_up, [&](const FakeLedger::Bond& bond) {
            return bond.kind == FakeLedger::Bond::Kind::dispute && bond.job == id &&
                   bond.seg == seg && bond.attempt == b.segment.attempt;
        });
        ++b.dispute.lost;
        b.dispute.challenger = {};
        l_->jobs[id].history.push_back("seg " + std::to_string(seg) + " dispute lost");
        b.is_appealed ? wait_for_disputes(b) : accept(id, seg);
    }
    void wait_for_disputes(FakeLedger::SegmentBook& b) {
        b.segment.state = SegmentState::appealed;
        b.segment.phase_deadline = l_->block + 2 * l_->window_blocks;
    }
    /// Without a window nobody can appeal, and never where no referee could judge.
    void convict(uint64_t id, uint32_t seg) {
        auto& b = book(id, seg);
        if (b.segment.diverges_at > 0) return l_->refute(id, seg);
        if (l_->window_blocks == 0) return l_->make_void(id, seg);
        b.segment.state = SegmentState::convicted;
        b.phase = Phase::done;
        b.segment.phase_deadline = l_->block + l_->window_blocks;
        l_->jobs[id].history.push_back("seg " + std::to_string(seg) + " convicted");
    }

    void accept(uint64_t id, uint32_t seg) {
        l_->decide(id, seg);
        book(id, seg).challenge.challenger = {};
        book(id, seg).segment.state = SegmentState::accepted;
        set_phase(book(id, seg), Phase::done);
        book(id, seg).segment.phase_deadline = l_->block + l_->window_blocks;
        l_->jobs[id].history.push_back("seg " + std::to_string(seg) + " accepted");
    }

    void reveal(uint64_t id, uint32_t seg, const wallet::RevealedAnswer& a, std::string& why) {
        auto& b = book(id, seg);
        auto* seat = find(id, seg, self_);
        const Hash expected =
            wallet::answer_commitment({Uint256(id), seg, b.segment.attempt, b.segment.state,
                                       b.segment.round, self_, a.verdict, a.answers, a.salt});
        if (b.phase != Phase::reveal || seat == nullptr || seat->commitment != expected)
            return void(why = "revealAnswer");
        seat->verdict = a.verdict;
        seat->answers = a.answers;
        const bool all = std::all_of(b.seats.begin(), b.seats.end(),
                                     [](const auto& s) { return s.verdict != Verdict::none; });
        if (!all) return;
        const auto mismatches = std::count_if(b.seats.begin(), b.seats.end(), [](const auto& s) {
            return s.verdict == Verdict::mismatch;
        });
        if (b.segment.state == SegmentState::l1)
            return end_level1(id, seg, static_cast<size_t>(mismatches));
        b.answered = b.seats;
        if (mismatches > 0) return start_level1(id, seg);
        set_phase(b, Phase::open);
    }

    void open_units(uint64_t id, uint32_t seg, const std::vector<wallet::UnitOpening>& openings,
                    std::string& why) {
        auto& b = book(id, seg);
        const auto& spec = l_->jobs[id].spec;
        if (b.phase != Phase::open) return void(why = "open");
        const training::SegmentClaim claim{seg * spec.steps_per_segment, spec.steps_per_segment,
                                           b.segment.first, b.segment.last, b.segment.steps_root};
        size_t next = 0;
        bool differs = false;
        for (const auto& seat : b.answered)
            for (size_t i = 0; i < seat.units.size(); ++i, ++next) {
                if (next >= openings.size()) return void(why = "too few openings");
                const auto& o = openings[next];
                if (o.t != seat.units[i].t || o.j != seat.units[i].j)
                    return void(why = "another unit");
                if (!leads(o, claim, spec.micro_batches)) return void(why = "opening");
                differs |= answer_leaf(o) != seat.answers[i];
            }
        if (differs) return start_level1(id, seg);
        l_->draws_lots ? start_level1(id, seg, wallet::kPairRound) : accept(id, seg);
    }

    std::string try_nudge(Nudge what, uint64_t id, uint32_t seg, bool apply) {
        auto& j = l_->jobs[id];
        if (what == Nudge::open_audit) {
            auto& b = book(id, seg);
            if (b.segment.state != SegmentState::committed) return "WrongState";
            if (l_->block < b.segment.committed_at + l_->seed_delay_blocks) return "NotYet";
            if (l_->block < l_->room_at) return "AuditorsBusy";
            if (!apply) return "";
            if (wallet::is_challenged(b.segment)) return start_level1(id, seg, b.segment.round), "";
            if (b.segment.diverges_at > 0) return start_level1(id, seg, wallet::kPairRound), "";
            b.segment.state = SegmentState::l0;
            seat_auditors(id, seg, l_->auditors);
            set_phase(b, Phase::serve);
            return "";
        }
        if (what == Nudge::advance) {
            auto& b = book(id, seg);
            if (l_->block <= b.segment.phase_deadline) return "NotYet";
            if (!apply) return "";
            if (b.segment.state == SegmentState::convicted) return l_->make_void(id, seg), "";
            if (b.segment.state == SegmentState::appealed) {
                accept(id, seg);
                b.segment.phase_deadline = l_->block;
                return "";
            }
            if (b.phase == Phase::serve || b.phase == Phase::open) start_level1(id, seg);
            return "";
        }
        if (what == Nudge::timeout) {
            auto& b = book(id, seg);
            if (b.segment.state != SegmentState::disputed) return "WrongState";
            if (l_->block <= b.segment.phase_deadline) return "NotYet";
            if (!apply) return "";
            b.dispute.is_challengers ? lose_dispute(id, seg) : l_->make_void(id, seg);
            return "";
        }
        if (what == Nudge::finalize) {
            if (seg != j.job.final_segments || seg >= j.segments.size() ||
                j.segments[seg].segment.state != SegmentState::accepted ||
                l_->block < j.segments[seg].segment.phase_deadline)
                return "NotYet";
            if (apply) j.segments[seg].segment.state = SegmentState::final_;
            if (apply) ++j.job.final_segments;
            return "";
        }
        if (what == Nudge::expire) {
            if (j.job.state != JobState::active || l_->now_s <= j.spec.deadline_s) return "NotYet";
            if (apply) j.job.state = JobState::draining;
            return "";
        }
        if (what == Nudge::close) {
            if (j.job.state != JobState::draining || j.job.final_segments != j.job.tip)
                return "NotYet";
            if (apply) j.job.state = JobState::closed;
            if (apply && j.job.outcome == wallet::Outcome::none)
                j.job.outcome = wallet::Outcome::complete;
            return "";
        }
        if (what == Nudge::free_bond) {
            if (l_->bonds[{id, self_}] == 0) return "NothingDue";
            const bool is_held = l_->held_bonds.contains({id, self_});
            if (apply && (!is_held || j.job.state == JobState::closed)) l_->bonds[{id, self_}] = 0;
            return "";
        }
        return "NothingDue";
    }

    std::shared_ptr<FakeLedger> l_;
    Address self_;
};

}  // namespace

std::unique_ptr<wallet::MarketApi> fake_market(std::shared_ptr<FakeLedger> ledger,
                                               const Address& account) {
    return std::make_unique<FakeMarket>(std::move(ledger), account);
}

}  // namespace trainyard::test
