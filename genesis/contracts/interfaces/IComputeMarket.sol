// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Types, events and errors of the market
interface IMarketTypes {
    enum JobState { None, Open, Active, Draining, Closed }
    /// Diverged: the last segment claims that it has no end.
    enum Outcome { None, Complete, Cancelled, Expired, Diverged }
    /// Committed: waits for its seed, again after a challenge, or for auditors that have room, also before level 1. L0: three auditors replay drawn units. L1: a pair drawn by lot or a
    /// committee replays it all. Accepted: audited, may be challenged or disputed, then payable. Final: paid. Void: wrong. Disputed: before
    /// the referee. Convicted: found wrong by a committee, void unless its provider appeals. Appealed: right unless somebody disputes it.
    enum SegmentState { None, Committed, L0, L1, Accepted, Final, Void, Disputed, Convicted, Appealed }
    enum Verdict { None, Match, Mismatch }
    /// What an audit waits for: the provider's bundle, the auditors' commitments, their reveals, the provider's openings.
    enum Phase { None, Serve, Commit, Reveal, Open, Done }

    /// Set once in genesis. Shares are in 1/10,000; factors of auditors' fines multiply the audit fee.
    struct Params {
        uint8 k0;                // auditors at level 0
        uint8 k1;                // auditors that replay a segment drawn by lot
        uint8 k2;                // of the committee that decides after an alarm, at most
        uint8 units;             // drawn per auditor
        uint8 tiles;             // state tiles per auditor; read by auditors, not by the contract
        uint8 substRounds;       // rounds of substitutes
        uint8 bondFactor;        // bond = factor * pricePerSegment
        uint16 feeBps;           // of a segment's price, burned
        uint16 bountyBps;        // of a slashed bond, to the auditors that raised and confirmed; half or all of it to a challenger
        uint16 lateBps;          // of a segment's price, when evicted; half of it when released
        uint16 missFactor;       // silent auditor
        uint16 deviationFactor;  // auditor that the committee contradicts
        uint16 replayBps;        // of segments, replayed by k1 auditors though level 0 found nothing
        uint32 maxInFlight;      // committed segments that are not Final
        uint64 serveBlocks;
        uint64 commitBlocks;
        uint64 commitBlocksL1;   // plus twice the job's segmentBlocks
        uint64 revealBlocks;
        uint64 openBlocks;
        uint64 windowBlocks;     // between Accepted and Final, for challenges, twice as many if nobody audited; for an appeal
        uint64 moveBlocks;       // for a move of a dispute; the first ten also have twice the job's segmentBlocks; see openDisputes
        uint64 minSegmentBlocks;
        uint64 maxSegmentBlocks;
        uint64 workPerBlock;     // that every auditor can do, in multiply-adds
        uint64 auditMemory;      // bytes that every auditor has for an audit; read by auditors and providers, not by the contract
        uint256 minPriceWei;     // of a segment, for each block, or part of one, that its replay takes at workPerBlock
    }

    struct JobSpec {
        bytes32 program;         // blob id of the program's canonical encoding
        bytes32 programId;       // sha256 of the canonical encoding
        bytes32 data;            // blob id of the data set
        bytes32 clientSeed;      // part of runSeed
        uint32 segments;         // segments in the run, 1..65536
        uint32 stepsPerSegment;  // n
        uint32 microBatches;     // M units in a step
        uint64 segmentBlocks;    // blocks a provider has for one segment (T_seg)
        uint64 deadline;         // unix time after which the rest is refunded
        uint256 pricePerSegment; // wei paid for an accepted segment, before the fee
        uint256 auditFee;        // wei paid to each auditor of a segment that answered
        uint64 unitWork;         // multiply-adds of a unit, as auditors run it: docs/spec/audits.md, section 2
        address provider;        // zero: any registered provider; else only this one
        string licence;          // SPDX expression of the model
    }

    struct Job {
        address client;
        address provider;        // current assignee or zero
        JobState state;
        Outcome outcome;
        uint32 tip;              // segments committed and not void: the next index to commit
        uint32 finalSegments;    // prefix that is Final
        uint32 attempt;          // grows with every void
        uint64 segmentDeadline;  // block
        bytes32 tipRoot;         // state root that the next segment starts from; zero before segment 0
        uint256 escrow;          // wei
        bytes32 runSeed;
        uint256 modelToken;      // token id + 1, or 0
    }

