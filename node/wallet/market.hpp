// SPDX-License-Identifier: Apache-2.0
// The compute market and the provider registry as typed calls: genesis/contracts/interfaces.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/uint256.hpp"
#include "node/wallet/eth_client.hpp"
#include "node/wallet/tx_sender.hpp"
#include "training/audit_limits.hpp"

namespace trainyard::node::wallet {

/// System contracts stand at fixed addresses: docs/spec/genesis.md.
[[nodiscard]] constexpr Address system_address(uint16_t number) {
    Address out;
    out.bytes[18] = static_cast<uint8_t>(number >> 8);
    out.bytes[19] = static_cast<uint8_t>(number);
    return out;
}
inline constexpr Address kBeacon = system_address(0x0b00);
inline constexpr Address kStaking = system_address(0x0b01);
inline constexpr Address kProviders = system_address(0x0b02);
inline constexpr Address kMarket = system_address(0x0b03);
inline constexpr Address kModels = system_address(0x0b04);

enum class JobState : uint8_t { none, open, active, draining, closed };
enum class Outcome : uint8_t {
    none,
    complete,
    cancelled,
    expired,
    diverged,  ///< the last segment claims that it has no end
};
enum class SegmentState : uint8_t {
    none,
    committed,
    l0,
    l1,
    accepted,
    final_,
    void_,
    disputed,   ///< before the referee
    convicted,  ///< void unless its provider appeals
    appealed,   ///< right unless somebody disputes it
};
enum class Verdict : uint8_t { none, match, mismatch };
/// Rounds of level 1: two drawn by lot; after any alarm all seven; seven others in round 1 + c
/// after challenge c.
inline constexpr uint8_t kPairRound = 0, kCommitteeRound = 1;
/// Digests of a replay that found none: the job is not what it names; what the provider committed
/// to is not there.
inline constexpr Hash kUnsound{};
inline constexpr Hash kWithheld = [] {
    Hash one;
    one.bytes[31] = 1;
    return one;
}();
/// What an audit waits for: the bundle, commitments, reveals, the provider's openings.
enum class Phase : uint8_t { none, serve, commit, reveal, open, done };
[[nodiscard]] std::string_view to_text(JobState state);
[[nodiscard]] std::string_view to_text(Outcome outcome);
[[nodiscard]] std::string_view to_text(SegmentState state);

struct JobSpec {
    Hash program, program_id, data, client_seed;
    uint32_t segments = 0, steps_per_segment = 0, micro_batches = 0;
    uint64_t segment_blocks = 0;
    uint64_t deadline_s = 0;  ///< unix time
    Uint256 price_wei, audit_fee_wei;
    uint64_t unit_work = 0;  ///< multiply-adds of a unit: training::audit_unit_work
    Address provider;        ///< zero: any
    std::string licence;
    bool operator==(const JobSpec&) const = default;
};

struct Job {
    Address client, provider;
    JobState state = JobState::none;
    Outcome outcome = Outcome::none;
    uint32_t tip = 0, final_segments = 0, attempt = 0;
    uint64_t segment_deadline = 0;  ///< block
    Hash tip_root;
    Uint256 escrow_wei;
    Hash run_seed;
    Uint256 model_token;  ///< token id + 1, or zero
    bool operator==(const Job&) const = default;
};

/// Final segments that the model is made of: one that diverges leaves none behind.
[[nodiscard]] constexpr uint32_t trained_segments(const Job& job) {
    const bool is_last_without_end =
        job.outcome == Outcome::diverged && job.final_segments > 0 && job.final_segments == job.tip;
    return job.final_segments - (is_last_without_end ? 1 : 0);
}

struct Segment {
    SegmentState state = SegmentState::none;
    Address provider;
    uint32_t attempt = 0, loss_bits = 0;
    Hash first, last, steps_root, root, state_blob, bundle_blob;
    uint64_t committed_at = 0, seed_epoch = 0, phase_deadline = 0;
    uint8_t round = 0;         ///< at level 1: kPairRound, kCommitteeRound or that of a challenge
    uint32_t diverges_at = 0;  ///< number, from 1, of its step without a result; 0: it has an end
    bool operator==(const Segment&) const = default;
};
/// A challenge waits for its committee, or the committee is at work.
[[nodiscard]] constexpr bool is_challenged(const Segment& segment) {
    return segment.round > kCommitteeRound &&
           (segment.state == SegmentState::committed || segment.state == SegmentState::l1);
}

/// The open challenge of a segment.
struct Challenge {
    Address challenger;  ///< zero: none is open
    uint8_t number = 0;  ///< challenges of the segment's attempt so far
    Uint256 bond_wei;
    bool operator==(const Challenge&) const = default;
};

/// The open dispute of a segment. Its clock is the segment's phase_deadline.
struct Dispute {
    Address challenger;           ///< zero: none is open
    bool is_challengers = false;  ///< the turn is the challenger's, else the provider's
    uint8_t moves = 0;            ///< so far
    uint8_t lost = 0;             ///< disputes of the segment's attempt that a challenger lost
    uint64_t moved_at = 0;        ///< block of the last move
    Uint256 bond_wei;
    Hash state_hash;  ///< of the referee's state
    bool operator==(const Dispute&) const = default;
};

struct UnitDrawing {
    uint32_t t = 0, j = 0;
    bool operator==(const UnitDrawing&) const = default;
};

/// The wire form of an opening; training/segment.hpp has the meaning.
struct UnitOpening {
    uint32_t t = 0, j = 0, unit_loss_bits = 0;
    Hash unit_grad_root;
    std::vector<Hash> unit_path;
    Hash grad_root;
    uint32_t norm_bits = 0, loss_bits = 0;
    uint8_t nonfinite = 0;
    std::vector<Hash> step_path;
    bool operator==(const UnitOpening&) const = default;
};

struct Commitment {
    uint32_t seg = 0;
    Hash first, last, steps_root;
    uint32_t loss_bits = 0;
    Hash state_blob;
};

/// Instead of a Commitment, where a step gives an Inf or a NaN.
struct Divergence {
    uint32_t seg = 0;
    Hash first;
    uint32_t step = 0;  ///< in the segment, from 1
};

struct AnswerState {
    Hash commitment;  ///< zero: not committed yet
    Verdict verdict = Verdict::none;
    std::vector<Hash> answers;  ///< as they were revealed
    bool operator==(const AnswerState&) const = default;
};

/// What an auditor binds itself to; keccak256(abi.encode(...)) as in IComputeMarket.commitAnswer.
struct AnswerPreimage {
    Uint256 job;
    uint32_t seg = 0, attempt = 0;
    SegmentState level = SegmentState::l0;
    uint8_t round = 0;
    Address auditor;
    Verdict verdict = Verdict::none;
    std::vector<Hash> answers;
    Hash salt;
};
[[nodiscard]] Hash answer_commitment(const AnswerPreimage& preimage);

struct RevealedAnswer {
    Verdict verdict = Verdict::none;
    std::vector<Hash> answers;
    Hash salt;
};

/// What the market's parameters mean for the price of a job.
struct MarketTerms {
    uint32_t first_auditors = 0;  ///< of every segment
    uint32_t seats = 0;           ///< auditors of a segment that the escrow pays, at most
    Uint256 bond_factor;          ///< a provider's bond in prices of a segment
    bool operator==(const MarketTerms&) const = default;
};

struct ProviderRecord {
    bool registered = false;
    std::string name;
    std::string endpoint;
    Uint256 stake_wei;    ///< with what is reserved
    Uint256 free_wei;     ///< what further bonds may reserve
    Uint256 leaving_wei;  ///< no stake any more, to be withdrawn from release_block on
    uint64_t release_block = 0;
};

/// The chain as jobs see it: reads at the latest block, and calls that send a transaction and wait
/// for its receipt. A fake of it stands in tests for a whole network.
class MarketApi {
public:
    virtual ~MarketApi() = default;
    [[nodiscard]] virtual Address self() const = 0;
    [[nodiscard]] virtual Answer<uint64_t> block_number() = 0;
    /// Seconds between two blocks, over the last hundred or so; 0 on a chain too young to say.
    [[nodiscard]] virtual Answer<double> block_seconds() = 0;

