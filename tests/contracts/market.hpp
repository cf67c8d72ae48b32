// SPDX-License-Identifier: Apache-2.0
// The market as tests speak to it: typed calls, made-up segments with real commitments, audits from
// start to end.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "abi.hpp"
#include "chain.hpp"

#include "core/hash.hpp"

namespace trainyard::contracts {

enum class JobState { none, open, active, draining, closed };
enum class Outcome { none, complete, cancelled, expired, diverged };
enum class SegmentState {
    none,
    committed,
    l0,
    l1,
    accepted,
    final_paid,
    void_proven,
    disputed,
    convicted,
    appealed
};
enum class Verdict { none, match, mismatch };
enum class Phase { none, serve, commit, reveal, open, done };

struct JobSpec {
    uint32_t segments = 3;
    uint32_t steps = 5;
    uint32_t micro_batches = 4;
    uint64_t segment_blocks = 100;
    uint64_t deadline = 0;  ///< zero: a day from now
    Uint256 price = kCoin;
    Uint256 audit_fee = kCoin / 1000;
    uint64_t unit_work = 1'000'000;
    Address provider;
    std::string licence = "Apache-2.0";
    Hash program_id = keccak256(as_bytes("program id"));
};

struct JobView {
    Address client, provider;
    JobState state = JobState::none;
    Outcome outcome = Outcome::none;
    uint64_t tip = 0, final_segments = 0, attempt = 0, segment_deadline = 0;
    Hash tip_root;
    Uint256 escrow;
    Hash run_seed;
    uint64_t model_token = 0;
};

struct SegmentView {
    SegmentState state = SegmentState::none;
    Address provider;
    uint64_t attempt = 0;
    Hash first, last, steps_root, root, bundle_blob;
    uint64_t seed_epoch = 0, phase_deadline = 0, round = 0, diverges_at = 0;
};

/// The open challenge of a segment, if the challenger is not zero.
struct ChallengeView {
    Address challenger;
    uint64_t number = 0;
    Uint256 bond;
    bool operator==(const ChallengeView&) const = default;
};

struct UnitAt {
    uint32_t t = 0, j = 0;
    bool operator==(const UnitAt&) const = default;
};

/// The open dispute of a segment, if the challenger is not zero.
struct DisputeView {
    Address challenger;
    uint64_t turn = 0;  ///< 0 the provider's, 1 the challenger's
    uint64_t moves = 0, lost = 0, moved_at = 0;
    Uint256 bond;
    Hash state_hash;
};

/// Blocks until there is room.
struct QueueView {
    uint64_t audits = 0, replays = 0;
    bool operator==(const QueueView&) const = default;
};

/// What the DisputeMoved of a call told, if there was one.
struct Moved {
    uint64_t turn = 0;
    Bytes state;
};
[[nodiscard]] std::optional<Moved> moved_in(const Sent& sent);

/// A segment whose values are hashes of its name: right in shape, and everyone can recompute it.
class FakeSegment {
public:
    /// `story` names the run; another story is another training with other values.
    FakeSegment(const JobSpec& spec, uint32_t seg, std::string story);
    /// The same, but it starts from this state root.
    FakeSegment(const JobSpec& spec, uint32_t seg, std::string story, const Hash& first);

    /// The same units, but the gradients of a step are not their sum.
    [[nodiscard]] FakeSegment with_other_sums() const;

    /// The same units up to this step, counted from 1, which gives a NaN: it has no end.
    [[nodiscard]] FakeSegment diverging_at(uint32_t step) const;

