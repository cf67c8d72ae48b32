// SPDX-License-Identifier: Apache-2.0
// The vote machine: Simplex as step(input) -> effects, without clock, network, disk or thread.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "consensus/beacon/beacon.hpp"
#include "consensus/bft/messages.hpp"
#include "consensus/staking/validator_set.hpp"

namespace trainyard::consensus::bft {

/// Times in milliseconds; docs/spec/consensus.md, section 2 says where each is used.
struct Params {
    ChainIdentity chain;
    std::optional<PublicKey> self;      ///< own consensus key; votes in the epochs whose set has it
    uint64_t delta_ms = 400;            ///< bound on one network hop
    uint64_t execute_ms = 400;          ///< E: bound on rebuilding and executing one block
    uint64_t block_interval_ms = 1000;  ///< a leader proposes no sooner after the block before
    uint64_t mini_epoch_length = 256;
    uint64_t epoch_length = 4096;
    uint64_t skip_after_views = 16;  ///< silence that makes a leader's view time out at once
    /// Smaller bodies, and those for few validators, are sent whole: shards cost one more hop.
    size_t whole_body_max_bytes = 64 * 1024;
    size_t dispersal_set_min = 10;
};

/// This validator's keys. The same vote gives the same signature.
///
/// nullopt: it will not sign (the vote contradicts an earlier one), or cannot now. The machine then
/// goes on without that vote and asks again with the next retry of the view.
class Signer {
public:
    struct VrfOutput {
        vrf::Proof proof;
        Hash beta;
    };
    virtual ~Signer() = default;
    /// The signature in `vote` is not read.
    [[nodiscard]] virtual std::optional<CompactSig> sign(const ChainIdentity& chain,
                                                         const Vote& vote) = 0;
    [[nodiscard]] virtual std::optional<VrfOutput> prove(BytesView alpha) = 0;
};

/// Pure checks that the machine needs done at once; the simulator hands in cheaper ones.
class Checks {
public:
    virtual ~Checks() = default;
    [[nodiscard]] virtual bool verify(const PublicKey& key, const Hash& digest,
                                      const CompactSig& signature) const = 0;
    [[nodiscard]] virtual std::optional<Hash> verify_vrf(const PublicKey& key, BytesView alpha,
                                                         const vrf::Proof& proof) const = 0;
    /// The body decodes and is the one that the header commits to, by every root over it: a body
    /// that passes makes the verdict of an execution a verdict on the header.
    [[nodiscard]] virtual bool is_body_of(const Header& header, BytesView body) const = 0;
    /// What can be said without the body: the header may follow `parent`. Parent hash, number,
    /// seal and beacon are the machine's to check; all the rest is the execution's.
    [[nodiscard]] virtual bool is_plausible(const Header& parent, const Header& header) const = 0;
    /// False: nothing is wrong with the block, but this node is to vote for none like it (its halt
    /// height, a fork that it does not know). It then waits, and gives the view up by its timers.
    [[nodiscard]] virtual bool may_vote_for(const Header&) const { return true; }
    /// False: its time lies ahead of this node's clock. The node does not notarize it now, and goes
    /// along if others do: clocks differ.
    [[nodiscard]] virtual bool is_timely(const Header& parent, const Header& header) const {
        (void)parent, (void)header;
        return true;
    }
};

/// The signatures of core/keys.hpp; a node derives from it and adds the rules about blocks.
class RealChecks : public Checks {
public:
    [[nodiscard]] bool verify(const PublicKey& key, const Hash& digest,
                              const CompactSig& signature) const override;
    [[nodiscard]] std::optional<Hash> verify_vrf(const PublicKey& key, BytesView alpha,
                                                 const vrf::Proof& proof) const override;
};

/// Signs with secret keys held in memory.
class KeySigner : public Signer {
public:
    /// Precondition: both keys are valid.
    KeySigner(const SecretKey& consensus_key, const SecretKey& vrf_key);
    [[nodiscard]] std::optional<CompactSig> sign(const ChainIdentity& chain,
                                                 const Vote& vote) override;
    [[nodiscard]] std::optional<VrfOutput> prove(BytesView alpha) override;

private:
    SecretKey consensus_key_, vrf_key_;
    PublicKey vrf_public_;
};

/// A node, by its P2P key; zero where it is unknown.
using Peer = PublicKey;

/// A block that is final, with what the machine needs to go on from it.
struct FinalPoint {
    Header header;
    Hash hash;
    BeaconTrail beacon;
    CertPtr certificate;  ///< FINALIZATION of this block; null at genesis or where a descendant's
                          ///< made it final
};

/// What the disk still knew. Records may come in any order; unknown or old ones are skipped.
struct Recovered {
    FinalPoint final;
    std::vector<Bytes> records;  ///< the bytes of every Persist that survived
};

// ---- inputs ----

/// The first input, once.
struct Start {};
struct Received {
    Peer from;  ///< as the connection authenticated it
    Message message;
};
/// A connection came up.
struct PeerConnected {
    Peer peer;
};
enum class TimerKind : uint8_t { lead, advance, retry, pace, repair };
/// The view of the repair timer, which belongs to none: above all others, so that it is never too
/// old.
inline constexpr View kEveryView{UINT64_MAX};
struct TimerId {
    TimerKind kind = TimerKind::lead;
    Epoch epoch;
    View view;
    auto operator<=>(const TimerId&) const = default;
};
struct Timeout {
    TimerId id;
};
/// The answer to Build; null if the node cannot build. extra_data and prev_randao must be the ones
/// asked for.
struct BuiltBlock {
    Epoch epoch;
    View view;
    Hash parent;
    BlockPtr block;  ///< already executed here
};
enum class Verdict : uint8_t {
    valid,        ///< executed, all roots equal
    invalid,      ///< deterministic: every honest node says so
    unavailable,  ///< not known yet, for example a disk error; asked again with the next retry
};
/// The answer to Execute.
struct BlockVerdict {
    Hash block;
    Verdict verdict = Verdict::unavailable;
};
/// The node fetched and executed final blocks by itself (answer to Behind, or state sync).
struct Synced {
    FinalPoint final;
};

using Input =
    std::variant<Start, Received, PeerConnected, Timeout, BuiltBlock, BlockVerdict, Synced>;

// ---- effects, to be carried out in order ----

/// Store `record`. With `sync` this and every earlier record must be durable before any later Send
/// or Broadcast leaves.
struct Persist {
    Epoch epoch;  ///< with `view` the key for Forget
    View view;
    Bytes record;
    bool sync = true;
};
/// Records of older epochs, and of views of this one below this, may be deleted, after the
/// Finalized before it is durable.
struct Forget {
    Epoch epoch;
    View below;
};
struct Send {
    Peer to;
    Message message;
};
/// To every other node, or to every one that is no validator of this epoch.
struct Broadcast {
    Message message;
    bool followers_only = false;
    Peer first{};  ///< served before the others where it is among them; zero: nobody
};
/// Timers of older epochs and views may be dropped; a stale Timeout does no harm.
struct SetTimer {
    TimerId id;
    uint64_t after_ms = 0;
};
/// Build and execute a block on `parent`, which was executed here; answer with BuiltBlock. A newer
/// Build makes this one needless.
struct Build {
    Epoch epoch;
    View view;
    Header parent;
    Hash parent_hash;
    Bytes extra_data;
    Hash prev_randao;
};
/// Execute on the state of its parent, which is final or was executed before; answer with
/// BlockVerdict.
struct Execute {
    BlockPtr block;
};
/// Notarized and executed: the `latest` block.
struct Certified {
    BlockPtr block;
    CertPtr notarization;
};
/// Final. Comes once for each height, in order, and always after the block was executed.
struct Finalized {
    BlockPtr block;
    CertPtr certificate;  ///< FINALIZATION of this block or of a descendant
};
/// A peer asks for a block that is not among the unfinished ones: answer from the chain store with
/// BlockMessage.
struct ServeBlock {
    Peer to;
    Hash hash;
};
/// A peer is still in an older epoch: answer from the chain store with the FINALIZATION of its
/// boundary, as Cert.
struct ServeBoundary {
    Peer to;
    Epoch epoch;
};
/// Too far behind to walk back block by block: sync final blocks up to this one, then give Synced.
struct Behind {
    CertPtr finalization;
    BlockPtr block;
    Peer peer;  ///< who has them
};
/// A peer sent what nobody who follows the rules sends: refuse it, if it goes on so.
struct Misbehaved {
    Peer peer;
    std::string_view why;
};
enum class Offence : uint8_t { two_notarize, two_finalize, nullify_and_finalize };
/// Proof that `first.signer`, of the set of the votes' epoch, broke a rule (spec, section 6).
struct Evidence {
    Offence offence = Offence::two_notarize;
    Vote first, second;
};
/// Why this validator nullified a view; for logs and metrics, nothing is to be done.
enum class Cause : uint8_t {
    no_proposal,   ///< nothing to notarize came within the lead time
    too_slow,      ///< notarized perhaps, but not certified within the advance time
    bad_proposal,  ///< the leader's proposal breaks a rule
    bad_block,     ///< notarized by a quorum, and execution says no
    leader_quit,   ///< the leader nullified its own view
    cannot_build,  ///< this validator leads and has no block
};
inline constexpr size_t kCauses = 6;
struct GaveUp {
    View view;
    Cause cause = Cause::no_proposal;
};
/// A quorum made final what this node finds invalid: a bug here or there. Stop and call for help.
struct Diverged {
    BlockPtr block;
    CertPtr certificate;
};

using Effect =
    std::variant<Persist, Forget, Send, Broadcast, SetTimer, Build, Execute, Certified, Finalized,
                 ServeBlock, ServeBoundary, Behind, Misbehaved, Evidence, GaveUp, Diverged>;

/// Where the machine stands, for status pages and tests.
struct Standing {
    Epoch epoch;
    View view;
    ValidatorIndex leader = kNoValidator;
    View final_view;
    Height final_height;
    Hash final_hash;
    View certified_view;
    Height certified_height;
    Hash certified_hash;
    size_t set_size = 0;
    uint64_t total_gwei = 0, own_gwei = 0;  ///< weights in this epoch's set
};

/// What has to happen before the machine leaves its view.
enum class Need : uint8_t {
    proposal,      ///< of the leader
    own_block,     ///< this validator leads and builds, or keeps the block interval
    ancestors,     ///< a proposal is here; its parent or nullifications before it are not
    notarizes,     ///< votes for the block proposed
    block,         ///< notarized; its body, or an ancestor's, is not here
    execution,     ///< notarized and here; being executed
    nullifies,     ///< this validator gave the view up; others have to
    finalizes,     ///< votes that make the last block of the epoch final
    final_blocks,  ///< a final block is known that is not here: catching up
};
struct Waiting {
    Need need = Need::proposal;
    uint64_t weight_gwei = 0;  ///< of those who voted so, where votes are waited for
    uint64_t quorum_gwei = 0;
    std::vector<ValidatorIndex> missing;  ///< who has not voted so
};

class Instances;

/// One validator's (or follower's) side of the protocol, over all epochs.
///
/// Safety needs of the caller: effects are carried out in order, and a Persist with sync is durable
/// before the next Send or Broadcast. Everything else (loss, delay, repeats, crashes) costs time
/// only.
class Bft {
public:
    /// `signer` is null for a follower; it, `sets` and `checks` outlive the machine.
    Bft(const Params& params, const ValidatorSets& sets, Recovered recovered, Signer* signer,
        const Checks& checks);
    ~Bft();
    Bft(Bft&&) noexcept;
    Bft& operator=(Bft&&) noexcept;

    [[nodiscard]] std::vector<Effect> step(const Input& input);

    [[nodiscard]] Standing standing() const;
    [[nodiscard]] Waiting waiting() const;
    /// An unfinished block (proposed or certified, not yet final), or null.
    [[nodiscard]] BlockPtr find_block(const Hash& hash) const;

private:
    std::unique_ptr<Instances> instances_;
};

}  // namespace trainyard::consensus::bft