    [[nodiscard]] virtual Answer<uint64_t> job_count() = 0;
    /// Jobs that events of these blocks name; perhaps others too.
    [[nodiscard]] virtual Answer<std::vector<uint64_t>> changed_jobs(uint64_t from_block,
                                                                     uint64_t to_block) = 0;
    [[nodiscard]] virtual Answer<Job> job(uint64_t id) = 0;
    [[nodiscard]] virtual Answer<JobSpec> spec(uint64_t id) = 0;
    [[nodiscard]] virtual Answer<Segment> segment(uint64_t id, uint32_t seg) = 0;
    [[nodiscard]] virtual Answer<std::vector<Address>> auditors(uint64_t id, uint32_t seg) = 0;
    [[nodiscard]] virtual Answer<std::vector<UnitDrawing>> units_of(uint64_t id, uint32_t seg,
                                                                    const Address& auditor) = 0;
    [[nodiscard]] virtual Answer<Hash> tile_seed(uint64_t id, uint32_t seg,
                                                 const Address& auditor) = 0;
    /// What `open` must show: the units of all auditors that answered at level 0.
    [[nodiscard]] virtual Answer<std::vector<UnitDrawing>> units_to_open(uint64_t id,
                                                                         uint32_t seg) = 0;
    [[nodiscard]] virtual Answer<Phase> phase(uint64_t id, uint32_t seg) = 0;
    [[nodiscard]] virtual Answer<AnswerState> answer_of(uint64_t id, uint32_t seg,
                                                        const Address& auditor) = 0;
    /// Blocks until auditors have room for what a committed segment waits for, if nobody else takes
    /// it; 0 for others.
    [[nodiscard]] virtual Answer<uint64_t> audit_wait(uint64_t id, uint32_t seg) = 0;
    /// Wei to send with the segment's next challenge.
    [[nodiscard]] virtual Answer<Uint256> challenge_bond(uint64_t id, uint32_t seg) = 0;
    [[nodiscard]] virtual Answer<Challenge> challenge_of(uint64_t id, uint32_t seg) = 0;
    /// Wei to send with the segment's next dispute by this account, and with an appeal. More than
    /// appeal_bond says that disputes were lost, and whoever convicted it then that it lost one.
    [[nodiscard]] virtual Answer<Uint256> dispute_bond(uint64_t id, uint32_t seg) = 0;
    [[nodiscard]] virtual Answer<Uint256> appeal_bond(uint64_t id) = 0;
    [[nodiscard]] virtual Answer<Dispute> dispute_of(uint64_t id, uint32_t seg) = 0;
    /// The referee's state that the next move must be handed in with; the chain keeps its hash.
    /// Error not_found: no event of the dispute's block tells it.
    [[nodiscard]] virtual Answer<Bytes> dispute_state(uint64_t id, uint32_t seg,
                                                      const Dispute& dispute) = 0;
    /// What every auditor of the chain can do.
    [[nodiscard]] virtual Answer<training::AuditLimits> audit_limits() = 0;
    [[nodiscard]] virtual Answer<MarketTerms> terms() = 0;
    /// What `take` would reserve, in wei.
    [[nodiscard]] virtual Answer<Uint256> bond(uint64_t id) = 0;
    /// What the job still holds of a provider's stake.
    [[nodiscard]] virtual Answer<Uint256> bond_of(uint64_t id, const Address& who) = 0;
    /// What a won challenge brings besides its bond, where the whole of such a bond is slashed.
    [[nodiscard]] virtual Answer<Uint256> challenge_bounty(uint64_t id) = 0;
    /// The same for a won dispute; half of it where the segment was appealed.
    [[nodiscard]] virtual Answer<Uint256> dispute_bounty(uint64_t id) = 0;
    /// Wei to send with `post`; what is not spent is refunded.
    [[nodiscard]] virtual Answer<Uint256> quote(const JobSpec& spec) = 0;
    [[nodiscard]] virtual Answer<ProviderRecord> provider(const Address& who) = 0;
    [[nodiscard]] virtual Answer<Uint256> stake_minimum() = 0;    ///< to join as a provider
    [[nodiscard]] virtual Answer<uint64_t> unstake_blocks() = 0;  ///< that stake waits to leave
    [[nodiscard]] virtual Answer<Uint256> credit(const Address& who) = 0;
    [[nodiscard]] virtual Answer<Uint256> balance(const Address& who) = 0;
    /// Wei for one gas in the next block.
    [[nodiscard]] virtual Answer<Uint256> gas_price() = 0;