    struct Segment {
        SegmentState state;
        address provider;
        uint32 attempt;
        uint32 lossBits;         // binary32 bits of the last step's loss
        bytes32 first;           // state root S_first
        bytes32 last;            // state root S_last
        bytes32 stepsRoot;
        bytes32 root;            // segRoot
        bytes32 stateBlob;       // blob id of S_last
        bytes32 bundleBlob;      // what L0 auditors need; zero until served
        uint64 committedAt;      // block
        uint64 seedEpoch;        // epoch e whose R_end(e+2) seeds the draw: that of committedAt, or of the last postponement or challenge
        uint64 phaseDeadline;    // block; Accepted: the first in which it is payable; Disputed: the last for the move
        uint8 round;             // L0: 0, 1, … substitutes' rounds. L1: 0 the pair drawn by lot, 1 the committee, 1 + c that of challenge c
        uint32 divergesAt;       // number, from 1, of the step that has no result; zero: the segment has an end
    }

    /// A challenge that waits for its decision.
    struct Challenge {
        address challenger;      // zero: none
        uint8 number;            // challenges of the attempt so far
        uint256 bond;            // wei
    }

    /// A dispute that waits for a move. Its clock is the segment's phaseDeadline.
    struct Dispute {
        address challenger;      // zero: none
        uint8 turn;              // 0 the provider's, 1 the challenger's
        uint8 moves;             // so far
        uint8 lost;              // disputes of the attempt that the challenger lost
        uint64 movedAt;          // block of the last DisputeMoved
        uint256 bond;            // wei
        bytes32 stateHash;       // keccak256 of the referee's state
    }

    /// One audited unit as the provider opens it. Byte rules: docs/spec/audits.md, section 2.
    struct UnitOpening {
        uint32 t;                // global step
        uint32 j;                // micro-batch
        uint32 unitLossBits;
        bytes32 unitGradRoot;
        bytes32[] unitPath;      // siblings of the unit leaf under unitsRoot (M leaves)
        bytes32 gradRoot;
        uint32 normBits;
        uint32 lossBits;
        uint8 nonfinite;
        bytes32[] stepPath;      // siblings of the tuple's leaf under stepsRoot (2n + 1 leaves)
    }

    event JobPosted(uint256 indexed jobId, address indexed client, address indexed provider, JobSpec spec);
    event JobTaken(uint256 indexed jobId, address indexed provider, uint256 bond);
    event JobReopened(uint256 indexed jobId, string reason);
    event JobClosed(uint256 indexed jobId, Outcome outcome, uint256 refund, uint256 modelToken);
    event SegmentCommitted(uint256 indexed jobId, uint32 indexed seg, address indexed provider, bytes32 root, bytes32 last, uint32 lossBits);
    /// Told after SegmentCommitted: this one has no end. `step` is counted from 1, within the segment.
    event SegmentDiverged(uint256 indexed jobId, uint32 indexed seg, address indexed provider, uint32 step);
    /// The commitment counts as one of mini-epoch seedEpoch from now on: nobody had opened its audit in time.
    event AuditPostponed(uint256 indexed jobId, uint32 indexed seg, uint64 seedEpoch);
    /// Drawn, and held to their stake, but not seated: the chain's auditors have enough to do.
    event AuditWaits(uint256 indexed jobId, uint32 indexed seg, uint256 untilBlock);
    event AuditOpened(uint256 indexed jobId, uint32 indexed seg, SegmentState level, uint8 round, address[] auditors, bytes32 seed);
    event BundleServed(uint256 indexed jobId, uint32 indexed seg, bytes32 bundleBlob);
    event AnswerCommitted(uint256 indexed jobId, uint32 indexed seg, address indexed auditor, bytes32 commitment);
    event AnswerRevealed(uint256 indexed jobId, uint32 indexed seg, address indexed auditor, Verdict verdict);
    event SegmentOpened(uint256 indexed jobId, uint32 indexed seg, uint256 units);
    event SegmentAccepted(uint256 indexed jobId, uint32 indexed seg, bool audited);
    /// The commitment counts as one of the present mini-epoch; a fresh committee will replay it.
    event SegmentChallenged(uint256 indexed jobId, uint32 indexed seg, address indexed challenger, uint256 bond);
    /// `won`: the segment is proven wrong. `returned` of the bond, and a share of what was slashed, are credited.
    event ChallengeSettled(uint256 indexed jobId, uint32 indexed seg, address indexed challenger, bool won, uint256 returned);
    event SegmentDisputed(uint256 indexed jobId, uint32 indexed seg, address indexed challenger, uint256 bond);
    /// `state` is what the next move must be handed in with.
    event DisputeMoved(uint256 indexed jobId, uint32 indexed seg, uint8 turn, bytes state);
    /// `won`: the segment is proven wrong. `returned` of the bond, and what a won dispute brings, are credited.
    event DisputeSettled(uint256 indexed jobId, uint32 indexed seg, address indexed challenger, bool won, uint256 returned);
    /// A committee finds it wrong. It is void once `appealUntil` has passed.
    event SegmentConvicted(uint256 indexed jobId, uint32 indexed seg, address indexed provider, uint64 appealUntil);
    event SegmentAppealed(uint256 indexed jobId, uint32 indexed seg, address indexed provider, uint256 bond);
    /// `won`: nobody could prove the segment wrong.
    event AppealSettled(uint256 indexed jobId, uint32 indexed seg, address indexed provider, bool won, uint256 returned);
    event SegmentFinal(uint256 indexed jobId, uint32 indexed seg, uint256 paid, uint256 feeBurned);
    event SegmentVoid(uint256 indexed jobId, uint32 indexed seg, address indexed provider, uint256 slashed);
    event ProviderFined(uint256 indexed jobId, address indexed provider, uint256 amount);
    event BondFreed(uint256 indexed jobId, address indexed provider, uint256 amount);
    event JobCancelled(uint256 indexed jobId);
    event Withdrawn(address indexed who, uint256 amount);
    event AuditorFined(uint256 indexed jobId, uint32 indexed seg, address indexed auditor, uint256 amount, string reason);