    [[nodiscard]] Hash first() const { return first_; }
    [[nodiscard]] Hash last() const { return state_root(steps_); }
    [[nodiscard]] uint32_t diverges_at() const { return diverges_at_; }
    /// What a provider commits to, first state aside.
    [[nodiscard]] bool claims_the_same(const FakeSegment& other) const;
    [[nodiscard]] Hash steps_root() const;
    [[nodiscard]] uint32_t loss_bits() const { return tuple_loss(first_step_ + steps_ - 1); }
    [[nodiscard]] Hash unit_leaf(const UnitAt& at) const;
    [[nodiscard]] Abi opening(const UnitAt& at) const;
    [[nodiscard]] Hash digest() const;
    /// The provider's first move in a dispute.
    [[nodiscard]] Bytes show_steps() const;

private:
    [[nodiscard]] Hash value(std::string_view what, uint32_t a, uint32_t b = 0) const;
    [[nodiscard]] Hash state_root(uint32_t i) const {
        return i == 0 ? first_ : value("state", first_step_ + i);
    }
    [[nodiscard]] uint32_t tuple_loss(uint32_t t) const;
    [[nodiscard]] uint32_t unit_loss(const UnitAt& at) const;
    [[nodiscard]] std::vector<Hash> unit_leaves(uint32_t t) const;
    [[nodiscard]] Hash tuple(uint32_t t) const;
    /// S_0, x_0, W_1, x_1, ..., S_n.
    [[nodiscard]] std::vector<Hash> values() const;
    [[nodiscard]] std::vector<Hash> sequence() const;

    std::string story_, sum_ = "gradient";
    uint32_t first_step_, steps_, micro_batches_, diverges_at_ = 0;
    Hash first_;
};

/// How one auditor behaves in one round.
enum class Manners {
    honest,
    silent,      ///< neither commits nor reveals
    no_reveal,   ///< commits only
    wrong,       ///< Match with answers of its own invention; at level 1 the wrong verdict too
    lazy,        ///< at level 1: Match with a digest of its own invention
    alarm,       ///< Mismatch with the right answers
    bad_bundle,  ///< Mismatch without answers; at level 1: the job is unsound
    withheld,    ///< at level 1: what the provider committed to cannot be had
};

class Market {
public:
    /// Parameters are those of the devnet, but that level 1 replays nothing by lot, a bond is 8
    /// prices and what is accepted can be paid at once.
    explicit Market(size_t validators = 10, std::map<std::string, Uint256> overrides = {});

    [[nodiscard]] const Address& at() const { return chain.address("ComputeMarket"); }
    /// Of each call, from the first on.
    [[nodiscard]] const std::vector<std::vector<Log>>& told() const { return told_; }
    void add_provider(const Address& who, const Uint256& stake);

    // --- calls; `from` is the caller
    Sent call(const Address& from, std::string_view signature, const Abi& args,
              const Uint256& value = 0);
    Sent post(const Address& client, JobSpec spec, const Uint256& value);
    /// Posts with the quoted escrow and gives the job's number.
    uint64_t post(const Address& client, const JobSpec& spec);
    Sent take(const Address& from, uint64_t job) {
        return call(from, "take(uint256)", Abi().word(job));
    }
    Sent commit(const Address& from, uint64_t job, uint32_t seg, const FakeSegment& made);
    Sent commit_divergence(const Address& from, uint64_t job, uint32_t seg, const Hash& first,
                           uint32_t step);
    Sent simple(const Address& from, std::string_view name, uint64_t job);
    Sent on_segment(const Address& from, std::string_view name, uint64_t job, uint32_t seg);
    Sent serve(const Address& from, uint64_t job, uint32_t seg);
    Sent open(const Address& from, uint64_t job, uint32_t seg, const FakeSegment& made);
    Sent finalize(uint64_t job, uint32_t max = 8);
    Sent commit_answer(const Address& from, uint64_t job, uint32_t seg, Verdict v,
                       const std::vector<Hash>& answers);
    Sent reveal_answer(const Address& from, uint64_t job, uint32_t seg, Verdict v,
                       const std::vector<Hash>& answers);
    /// Gives `from` the money first.
    Sent challenge(const Address& from, uint64_t job, uint32_t seg, const Uint256& wei);
    Sent reclaim(uint64_t job, uint32_t seg, uint64_t attempt);
    /// As `challenge`.
    Sent dispute(const Address& from, uint64_t job, uint32_t seg, const Uint256& wei);
    Sent appeal(const Address& from, uint64_t job, uint32_t seg, const Uint256& wei);
    Sent play(const Address& from, uint64_t job, uint32_t seg, BytesView state, BytesView move);
    Sent timeout(uint64_t job, uint32_t seg);
    Sent withdraw(const Address& from) { return call(from, "withdraw()", {}); }