    /// Nothing, or why `post` would be refused now; nothing is sent.
    virtual Answer<Done> check_post(const JobSpec& spec, const Uint256& escrow_wei) = 0;
    virtual Answer<TxReceipt> post(const JobSpec& spec, const Uint256& escrow_wei) = 0;
    virtual Answer<TxReceipt> cancel(uint64_t id) = 0;
    virtual Answer<TxReceipt> take(uint64_t id) = 0;
    /// Gives back a job that this account has taken, for half the fine of a missed deadline.
    virtual Answer<TxReceipt> release(uint64_t id) = 0;
    virtual Answer<TxReceipt> commit(uint64_t id, const Commitment& commitment) = 0;
    virtual Answer<TxReceipt> commit_divergence(uint64_t id, const Divergence& divergence) = 0;
    virtual Answer<TxReceipt> serve(uint64_t id, uint32_t seg, const Hash& bundle_blob) = 0;
    virtual Answer<TxReceipt> open(uint64_t id, uint32_t seg,
                                   const std::vector<UnitOpening>& openings) = 0;
    virtual Answer<TxReceipt> commit_answer(uint64_t id, uint32_t seg, const Hash& commitment) = 0;
    virtual Answer<TxReceipt> reveal_answer(uint64_t id, uint32_t seg,
                                            const RevealedAnswer& answer) = 0;
    /// Sends an accepted segment to a fresh committee. `bond_wei` is at least challenge_bond.
    virtual Answer<TxReceipt> challenge(uint64_t id, uint32_t seg, const Uint256& bond_wei) = 0;
    /// Calls the referee on an accepted or appealed segment. `bond_wei` is at least dispute_bond.
    virtual Answer<TxReceipt> dispute(uint64_t id, uint32_t seg, const Uint256& bond_wei) = 0;
    /// A move of this account in a dispute, with the state it is made in.
    virtual Answer<TxReceipt> play(uint64_t id, uint32_t seg, BytesView state, BytesView move) = 0;
    /// Stands by a convicted segment of this account. `bond_wei` is at least appeal_bond.
    virtual Answer<TxReceipt> appeal(uint64_t id, uint32_t seg, const Uint256& bond_wei) = 0;
    /// Bonds of a challenge, dispute or appeal whose segment fell with an earlier one, for those
    /// who put them up.
    virtual Answer<TxReceipt> reclaim(uint64_t id, uint32_t seg, uint32_t attempt) = 0;
    virtual Answer<TxReceipt> register_provider(std::string_view name, std::string_view endpoint,
                                                const Uint256& stake_wei) = 0;
    virtual Answer<TxReceipt> add_stake(const Uint256& stake_wei) = 0;
    /// Free stake leaves after a delay, which begins anew for what is leaving already.
    virtual Answer<TxReceipt> request_unstake(const Uint256& stake_wei) = 0;
    virtual Answer<TxReceipt> withdraw_stake() = 0;
    /// All credit of this account.
    virtual Answer<TxReceipt> withdraw() = 0;