    error NotAllowed();            // the caller has no such role here
    error WrongState();            // the job or segment is not in a state for this call
    error NotYet();                // a deadline or a seed is still ahead
    error TooLate();               // a deadline has passed
    error NothingDue();
    error AuditorsBusy(uint256 untilBlock);              // about then there is room, if nobody else takes it
    error BeyondAudit(uint256 work, uint256 limit);      // multiply-adds of an audit or a replay: no auditor has time for it
    error Refused(uint8 why);      // by the referee: docs/spec/execution.md
    error BadValue(string what);   // the argument or field that is wrong
}

/// @title Funded training jobs: post, take, commit, audit, settle
/// @notice The state machine of docs/spec/audits.md. Money is held in the contract and pulled with `withdraw`.
/// Deadlines are block numbers; a call is in time while block.number <= deadline.
interface IComputeMarket is IMarketTypes {
    // --- client
    /// Escrow sent must be at least quote(spec); the rest is returned as credit.
    function post(JobSpec calldata spec) external payable returns (uint256 jobId);
    /// Open: refunds and closes. Active: stops at the next commit or segment deadline.
    function cancel(uint256 jobId) external;

    // --- provider
    function take(uint256 jobId) external;
    function commit(uint256 jobId, uint32 seg, bytes32 first, bytes32 last, bytes32 stepsRoot, uint32 lossBits, bytes32 stateBlob) external;
    /// Instead of a segment with an end: its step number `step`, from 1, gives an Inf or a NaN. Ends the job if that is so.
    function commitDivergence(uint256 jobId, uint32 seg, bytes32 first, uint32 step) external;
    function serve(uint256 jobId, uint32 seg, bytes32 bundleBlob) external;
    function open(uint256 jobId, uint32 seg, UnitOpening[] calldata openings) external;
    function release(uint256 jobId) external;

    // --- auditor
    /// c = keccak256(abi.encode(jobId, seg, attempt, level, round, msg.sender, verdict, answers, salt))
    function commitAnswer(uint256 jobId, uint32 seg, bytes32 c) external;
    /// L0 answers: the unit leaves in draw order. L1 answers: the committee's is the digest over all unit leaves of the
    /// segment, or those of the steps before the one that diverges, the pair's its SHA-256; a Mismatch may say 0, the job is
    /// unsound, or 1, withheld. Where a divergence is claimed, Match says that it diverges at that step.
    function revealAnswer(uint256 jobId, uint32 seg, Verdict verdict, bytes32[] calldata answers, bytes32 salt) external;

