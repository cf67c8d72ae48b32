// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAuditRules} from "../interfaces/IAuditRules.sol";
import {IBeacon} from "../interfaces/IBeacon.sol";
import {IMarketTypes} from "../interfaces/IComputeMarket.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {IProviderRegistry} from "../interfaces/IProviderRegistry.sol";
import {IStaking} from "../interfaces/IStaking.sol";

/// @title What the market remembers, and how money moves
/// @notice The balance of the contract is always the sum of all escrows, all credits and the bonds of open challenges, disputes and
/// appeals. Money enters with `post`, with those bonds, and with slashes and fines; it leaves by `withdraw` and by burning.
abstract contract MarketBase is IMarketTypes {
    bytes32 internal constant TAG_RUN = keccak256("trainyard.run.1");
    bytes32 internal constant TAG_SEGMENT = keccak256("trainyard.segment.1");
    bytes32 internal constant TAG_AUDIT = keccak256("trainyard.audit.1");
    bytes32 internal constant TAG_UNIT = keccak256("trainyard.unit.1");
    bytes32 internal constant TAG_TILE = keccak256("trainyard.tile.1");
    bytes32 internal constant TAG_REPLAY = keccak256("trainyard.replay.1");
    bytes32 internal constant TAG_PAIR = keccak256("trainyard.pair.1");
    bytes32 internal constant TAG_CHALLENGE = keccak256("trainyard.challenge.1");
    uint256 internal constant ONE = 10_000;
    uint256 internal constant MAX_PROVIDERS = 16;
    /// Queues: of seats at level 0 and at level 1.
    uint256 internal constant AUDITS = 0;
    uint256 internal constant REPLAYS = 1;

    /// One auditor's part in one round. It is in time or fined; a deviation is fined when the committee contradicts it.
    struct Auditor {
        address who;
        SegmentState level;
        uint8 round;
        uint8 k;
        Verdict verdict;
        bool raised;             // level 0: said Mismatch, or its answers differ from what the provider opened
        bool unpaid;             // fined, or its answer could not be judged
        bool disputed;           // an appeal against what it said, for the first price
        bytes32 commitment;
        bytes32[] answers;
    }

    /// One attempt at one segment.
    struct Audit {
        bytes32 seed;            // of level 0, the lot, the pair and the first committee
        Phase phase;
        uint8 drawn;             // ranks of the draw used so far at level 0
        uint8 start;             // where the current round begins in `list`
        uint8 answered;          // reveals of level 0
        uint8 committed;         // of the current round
        uint8 revealed;          // of the current round
        bool raised;             // an auditor said Mismatch or deviated at level 0
        bool providerFailed;     // nothing served or nothing opened in time
        bool unaudited;          // accepted since nobody answered
        Challenge challenge;     // the open one
        Dispute dispute;         // the open one
        uint8 best;              // in `list`: says what the committee decided
        address accused;         // the segment's provider, once it is disputed or appeals
        uint64 seatBefore;       // block; who is drawn waits for room, held for an audit that begins before it; zero: nobody waits
        uint256 appealBond;      // wei; zero: nobody does
        Auditor[] list;          // fewer than 256: 40 of level 0, 16 of a pair, 16 of each committee
    }

    /// A provider's stake in one job. It covers segments below `through` as of `attempt`.
    struct Bond {
        uint256 amount;
        uint32 through;
        uint32 attempt;
        bool slashed;
    }

    struct Lineage {
        bool cancelled;
        bytes32 segmentsRoot;
        bytes32 stateBlob;
        bytes32 stateRoot;
        uint32 lossBits;
        address[] providers;
    }

    IBeacon public immutable beacon;
    IStaking public immutable staking;
    IProviderRegistry public immutable registry;
    IModelRegistry public immutable models;
    IAuditRules public immutable rules;
    Params internal _params;

    uint256 internal _jobCount;
    mapping(uint256 => Job) internal _jobs;
    mapping(uint256 => JobSpec) internal _specs;
    mapping(uint256 => Lineage) internal _lineages;
    mapping(uint256 => mapping(uint32 => Segment)) internal _segments;
    mapping(uint256 => mapping(uint32 => mapping(uint32 => Audit))) internal _audits;
    mapping(uint256 => mapping(address => Bond)) internal _bonds;
    /// Job, attempt: the segment at which that attempt ended.
    mapping(uint256 => mapping(uint32 => uint32)) internal _voidAt;
    mapping(address => uint256) internal _credits;
    /// By provider.
    mapping(address => uint256) internal _openDisputes;
    /// AUDITS, REPLAYS: how far the work that the chain's auditors were given reaches, in blocks times 2^32.
    uint128[2] internal _busyUntil;

    struct Parts {
        IBeacon beacon;
        IStaking staking;
        IProviderRegistry registry;
        IModelRegistry models;
        IAuditRules rules;
    }

    constructor(Parts memory parts, Params memory params_) {
        (beacon, staking, registry) = (parts.beacon, parts.staking, parts.registry);
        (models, rules) = (parts.models, parts.rules);
        require(params_.k0 > 0 && params_.k1 > 0 && params_.units > 0, BadValue("committee"));
        require(params_.k2 >= params_.k0 && params_.k2 >= params_.k1 && params_.k2 <= 16, BadValue("committee"));
        require(params_.units <= 16 && params_.substRounds <= 4 && params_.k0 <= 8, BadValue("committee"));
        require(params_.feeBps <= ONE && params_.bountyBps <= ONE && params_.lateBps <= ONE, BadValue("share"));
        require(params_.replayBps <= ONE, BadValue("share"));
        require(params_.workPerBlock > 0, BadValue("workPerBlock"));
        require(params_.bondFactor > 0 && params_.maxInFlight > 0, BadValue("bond"));
        _params = params_;
    }

    /// Fines and slashes arrive here.
    receive() external payable {
        require(msg.sender == address(staking) || msg.sender == address(registry), NotAllowed());
    }

    function _credit(address who, uint256 amount) internal {
        _credits[who] += amount;
    }

    function _burn(uint256 amount) internal {
        if (amount == 0) return;
        (bool ok,) = address(0).call{value: amount}("");
        assert(ok);
    }

    /// Takes from an auditor's stake; a half may go to the provider, what is left is burned.
    function _fine(uint256 jobId, uint32 seg, address auditor, uint256 amount, address half, string memory reason) internal {
        uint256 taken = staking.fine(auditor, amount);
        emit AuditorFined(jobId, seg, auditor, taken, reason);
        uint256 share = half == address(0) ? 0 : taken / 2;
        _credit(half, share);
        _burn(taken - share);
    }

    function _lateFine(uint256 jobId) internal view returns (uint256) {
        return _specs[jobId].pricePerSegment * _params.lateBps / ONE;
    }

    /// Takes from a bond for lateness: half to the client, half burned.
    function _fineProvider(uint256 jobId, address provider, uint256 amount) internal {
        Bond storage b = _bonds[jobId][provider];
        if (amount > b.amount) amount = b.amount;
        b.amount -= amount;
        registry.slash(provider, amount);
        emit ProviderFined(jobId, provider, amount);
        _credit(_jobs[jobId].client, amount / 2);
        _burn(amount - amount / 2);
    }

    /// A segment of the job that is committed and neither Final nor Void.
    function _liveSegment(uint256 jobId, uint32 seg) internal view returns (Segment storage s, Audit storage a) {
        Job storage j = _jobs[jobId];
        require(seg >= j.finalSegments && seg < j.tip, WrongState());
        s = _segments[jobId][seg];
        a = _audits[jobId][seg][s.attempt];
    }

    /// The pipeline is full: the provider must wait for audits, so its clock stands still.
    function _isFull(Job storage j) internal view returns (bool) {
        return j.tip - j.finalSegments >= _params.maxInFlight;
    }

    function _setPhase(Segment storage s, Audit storage a, Phase phase_, uint64 blocks) internal {
        a.phase = phase_;
        s.phaseDeadline = uint64(block.number) + blocks;
    }

    function _isOver(Segment storage s) internal view returns (bool) {
        return block.number > s.phaseDeadline;
    }

    /// The job is open again, or drains when nobody may take it any more.
    function _reopen(uint256 jobId, string memory reason) internal {
        Job storage j = _jobs[jobId];
        j.provider = address(0);
        if (_lineages[jobId].cancelled) _drain(j, Outcome.Cancelled);
        else if (block.timestamp > _specs[jobId].deadline) _drain(j, Outcome.Expired);
        else {
            (j.state, j.outcome) = (JobState.Open, Outcome.None);
            emit JobReopened(jobId, reason);
        }
    }

    function _drain(Job storage j, Outcome outcome) internal {
        j.state = JobState.Draining;
        j.outcome = outcome;
    }
}