    /// Calls that anyone may make. Error reverted when the time has not come.
    /// free_bond concerns this account's own bond.
    enum class Nudge : uint8_t {
        open_audit,
        advance,
        timeout,
        finalize,
        evict,
        expire,
        close,
        free_bond
    };
    virtual Answer<TxReceipt> nudge(Nudge what, uint64_t id, uint32_t seg) = 0;
    /// True if the nudge would succeed at the latest block; sends nothing.
    [[nodiscard]] virtual Answer<bool> can_nudge(Nudge what, uint64_t id, uint32_t seg) = 0;

    /// What became of the fees of what was sent.
    [[nodiscard]] virtual SenderStatus sending() const { return {}; }
    /// Makes calls in progress and later ones fail soon; for shutting down from another thread.
    virtual void close() {}

    /// Stored for good.
    [[nodiscard]] virtual Answer<Hash> put_blob(BytesView content) = 0;
    /// Stored until this account releases it; nothing happens to what others keep as well.
    [[nodiscard]] virtual Answer<Hash> keep_blob(BytesView content) = 0;
    virtual Answer<Done> release_blob(const Hash& id) = 0;
    [[nodiscard]] virtual Answer<Bytes> get_blob(const Hash& id, uint64_t size_bytes_max) = 0;
    /// Lets the node look for a blob, and does not wait, as `get_blob` does for one that is not
    /// here.
    [[nodiscard]] virtual Answer<BlobPlace> seek_blob(const Hash& id) = 0;
};

/// The real one: a node's RPC and an account's key.
[[nodiscard]] Answer<std::unique_ptr<MarketApi>> open_market(std::string_view url,
                                                             const SecretKey& key,
                                                             SenderOptions sending = {});

/// Operators of the validators, in the order of the staking contract.
[[nodiscard]] Answer<std::vector<Address>> validator_accounts(EthClient& client);

/// Events of the market, decoded; `job` and `seg` are the indexed arguments.
struct MarketEvent {
    std::string name;  ///< "SegmentVoid"
    uint64_t job = 0;
    std::optional<uint32_t> seg;
    std::optional<Address> who;  ///< provider, auditor or challenger, where the event indexes one
    Bytes data;                  ///< the other arguments, ABI-encoded
    uint64_t block = 0;
    Hash tx;
};
[[nodiscard]] std::optional<MarketEvent> read_event(const PlacedLog& log);
[[nodiscard]] Answer<std::vector<MarketEvent>> events_of_job(EthClient& client, uint64_t id,
                                                             uint64_t from_block,
                                                             uint64_t to_block);

}  // namespace trainyard::node::wallet