    // --- stories
    /// Blocks until the seed of the segment is known, then openAudit.
    void open_audit(uint64_t job, uint32_t seg);
    /// The auditors of the current round commit and reveal; silent ones make the deadlines pass.
    void run_round(uint64_t job, uint32_t seg, const FakeSegment& truth,
                   const std::map<Address, Manners>& manners = {});
    /// The pair or the committee replays `truth` and compares it with what was committed.
    void run_level1(uint64_t job, uint32_t seg, const FakeSegment& truth,
                    const std::map<Address, Manners>& manners = {});
    /// Everything from the seed to Accepted, all honest.
    void audit_honestly(uint64_t job, uint32_t seg, const FakeSegment& made);
    void pass_deadline(uint64_t job, uint32_t seg);

    // --- views
    [[nodiscard]] uint64_t open_disputes(const Address& provider);
    [[nodiscard]] JobView job(uint64_t id);
    [[nodiscard]] SegmentView segment(uint64_t job, uint32_t seg);
    [[nodiscard]] Phase phase(uint64_t job, uint32_t seg);
    [[nodiscard]] std::vector<Address> auditors(uint64_t job, uint32_t seg);
    [[nodiscard]] std::vector<UnitAt> units_of(uint64_t job, uint32_t seg, const Address& auditor);
    [[nodiscard]] std::vector<UnitAt> units_to_open(uint64_t job, uint32_t seg);
    [[nodiscard]] QueueView audit_queue();
    [[nodiscard]] uint64_t audit_wait(uint64_t job, uint32_t seg);
    [[nodiscard]] Uint256 challenge_bond(uint64_t job, uint32_t seg);
    [[nodiscard]] ChallengeView challenge_of(uint64_t job, uint32_t seg);
    [[nodiscard]] Uint256 dispute_bond(uint64_t job, uint32_t seg, const Address& by = {});
    [[nodiscard]] DisputeView dispute_of(uint64_t job, uint32_t seg);
    [[nodiscard]] Uint256 appeal_bond(uint64_t job);
    [[nodiscard]] Uint256 credit(const Address& of);
    [[nodiscard]] Uint256 quote(const JobSpec& spec);
    [[nodiscard]] Uint256 stake_of(const Address& validator);
    [[nodiscard]] Uint256 weight_of(const Address& validator, uint64_t mini_epoch);
    /// That the job holds of the provider's stake.
    [[nodiscard]] Uint256 bond_of(uint64_t job, const Address& provider);
    [[nodiscard]] uint64_t segments_of_model(uint64_t token);
    /// stake, reserved, unbonding
    [[nodiscard]] std::vector<Uint256> provider_money(const Address& provider);
    [[nodiscard]] Uint256 burned() const { return chain.balance(Address{}); }

    Chain chain;
    std::vector<Address> validators;

private:
    [[nodiscard]] Bytes view(std::string_view signature, const Abi& args);
    [[nodiscard]] std::vector<UnitAt> units(const Bytes& output) const;
    void commit_and_reveal(uint64_t job, uint32_t seg, const std::map<Address, Manners>& manners,
                           const std::map<Address, std::pair<Verdict, std::vector<Hash>>>& answers);

    std::vector<std::vector<Log>> told_;
};

[[nodiscard]] std::vector<ChainValidator> make_validators(size_t count);
[[nodiscard]] Abi encode_spec(const JobSpec& spec, uint64_t now);

}  // namespace trainyard::contracts
