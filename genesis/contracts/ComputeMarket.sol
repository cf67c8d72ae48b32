// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {IComputeMarket} from "./interfaces/IComputeMarket.sol";
import {MarketBase} from "./market/MarketBase.sol";
import {MarketDraws} from "./market/MarketDraws.sol";

/// @title Funded training jobs
/// @notice Jobs: Open, Active, Draining, Closed. Segments: Committed, L0, L1, Accepted, Final or Void. docs/spec/audits.md.
contract ComputeMarket is MarketDraws, IComputeMarket {
    uint256 internal constant MAX_LIFE_SECONDS = 366 days;

    /// The code that audits, MarketAudits.sol, and that plays disputes, MarketDisputes.sol.
    address public immutable audits;
    address public immutable disputes;

    constructor(Parts memory parts, Params memory params_, address audits_, address disputes_) MarketBase(parts, params_) {
        (audits, disputes) = (audits_, disputes_);
    }

    // --- client

    function post(JobSpec calldata s) external payable returns (uint256 jobId) {
        _checkSpec(s);
        uint256 escrow = quote(s);
        require(msg.value >= escrow, BadValue("escrow"));
        jobId = _jobCount++;
        _specs[jobId] = s;
        Job storage j = _jobs[jobId];
        (j.client, j.state, j.escrow) = (msg.sender, JobState.Open, escrow);
        j.runSeed = keccak256(abi.encode(TAG_RUN, block.chainid, address(this), jobId, s.clientSeed));
        _credit(msg.sender, msg.value - escrow);
        emit JobPosted(jobId, msg.sender, s.provider, s);
    }

    function cancel(uint256 jobId) external {
        Job storage j = _jobs[jobId];
        require(msg.sender == j.client, NotAllowed());
        require(j.state == JobState.Open || j.state == JobState.Active, WrongState());
        require(!_lineages[jobId].cancelled, NothingDue());
        _lineages[jobId].cancelled = true;
        emit JobCancelled(jobId);
        if (j.state == JobState.Active) return;
        _drain(j, Outcome.Cancelled);
        if (j.tip == 0) _close(jobId);
    }

    // --- provider

    function take(uint256 jobId) external {
        Job storage j = _jobs[jobId];
        JobSpec storage s = _specs[jobId];
        require(j.state == JobState.Open, WrongState());
        require(block.timestamp <= s.deadline, TooLate());
        require(s.provider == address(0) || s.provider == msg.sender, NotAllowed());
        Bond storage b = _bonds[jobId][msg.sender];
        require(!b.slashed, NotAllowed());
        uint256 needed = bond(jobId);
        uint256 missing = needed > b.amount ? needed - b.amount : 0;
        b.amount += missing;
        (j.provider, j.state) = (msg.sender, JobState.Active);
        j.segmentDeadline = uint64(block.number) + s.segmentBlocks;
        registry.reserve(msg.sender, missing);
        emit JobTaken(jobId, msg.sender, b.amount);
    }

    function commit(
        uint256 jobId, uint32 seg, bytes32 first, bytes32 last, bytes32 stepsRoot, uint32 lossBits, bytes32 stateBlob
    ) external {
        Segment storage s = _newSegment(jobId, seg, first);
        require(last != 0 && stepsRoot != 0 && stateBlob != 0, BadValue("root"));
        (s.last, s.stepsRoot, s.stateBlob, s.lossBits) = (last, stepsRoot, stateBlob, lossBits);
        _append(jobId, seg, s);
        Job storage j = _jobs[jobId];
        if (j.tip == _specs[jobId].segments) _drain(j, Outcome.Complete);
        else if (_lineages[jobId].cancelled) _drain(j, Outcome.Cancelled);
    }

    /// Nothing can follow it.
    function commitDivergence(uint256 jobId, uint32 seg, bytes32 first, uint32 step) external {
        Segment storage s = _newSegment(jobId, seg, first);
        require(step >= 1 && step <= _specs[jobId].stepsPerSegment, BadValue("step"));
        s.divergesAt = step;
        _append(jobId, seg, s);
        emit SegmentDiverged(jobId, seg, msg.sender, step);
        _drain(_jobs[jobId], Outcome.Diverged);
    }

    function release(uint256 jobId) external {
        Job storage j = _jobs[jobId];
        require(j.state == JobState.Active, WrongState());
        require(msg.sender == j.provider, NotAllowed());
        _fineProvider(jobId, msg.sender, _lateFine(jobId) / 2);
        _reopen(jobId, "released");
    }

    function withdraw() external {
        uint256 amount = _credits[msg.sender];
        require(amount > 0, NothingDue());
        _credits[msg.sender] = 0;
        emit Withdrawn(msg.sender, amount);
        (bool ok,) = msg.sender.call{value: amount}("");
        require(ok, BadValue("receiver"));
    }

    // --- audits, by delegatecall

    function openAudit(uint256, uint32) external { _delegate(audits); }
    function serve(uint256, uint32, bytes32) external { _delegate(audits); }
    function commitAnswer(uint256, uint32, bytes32) external { _delegate(audits); }
    function revealAnswer(uint256, uint32, Verdict, bytes32[] calldata, bytes32) external { _delegate(audits); }
    function open(uint256, uint32, UnitOpening[] calldata) external { _delegate(audits); }
    function advance(uint256, uint32) external { _delegate(audits); }
    function challenge(uint256, uint32) external payable { _delegate(audits); }
    function reclaim(uint256, uint32, uint32) external { _delegate(audits); }

    // --- disputes and appeals, by delegatecall

    function dispute(uint256, uint32) external payable { _delegate(disputes); }
    function play(uint256, uint32, bytes calldata, bytes calldata) external { _delegate(disputes); }
    function timeout(uint256, uint32) external { _delegate(disputes); }
    function appeal(uint256, uint32) external payable { _delegate(disputes); }

    // --- anyone

    function finalize(uint256 jobId, uint32 max) external {
        Job storage j = _jobs[jobId];
        uint32 from = j.finalSegments;
        if (j.state == JobState.Active && _isFull(j)) j.segmentDeadline = uint64(block.number) + _specs[jobId].segmentBlocks;
        while (max > 0 && j.finalSegments < j.tip) {
            Segment storage s = _segments[jobId][j.finalSegments];
            if (s.state != SegmentState.Accepted || block.number < s.phaseDeadline) break;
            _pay(jobId, j.finalSegments, s);
            j.finalSegments++;
            max--;
        }
        require(j.finalSegments > from, NotYet());
    }

    function evict(uint256 jobId) external {
        Job storage j = _jobs[jobId];
        require(j.state == JobState.Active, WrongState());
        require(block.number > j.segmentDeadline && !_isFull(j), NotYet());
        // Nobody could have committed: `expire` ends the job, and it costs nothing.
        require(block.timestamp <= _specs[jobId].deadline, TooLate());
        _fineProvider(jobId, j.provider, _lateFine(jobId));
        _reopen(jobId, "late");
    }

    function expire(uint256 jobId) external {
        Job storage j = _jobs[jobId];
        require(j.state == JobState.Open || j.state == JobState.Active, WrongState());
        require(block.timestamp > _specs[jobId].deadline, NotYet());
        _drain(j, _lineages[jobId].cancelled ? Outcome.Cancelled : Outcome.Expired);
    }

    function close(uint256 jobId) external {
        Job storage j = _jobs[jobId];
        require(j.state == JobState.Draining, WrongState());
        require(j.finalSegments == j.tip, NotYet());
        _close(jobId);
    }

    /// Frees the bond of a provider whose part in the job is over. Each call looks past one void.
    function freeBond(uint256 jobId, address provider) external {
        Job storage j = _jobs[jobId];
        Bond storage b = _bonds[jobId][provider];
        require(b.amount > 0, NothingDue());
        if (b.attempt < j.attempt) {
            uint32 voidAt = _voidAt[jobId][b.attempt++];
            if (voidAt < b.through) b.through = voidAt;
        }
        bool isWorking = j.state == JobState.Active && j.provider == provider;
        if (isWorking || (j.state != JobState.Closed && b.through > j.finalSegments)) return;
        _freeBond(jobId, provider);
    }

    // --- views

    function auditQueue() external view returns (uint256, uint256) { return (_blocksToRoom(AUDITS), _blocksToRoom(REPLAYS)); }

    function auditWait(uint256 jobId, uint32 seg) external view returns (uint256) {
        Segment storage s = _segments[jobId][seg];
        if (s.state != SegmentState.Committed || seg >= _jobs[jobId].tip) return 0;
        return _blocksToRoom(_opensLevel0(s, _audit(jobId, seg)) ? AUDITS : REPLAYS);
    }

    function params() external view returns (Params memory) { return _params; }

    function quote(JobSpec calldata s) public view returns (uint256) {
        uint256 seats = uint256(_params.k0) + _params.k1 + _params.k2;
        return s.segments * (s.pricePerSegment + seats * s.auditFee);
    }

    function jobCount() external view returns (uint256) { return _jobCount; }

    function credit(address who) external view returns (uint256) { return _credits[who]; }

    function job(uint256 jobId) external view returns (Job memory) { return _jobs[jobId]; }

    function spec(uint256 jobId) external view returns (JobSpec memory) { return _specs[jobId]; }

    function segment(uint256 jobId, uint32 seg) external view returns (Segment memory s) {
        s = _segments[jobId][seg];
        if (s.state != SegmentState.None && seg >= _jobs[jobId].tip) s.state = SegmentState.Void;
    }

    function phase(uint256 jobId, uint32 seg) external view returns (Phase) { return _audit(jobId, seg).phase; }

    function auditors(uint256 jobId, uint32 seg) external view returns (address[] memory) { return _round(_audit(jobId, seg)); }

    function unitsOf(uint256 jobId, uint32 seg, address auditor) external view returns (uint32[] memory t, uint32[] memory j) {
        Audit storage a = _audit(jobId, seg);
        (bool found, uint256 at) = _find(a, auditor);
        if (!found || a.list[at].level != SegmentState.L0) return (t, j);
        return _split(jobId, seg, _unitIndexes(jobId, seg, a.list[at]));
    }

    function unitsToOpen(uint256 jobId, uint32 seg) external view returns (uint32[] memory t, uint32[] memory j) {
        return _split(jobId, seg, _drawnUnits(jobId, seg));
    }

    function tileSeed(uint256 jobId, uint32 seg, address auditor) external view returns (bytes32) {
        Audit storage a = _audit(jobId, seg);
        (bool found, uint256 at) = _find(a, auditor);
        if (!found || a.list[at].level != SegmentState.L0) return 0;
        Segment storage s = _segments[jobId][seg];
        return keccak256(abi.encode(TAG_TILE, a.seed, jobId, seg, s.attempt, a.list[at].round, a.list[at].k));
    }

    function answerOf(uint256 jobId, uint32 seg, address auditor) external view returns (bytes32, Verdict, bytes32[] memory) {
        Audit storage a = _audit(jobId, seg);
        (bool found, uint256 at) = _find(a, auditor);
        if (!found) return (0, Verdict.None, new bytes32[](0));
        return (a.list[at].commitment, a.list[at].verdict, a.list[at].answers);
    }

    function challengeBond(uint256 jobId, uint32 seg) external view returns (uint256) {
        return _challengeBond(jobId, _audit(jobId, seg));
    }

    function challengeOf(uint256 jobId, uint32 seg) external view returns (Challenge memory) { return _audit(jobId, seg).challenge; }

    function disputeBond(uint256 jobId, uint32 seg, address by) external view returns (uint256) {
        Audit storage a = _audit(jobId, seg);
        return _disputeBond(jobId, a, _accuser(a, by));
    }

    function openDisputes(address provider) external view returns (uint256) { return _openDisputes[provider]; }

    function appealBond(uint256 jobId) external view returns (uint256) { return _appealBond(jobId); }

    function disputeOf(uint256 jobId, uint32 seg) external view returns (Dispute memory) { return _audit(jobId, seg).dispute; }

    function bond(uint256 jobId) public view returns (uint256) {
        return _params.bondFactor * _specs[jobId].pricePerSegment;
    }

    function bondOf(uint256 jobId, address provider) external view returns (uint256 amount, bool slashed) {
        return (_bonds[jobId][provider].amount, _bonds[jobId][provider].slashed);
    }

    // --- inside

    function _delegate(address code) internal {
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, 0, calldatasize())
            let ok := delegatecall(gas(), code, free, calldatasize(), 0, 0)
            returndatacopy(free, 0, returndatasize())
            switch ok
            case 0 { revert(free, returndatasize()) }
            default { return(free, returndatasize()) }
        }
    }

    function _checkSpec(JobSpec calldata s) internal view {
        require(s.program != 0 && s.programId != 0, BadValue("program"));
        require(s.data != 0, BadValue("data"));
        require(s.segments >= 1 && s.segments <= 65_536, BadValue("segments"));
        require(s.stepsPerSegment >= 1 && s.stepsPerSegment <= 256, BadValue("stepsPerSegment"));
        // With one unit in a step the served step tuple would show the unit's leaf: an auditor could answer without work.
        require(s.microBatches >= 2 && s.microBatches <= 1024, BadValue("microBatches"));
        require(s.segmentBlocks >= _params.minSegmentBlocks && s.segmentBlocks <= _params.maxSegmentBlocks, BadValue("segmentBlocks"));
        require(s.deadline > block.timestamp && s.deadline <= block.timestamp + MAX_LIFE_SECONDS, BadValue("deadline"));
        _checkWork(s);
        require(s.pricePerSegment <= type(uint128).max, BadValue("pricePerSegment"));
        require(s.auditFee <= s.pricePerSegment, BadValue("auditFee"));  // fines are multiples of it
        require(rules.isPlain(s.licence, 64), BadValue("licence"));
    }

    /// What no auditor could do in half of its time is refused. What auditors are kept busy with has its price.
    function _checkWork(JobSpec calldata s) internal view {
        (uint256 perBlock, uint256 replayBlocks) = (_params.workPerBlock, uint256(_params.commitBlocksL1) + 2 * uint256(s.segmentBlocks));
        require(s.unitWork > 0, BadValue("unitWork"));
        uint256 audit = uint256(_params.units) * s.unitWork;
        uint256 auditMax = perBlock * _params.commitBlocks / 2;
        require(audit <= auditMax, BeyondAudit(audit, auditMax));
        uint256 replay = uint256(s.stepsPerSegment) * s.microBatches * s.unitWork;
        uint256 replayMax = perBlock * replayBlocks / 2;
        require(replay <= replayMax, BeyondAudit(replay, replayMax));
        uint256 blocks = (replay + perBlock - 1) / perBlock;
        require(s.pricePerSegment >= _params.minPriceWei * blocks, BadValue("pricePerSegment"));
    }

    function _newSegment(uint256 jobId, uint32 seg, bytes32 first) internal returns (Segment storage s) {
        Job storage j = _jobs[jobId];
        require(j.state == JobState.Active, WrongState());
        require(msg.sender == j.provider, NotAllowed());
        require(block.number <= j.segmentDeadline && block.timestamp <= _specs[jobId].deadline, TooLate());
        require(seg == j.tip, BadValue("segment"));
        require(seg == 0 || first == j.tipRoot, BadValue("first"));
        require(first != 0, BadValue("root"));
        require(!_isFull(j), BadValue("in flight"));
        s = _segments[jobId][seg];
        delete _segments[jobId][seg];
        (s.state, s.provider, s.attempt, s.first) = (SegmentState.Committed, msg.sender, j.attempt, first);
        s.committedAt = uint64(block.number);
        s.seedEpoch = uint64(beacon.epochOf(block.number));
    }

    function _append(uint256 jobId, uint32 seg, Segment storage s) internal {
        Job storage j = _jobs[jobId];
        s.root = _segRoot(jobId, seg, s);
        _bonds[jobId][msg.sender].through = seg + 1;
        _bonds[jobId][msg.sender].attempt = j.attempt;
        (j.tip, j.tipRoot) = (seg + 1, s.last);
        j.segmentDeadline = uint64(block.number) + _specs[jobId].segmentBlocks;
        emit SegmentCommitted(jobId, seg, msg.sender, s.root, s.last, s.lossBits);
    }

    function _segRoot(uint256 jobId, uint32 seg, Segment storage s) internal view returns (bytes32) {
        return keccak256(abi.encode(
            TAG_SEGMENT, block.chainid, address(this), jobId, _jobs[jobId].runSeed, seg, s.attempt, s.provider,
            s.first, s.last, s.stepsRoot, s.lossBits, s.divergesAt
        ));
    }

    /// A slashed provider's other segments of the job are not paid; the auditors are. What is not paid stays in escrow. One that
    /// diverges is paid by its steps, and is not part of the model.
    function _pay(uint256 jobId, uint32 seg, Segment storage s) internal {
        s.state = SegmentState.Final;
        uint256 price = _bonds[jobId][s.provider].slashed ? 0 : _specs[jobId].pricePerSegment;
        if (s.divergesAt > 0) price = price * s.divergesAt / _specs[jobId].stepsPerSegment;
        uint256 fee = price * _params.feeBps / ONE;
        uint256 spent = price + _payAuditors(jobId, seg, s);
        _jobs[jobId].escrow -= spent;
        _credit(s.provider, price - fee);
        if (s.divergesAt == 0) _extend(_lineages[jobId], s);
        emit SegmentFinal(jobId, seg, price - fee, fee);
        _burn(fee);
    }

    function _payAuditors(uint256 jobId, uint32 seg, Segment storage s) internal returns (uint256 paid) {
        Audit storage a = _audits[jobId][seg][s.attempt];
        uint256 each = _specs[jobId].auditFee;
        for (uint256 i = 0; i < a.list.length; i++) {
            if (a.list[i].verdict == Verdict.None || a.list[i].unpaid) continue;
            _credit(a.list[i].who, each);
            paid += each;
        }
    }

    function _extend(Lineage storage l, Segment storage s) internal {
        l.segmentsRoot = keccak256(abi.encode(l.segmentsRoot, s.root));
        (l.stateBlob, l.stateRoot, l.lossBits) = (s.stateBlob, s.last, s.lossBits);
        uint256 n = l.providers.length;
        if (n < MAX_PROVIDERS && (n == 0 || l.providers[n - 1] != s.provider)) l.providers.push(s.provider);
    }

    function _close(uint256 jobId) internal {
        Job storage j = _jobs[jobId];
        uint256 refund = j.escrow;
        (j.state, j.escrow) = (JobState.Closed, 0);
        uint32 trained = j.finalSegments;
        if (j.outcome == Outcome.Diverged) trained--;
        else if (trained == _specs[jobId].segments) j.outcome = Outcome.Complete;
        _credit(j.client, refund);
        if (_bonds[jobId][j.provider].amount > 0) _freeBond(jobId, j.provider);
        if (trained > 0) j.modelToken = models.mint(j.client, _record(jobId, trained)) + 1;
        emit JobClosed(jobId, j.outcome, refund, j.modelToken);
    }

    function _record(uint256 jobId, uint32 trained) internal view returns (IModelRegistry.ModelRecord memory r) {
        JobSpec storage s = _specs[jobId];
        Lineage storage l = _lineages[jobId];
        (r.jobId, r.program, r.programId, r.dataRoot) = (jobId, s.program, s.programId, s.data);
        (r.stateRoot, r.stateBlob, r.segmentsRoot) = (l.stateRoot, l.stateBlob, l.segmentsRoot);
        (r.segments, r.lossBits) = (trained, l.lossBits);
        (r.providers, r.licence) = (l.providers, s.licence);
    }

    function _freeBond(uint256 jobId, address provider) internal {
        uint256 amount = _bonds[jobId][provider].amount;
        _bonds[jobId][provider].amount = 0;
        registry.release(provider, amount);
        emit BondFreed(jobId, provider, amount);
    }

    function _audit(uint256 jobId, uint32 seg) internal view returns (Audit storage) {
        return _audits[jobId][seg][_segments[jobId][seg].attempt];
    }

    function _find(Audit storage a, address who) internal view returns (bool, uint256) {
        for (uint256 i = a.list.length; i > 0; i--) if (a.list[i - 1].who == who) return (true, i - 1);
        return (false, 0);
    }
}