    // --- anyone
    /// Draws and seats auditors; or only draws them, once, where they have no room; or postpones the audit of a commitment so old
    /// that their stake may have left.
    function openAudit(uint256 jobId, uint32 seg) external;
    /// Moves a segment on when its phase is complete or its deadline has passed; reverts with NotYet otherwise.
    function advance(uint256 jobId, uint32 seg) external;
    /// Pays the next accepted segment(s) of the prefix, at most `max`.
    function finalize(uint256 jobId, uint32 max) external;
    /// Sends an accepted segment to a fresh committee, up to its phaseDeadline. Not for its provider. Wei sent must be at least
    /// challengeBond(jobId, seg); the rest is returned as credit.
    function challenge(uint256 jobId, uint32 seg) external payable;
    /// Credits whoever had a bond at a segment that fell with an earlier one before it was decided: of a challenge, a dispute, an appeal.
    function reclaim(uint256 jobId, uint32 seg, uint32 attempt) external;
    /// Calls the referee on an accepted or appealed segment that has an end, before its phaseDeadline. Not for its provider. Wei sent must be at
    /// least disputeBond(jobId, seg, msg.sender); the rest is returned as credit.
    function dispute(uint256 jobId, uint32 seg) external payable;
    /// A move of whoever's turn it is, with the state that the last DisputeMoved told.
    function play(uint256 jobId, uint32 seg, bytes calldata state, bytes calldata move) external;
    /// Who did not move in time has lost.
    function timeout(uint256 jobId, uint32 seg) external;
    /// The provider stands by a convicted segment, up to its phaseDeadline. Wei sent must be at least appealBond(jobId); the rest is
    /// returned as credit.
    function appeal(uint256 jobId, uint32 seg) external payable;
    function evict(uint256 jobId) external;   // assignee missed its segment deadline
    function expire(uint256 jobId) external;  // job deadline has passed
    function close(uint256 jobId) external;   // Draining and nothing pending: mints the token, refunds the rest
    function freeBond(uint256 jobId, address provider) external;  // of a provider whose segments all are Final or Void
    function withdraw() external;

    // --- views
    function jobCount() external view returns (uint256);
    function job(uint256 jobId) external view returns (Job memory);
    function spec(uint256 jobId) external view returns (JobSpec memory);
    function segment(uint256 jobId, uint32 seg) external view returns (Segment memory);
    function auditors(uint256 jobId, uint32 seg) external view returns (address[] memory);
    /// The (t, j) that an auditor of the current L0 round replays, in draw order.
    function unitsOf(uint256 jobId, uint32 seg, address auditor) external view returns (uint32[] memory t, uint32[] memory j);
    /// The seed from which the auditor's state tiles follow (docs/spec/audits.md, section 4).
    function tileSeed(uint256 jobId, uint32 seg, address auditor) external view returns (bytes32);
    function answerOf(uint256 jobId, uint32 seg, address auditor) external view returns (bytes32 commitment, Verdict verdict, bytes32[] memory answers);
    /// Unit (t, j) of every opening that `open` expects, in order: all auditors that answered at level 0.
    function unitsToOpen(uint256 jobId, uint32 seg) external view returns (uint32[] memory t, uint32[] memory j);
    function phase(uint256 jobId, uint32 seg) external view returns (Phase);
    /// Wei that the next challenge of the segment must send: doubles with every challenge of the attempt.
    function challengeBond(uint256 jobId, uint32 seg) external view returns (uint256);
    function challengeOf(uint256 jobId, uint32 seg) external view returns (Challenge memory);
    /// Wei that the next dispute of the segment must send: doubles with every one that a challenger lost, but for the first of an
    /// auditor that called an appealed segment wrong.
    function disputeBond(uint256 jobId, uint32 seg, address by) external view returns (uint256);
    function appealBond(uint256 jobId) external view returns (uint256);
    /// Of all jobs; a provider's clock in each of them is so many times as long.
    function openDisputes(address provider) external view returns (uint256);
    function disputeOf(uint256 jobId, uint32 seg) external view returns (Dispute memory);
    /// Blocks until there is room for auditors of level 0 and for replays, if nobody else takes it; 0: at once.
    function auditQueue() external view returns (uint256 audits, uint256 replays);
    /// The same for what a Committed segment waits for; 0 for any other.
    function auditWait(uint256 jobId, uint32 seg) external view returns (uint256 blocks);
    function params() external view returns (Params memory);
    /// Wei to send with post: segments * (pricePerSegment + (k0 + k1 + k2) * auditFee). What is not spent is refunded.
    function quote(JobSpec calldata spec) external view returns (uint256);
    /// Wei that whoever takes the job must have free in the ProviderRegistry.
    function bond(uint256 jobId) external view returns (uint256);
    function bondOf(uint256 jobId, address provider) external view returns (uint256 amount, bool slashed);
    function credit(address who) external view returns (uint256);
}
