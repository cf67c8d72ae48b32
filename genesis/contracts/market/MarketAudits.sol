// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAuditRules} from "../interfaces/IAuditRules.sol";
import {MarketBase} from "./MarketBase.sol";
import {MarketEnds} from "./MarketEnds.sol";

/// @title Audits of committed segments: docs/spec/audits.md, sections 3 to 6
/// @notice Level 0: Serve, Commit, Reveal, again with substitutes for the silent, then Open. Level 1: Commit, Reveal, by a
/// pair if drawn by lot, by the committee after any alarm, by a fresh one after a challenge. A phase ends when everyone has acted
/// or its deadline has passed; then anyone may call `advance`. This is a part of ComputeMarket's code, which calls it by
/// delegatecall: the storage is the market's. On its own it holds nothing.
contract MarketAudits is MarketEnds {
    /// Of an attempt. To use them up a cheat needs as many committees of its own, each drawn anew.
    uint8 internal constant MAX_CHALLENGES = 4;
    constructor(Parts memory parts, Params memory params_) MarketBase(parts, params_) {}

    /// A commitment that nobody has opened while its auditors' stake was surely there counts as made in this block: it waits
    /// for another seed, and those who hold stake now audit it. So does a draw that has found no room for too long.
    function openAudit(uint256 jobId, uint32 seg) public {
        (Segment storage s, Audit storage a) = _liveSegment(jobId, seg);
        require(s.state == SegmentState.Committed, WrongState());
        if (block.number >= (a.seatBefore > 0 ? a.seatBefore : staking.backedUntil(s.seedEpoch))) {
            _dateAnew(jobId, s, a);
            emit AuditPostponed(jobId, seg, s.seedEpoch);
            return;
        }
        if (s.round == 0 && a.list.length == 0) a.seed = _seed(s);
        if (!_opensLevel0(s, a)) return _startLevel1(jobId, seg, s, a, s.round);
        bool waits = _mustWait(jobId, seg, s, a, AUDITS);
        _holdDrawn(jobId, seg, s, a, _blocksHeld(jobId, waits));
        if (waits) return;
        s.state = SegmentState.L0;
        if (!_startRound(jobId, seg, s, a, _params.k0)) _accept(jobId, seg, s, a, false);
    }

    function serve(uint256 jobId, uint32 seg, bytes32 bundleBlob) external {
        (Segment storage s, Audit storage a) = _liveSegment(jobId, seg);
        require(msg.sender == s.provider, NotAllowed());
        require(a.phase == Phase.Serve, WrongState());
        require(!_isOver(s), TooLate());
        require(bundleBlob != 0, BadValue("bundle"));
        s.bundleBlob = bundleBlob;
        emit BundleServed(jobId, seg, bundleBlob);
        _setPhase(s, a, Phase.Commit, _params.commitBlocks);
    }

    function commitAnswer(uint256 jobId, uint32 seg, bytes32 c) external {
        (Segment storage s, Audit storage a) = _liveSegment(jobId, seg);
        Auditor storage me = _me(a);
        require(a.phase == Phase.Commit && me.commitment == 0, WrongState());
        require(!_isOver(s), TooLate());
        require(c != 0, BadValue("commitment"));
        me.commitment = c;
        a.committed++;
        emit AnswerCommitted(jobId, seg, msg.sender, c);
        if (a.committed == a.list.length - a.start) _setPhase(s, a, Phase.Reveal, _params.revealBlocks);
    }

    function revealAnswer(uint256 jobId, uint32 seg, Verdict verdict, bytes32[] calldata answers, bytes32 salt) external {
        (Segment storage s, Audit storage a) = _liveSegment(jobId, seg);
        Auditor storage me = _me(a);
        require(a.phase == Phase.Reveal && me.verdict == Verdict.None, WrongState());
        require(!_isOver(s), TooLate());
        _checkAnswers(jobId, s.state, verdict, answers.length);
        bytes32 c = keccak256(abi.encode(jobId, seg, s.attempt, s.state, s.round, msg.sender, verdict, answers, salt));
        require(c == me.commitment, BadValue("commitment"));
        (me.verdict, me.answers) = (verdict, answers);
        a.revealed++;
        emit AnswerRevealed(jobId, seg, msg.sender, verdict);
        if (s.state == SegmentState.L0) {
            a.answered++;
            if (verdict == Verdict.Mismatch) (me.raised, a.raised) = (true, true);
        }
        if (a.revealed == a.committed) _endReveal(jobId, seg, s, a);
    }

    function open(uint256 jobId, uint32 seg, UnitOpening[] calldata openings) external {
        (Segment storage s, Audit storage a) = _liveSegment(jobId, seg);
        require(msg.sender == s.provider, NotAllowed());
        require(a.phase == Phase.Open, WrongState());
        require(!_isOver(s), TooLate());
        uint256[] memory drawn = _drawnUnits(jobId, seg);
        bytes32[] memory leaves = rules.checkOpenings(msg.data[4:], drawn, _shape(jobId, seg, s));
        _compare(a, leaves);
        emit SegmentOpened(jobId, seg, openings.length);
        if (a.raised) _startLevel1(jobId, seg, s, a, COMMITTEE);
        else _acceptUnlessDrawn(jobId, seg, s, a, true);
    }

    function advance(uint256 jobId, uint32 seg) external {
        (Segment storage s, Audit storage a) = _liveSegment(jobId, seg);
        if (s.state == SegmentState.Committed) return openAudit(jobId, seg);
        bool isJudged = s.state == SegmentState.Convicted || s.state == SegmentState.Appealed;
        require(isJudged || s.state == SegmentState.L0 || s.state == SegmentState.L1, WrongState());
        require(_isOver(s), NotYet());
        if (s.state == SegmentState.Convicted) {
            _convict(jobId, seg, s, a);
        } else if (s.state == SegmentState.Appealed) {
            _acquit(jobId, seg, s, a);
        } else if (a.phase == Phase.Serve || a.phase == Phase.Open) {
            a.providerFailed = true;
            _startLevel1(jobId, seg, s, a, COMMITTEE);
        } else if (a.phase == Phase.Commit && a.committed > 0) {
            _setPhase(s, a, Phase.Reveal, _params.revealBlocks);
        } else {
            _endReveal(jobId, seg, s, a);
        }
    }

    // --- challenges

    /// As if committed in this block: nobody knows yet who will judge it.
    function challenge(uint256 jobId, uint32 seg) external payable {
        (Segment storage s, Audit storage a) = _liveSegment(jobId, seg);
        require(s.state == SegmentState.Accepted, WrongState());
        require(block.number < s.phaseDeadline, TooLate());
        require(msg.sender != s.provider, NotAllowed());
        Challenge storage c = a.challenge;
        require(c.number < MAX_CHALLENGES, BadValue("challenges"));
        uint256 needed = _challengeBond(jobId, a);
        require(msg.value >= needed, BadValue("bond"));
        (c.challenger, c.bond) = (msg.sender, needed);
        c.number++;
        _credit(msg.sender, msg.value - needed);
        (s.state, s.round, s.phaseDeadline) = (SegmentState.Committed, COMMITTEE + c.number, 0);
        // Whatever the provider failed to do before has been judged.
        (a.phase, a.providerFailed) = (Phase.None, false);
        _dateAnew(jobId, s, a);
        emit SegmentChallenged(jobId, seg, msg.sender, needed);
    }

    function reclaim(uint256 jobId, uint32 seg, uint32 attempt) external {
        require(seg >= _jobs[jobId].tip || _segments[jobId][seg].attempt != attempt, WrongState());
        Audit storage a = _audits[jobId][seg][attempt];
        bool due = a.challenge.challenger != address(0) || a.dispute.challenger != address(0) || a.appealBond > 0;
        require(due, NothingDue());
        _settleChallenge(jobId, seg, a, false, 0);
        _settleDispute(jobId, seg, a, false, 0);
        _settleAppeal(jobId, seg, a, false, a.accused);
    }

    function _dateAnew(uint256 jobId, Segment storage s, Audit storage a) internal {
        (s.seedEpoch, a.seatBefore) = (uint64(beacon.epochOf(block.number)), 0);
        _holdJudges(a, staking.backedUntil(s.seedEpoch) + _auditBlocks(jobId));
    }

    /// The segment is right: the committee is paid, the provider for its trouble, and what is left is burned.
    function _loseChallenge(uint256 jobId, uint32 seg, Segment storage s, Audit storage a) internal {
        Challenge storage c = a.challenge;
        if (c.challenger == address(0)) return;
        uint256 fees = _committeeFees(jobId);
        uint256 half = (c.bond - fees) / 2;
        _jobs[jobId].escrow += fees;
        _credit(s.provider, half);
        _burn(c.bond - fees - half);
        _settleChallenge(jobId, seg, a, false, c.bond);
    }

    // --- rounds

    /// Draws `count` more auditors for level 0; false if there are none.
    function _startRound(uint256 jobId, uint32 seg, Segment storage s, Audit storage a, uint256 count) internal returns (bool) {
        address[] memory order = _draw(TAG_AUDIT, a.seed, jobId, seg, s, a.drawn + count);
        if (order.length <= a.drawn) return false;
        // Substitutes cannot wait: the segment's other auditors have answered.
        _addWork(AUDITS, s, (order.length - a.drawn) * _unitCount(jobId) * _specs[jobId].unitWork);
        if (s.round > 0) _hold(order, a.drawn, _auditBlocks(jobId));
        _seat(a, s, order, a.drawn);
        a.drawn = uint8(order.length);
        s.bundleBlob = 0;
        _setPhase(s, a, Phase.Serve, _params.serveBlocks);
        emit AuditOpened(jobId, seg, s.state, s.round, _round(a), a.seed);
        return true;
    }

    /// The pair has a draw of its own: who bought level 0's auditors has not bought it. The committee begins with level 0's. One
    /// that a challenge calls has a seed of its own too.
    function _startLevel1(uint256 jobId, uint32 seg, Segment storage s, Audit storage a, uint8 round) internal {
        s.round = round;
        bytes32 tag = round == PAIR ? TAG_PAIR : round == COMMITTEE ? TAG_AUDIT : TAG_CHALLENGE;
        // Level 0's, unless the segment was dated anew since.
        bytes32 seed = _seed(s);
        address[] memory order = _draw(tag, seed, jobId, seg, s, round == PAIR ? _params.k1 : _params.k2);
        bool waits = _mustWait(jobId, seg, s, a, REPLAYS);
        uint256 blocks = _blocksHeld(jobId, waits);
        _hold(order, 0, blocks);
        if (round == PAIR) _hold(_draw(TAG_AUDIT, seed, jobId, seg, s, _params.k2), 0, blocks);
        if (waits) return;
        _addWork(REPLAYS, s, order.length * _unitsAll(jobId) * _specs[jobId].unitWork);
        s.state = SegmentState.L1;
        _seat(a, s, order, 0);
        // Replaying the whole segment takes as long as training it; the client chose that time.
        _setPhase(s, a, Phase.Commit, _params.commitBlocksL1 + 2 * _specs[jobId].segmentBlocks);
        emit AuditOpened(jobId, seg, s.state, s.round, _round(a), seed);
    }

    function _seat(Audit storage a, Segment storage s, address[] memory order, uint256 from) internal {
        a.seatBefore = 0;
        (a.start, a.committed, a.revealed) = (uint8(a.list.length), 0, 0);
        for (uint256 i = from; i < order.length; i++) {
            Auditor storage auditor = a.list.push();
            (auditor.who, auditor.level, auditor.round, auditor.k) = (order[i], s.state, s.round, uint8(i - from));
        }
    }

    // --- queues

    /// Whether those who are drawn must wait: what the chain's auditors have to do leaves no room. Said once for each draw; then the
    /// call fails until there is.
    function _mustWait(uint256 jobId, uint32 seg, Segment storage s, Audit storage a, uint256 kind) internal returns (bool) {
        uint256 blocks = _blocksToRoom(kind);
        if (blocks == 0) return false;
        require(a.seatBefore == 0, AuditorsBusy(block.number + blocks));
        (s.state, s.phaseDeadline, a.phase) = (SegmentState.Committed, 0, Phase.None);
        a.seatBefore = uint64(block.number + _auditBlocks(jobId));
        _holdJudges(a, block.number + _blocksHeld(jobId, true));
        emit AuditWaits(jobId, seg, block.number + blocks);
        return true;
    }

    /// As if the auditors did a quarter of workPerBlock at each kind of work, and the most heavily staked as much of it as is its
    /// share of the draws. What nobody does is forgotten.
    function _addWork(uint256 kind, Segment storage s, uint256 work) internal {
        (uint256 total, uint256 largest) = staking.spread(s.seedEpoch);
        uint256 from = block.number << 32;
        if (_busyUntil[kind] > from) from = _busyUntil[kind];
        _busyUntil[kind] = uint128(from + (work * 4 * largest << 32) / (_params.workPerBlock * total));
    }

    function _endReveal(uint256 jobId, uint32 seg, Segment storage s, Audit storage a) internal {
        uint256 missing = _fineSilent(jobId, seg, a);
        if (s.state == SegmentState.L1) {
            if (s.round != PAIR) return _decide(jobId, seg, s, a);
            return _pairClears(a) ? _accept(jobId, seg, s, a, true) : _startLevel1(jobId, seg, s, a, COMMITTEE);
        }
        if (a.raised) return _startLevel1(jobId, seg, s, a, COMMITTEE);
        if (missing > 0 && s.round < _params.substRounds) {
            s.round++;
            if (_startRound(jobId, seg, s, a, missing)) return;
        }
        if (a.answered > 0) _setPhase(s, a, Phase.Open, _params.openBlocks);
        else _acceptUnlessDrawn(jobId, seg, s, a, false);
    }

    function _fineSilent(uint256 jobId, uint32 seg, Audit storage a) internal returns (uint256 missing) {
        uint256 amount = uint256(_params.missFactor) * _specs[jobId].auditFee;
        for (uint256 i = a.start; i < a.list.length; i++) {
            if (a.list[i].verdict != Verdict.None) continue;
            missing++;
            a.list[i].unpaid = true;
            _fine(jobId, seg, a.list[i].who, amount, address(0), "silent");
        }
    }

    // --- level 1

    /// The pair clears a segment only if each of it answered, and all the same Match. Anything else, silence too, is for the
    /// committee: two alone may acquit, but never convict.
    function _pairClears(Audit storage a) internal view returns (bool) {
        if (a.list.length == a.start) return false;
        for (uint256 i = a.start; i < a.list.length; i++) {
            if (a.list[i].verdict != Verdict.Match || !_agrees(a, a.start, i)) return false;
        }
        return true;
    }

    /// The answer (verdict, digest) with the most stake decides if it holds more than half of what answered. Without such an
    /// answer nobody is slashed: the segment is void, or accepted unaudited when the provider did its part and no auditor did; but
    /// not one that diverges, of which it has shown nothing. A Mismatch that the job is unsound proves no fraud: void and a fine. One that the provider withholds what it committed to
    /// costs as much as a fraud, and pays nobody.
    function _decide(uint256 jobId, uint32 seg, Segment storage s, Audit storage a) internal {
        (uint256 best, bool decided, bool any) = _majority(s, a);
        if (!decided) {
            _settleChallenge(jobId, seg, a, false, 0);
            if (any || a.providerFailed || s.divergesAt > 0) _void(jobId, seg, s, a, 0, "undecided");
            else _accept(jobId, seg, s, a, false);
            return;
        }
        bool isMatch = a.list[best].verdict == Verdict.Match;
        if (!isMatch && a.list[best].answers[0] == UNSOUND) {
            _settleChallenge(jobId, seg, a, false, 0);
            _fineProvider(jobId, s.provider, _lateFine(jobId));
            return _void(jobId, seg, s, a, 0, "unsound");
        }
        if (!isMatch && a.list[best].answers[0] == WITHHELD) {
            _settleChallenge(jobId, seg, a, false, 0);
            uint256 lost = _slash(jobId, s.provider);
            _burn(lost);
            return _void(jobId, seg, s, a, lost, "withheld");
        }
        a.best = uint8(best);
        if (!isMatch) return s.divergesAt > 0 ? _refute(jobId, seg, s, a) : _accuse(jobId, seg, s, a);
        _fineMinority(jobId, seg, a, best, s.provider);
        _fineEarlier(jobId, seg, a, best, s.provider);
        _fineDeviators(jobId, seg, s, a);
        _loseChallenge(jobId, seg, s, a);
        _accept(jobId, seg, s, a, true);
    }

    /// The committee's word stands unless the provider appeals.
    function _accuse(uint256 jobId, uint32 seg, Segment storage s, Audit storage a) internal {
        if (_params.windowBlocks == 0) return _convict(jobId, seg, s, a);
        s.state = SegmentState.Convicted;
        _setPhase(s, a, Phase.Done, _params.windowBlocks);
        emit SegmentConvicted(jobId, seg, s.provider, s.phaseDeadline);
    }

    /// It does not diverge there. No referee can be shown that, so no bond hangs on it, and nobody gains.
    function _refute(uint256 jobId, uint32 seg, Segment storage s, Audit storage a) internal {
        _fineMinority(jobId, seg, a, a.best, address(0));
        _fineEarlier(jobId, seg, a, a.best, address(0));
        _fineProvider(jobId, s.provider, _lateFine(jobId));
        _settleChallenge(jobId, seg, a, true, 0);
        _void(jobId, seg, s, a, 0, "no divergence");
    }

    function _convict(uint256 jobId, uint32 seg, Segment storage s, Audit storage a) internal {
        _fineMinority(jobId, seg, a, a.best, address(0));
        _fineEarlier(jobId, seg, a, a.best, address(0));
        uint256 slashed = _slash(jobId, s.provider);
        _burn(slashed - _reward(a, a.best, a.challenge.challenger, address(0), slashed * _params.bountyBps / ONE));
        _settleChallenge(jobId, seg, a, true, 0);
        _void(jobId, seg, s, a, slashed, "fraud");
    }

    /// The provider stood by its segment, and nobody could prove it wrong: the committee was.
    function _acquit(uint256 jobId, uint32 seg, Segment storage s, Audit storage a) internal {
        _fineSaid(jobId, seg, a, Verdict.Mismatch, s.provider);
        _fineDeviators(jobId, seg, s, a);
        _loseChallenge(jobId, seg, s, a);
        _settleAppeal(jobId, seg, a, true, s.provider);
        _acceptFor(jobId, seg, s, a, true, 0);
    }

    function _majority(Segment storage s, Audit storage a) internal view returns (uint256 best, bool decided, bool any) {
        uint256 total = 0;
        uint256 most = 0;
        for (uint256 i = a.start; i < a.list.length; i++) {
            if (a.list[i].verdict == Verdict.None) continue;
            any = true;
            total += staking.weightAt(a.list[i].who, s.seedEpoch);
            uint256 sum = 0;
            for (uint256 k = a.start; k < a.list.length; k++) {
                if (_agrees(a, i, k)) sum += staking.weightAt(a.list[k].who, s.seedEpoch);
            }
            if (sum > most) (best, most) = (i, sum);
        }
        decided = most * 2 > total;
    }

    function _fineMinority(uint256 jobId, uint32 seg, Audit storage a, uint256 best, address half) internal {
        uint256 amount = uint256(_params.deviationFactor) * _specs[jobId].auditFee;
        for (uint256 i = a.start; i < a.list.length; i++) {
            if (a.list[i].verdict == Verdict.None || _agrees(a, i, best)) continue;
            a.list[i].unpaid = true;
            _fine(jobId, seg, a.list[i].who, amount, half, "minority");
        }
    }

    /// The pair and committees before this one. Who could not judge what this one could pays as if it had kept silent.
    function _fineEarlier(uint256 jobId, uint32 seg, Audit storage a, uint256 best, address half) internal {
        for (uint256 i = 0; i < a.start; i++) {
            Auditor storage it = a.list[i];
            if (it.level != SegmentState.L1 || it.verdict == Verdict.None || it.unpaid || _confirms(a, i, best)) continue;
            it.unpaid = true;
            _fine(jobId, seg, it.who, _fineFor(it) * _specs[jobId].auditFee, half, "minority");
        }
    }

    /// The segment is right, so a level 0 auditor that raised an alarm was wrong. One that gave no answers said only that the
    /// bundle was missing or malformed; that cannot be judged here and costs it just its fee.
    function _fineDeviators(uint256 jobId, uint32 seg, Segment storage s, Audit storage a) internal {
        uint256 amount = uint256(_params.deviationFactor) * _specs[jobId].auditFee;
        for (uint256 i = 0; i < a.start; i++) {
            if (!a.list[i].raised || a.list[i].unpaid) continue;
            a.list[i].unpaid = true;
            if (a.list[i].answers.length > 0) _fine(jobId, seg, a.list[i].who, amount, s.provider, "deviation");
        }
    }

    // --- ends

    function _acceptUnlessDrawn(uint256 jobId, uint32 seg, Segment storage s, Audit storage a, bool audited) internal {
        if (_isDrawnForReplay(jobId, seg, s, a)) _startLevel1(jobId, seg, s, a, PAIR);
        else _accept(jobId, seg, s, a, audited);
    }

    // --- draws

    function _seed(Segment storage s) internal view returns (bytes32 seed) {
        seed = beacon.seed(s.seedEpoch + 2);
        require(seed != 0, NotYet());
    }

    function _draw(bytes32 tag, bytes32 sigma, uint256 jobId, uint32 seg, Segment storage s, uint256 count)
        internal view returns (address[] memory)
    {
        bytes32 seed = keccak256(abi.encode(tag, sigma, jobId, seg, s.attempt));
        return staking.draw(seed, s.seedEpoch, s.provider, _jobs[jobId].client, count);
    }

    /// Level 0 replays units and updates, but not how a step's gradients are summed from its units, nor their norm.
    function _isDrawnForReplay(uint256 jobId, uint32 seg, Segment storage s, Audit storage a) internal view returns (bool) {
        bytes32 lot = keccak256(abi.encode(TAG_REPLAY, a.seed, jobId, seg, s.attempt));
        return uint256(lot) % ONE < _params.replayBps;
    }

    function _compare(Audit storage a, bytes32[] memory leaves) internal {
        uint256 next = 0;
        for (uint256 i = 0; i < a.list.length; i++) {
            Auditor storage auditor = a.list[i];
            for (uint256 u = 0; u < auditor.answers.length; u++) {
                if (leaves[next++] != auditor.answers[u]) (auditor.raised, a.raised) = (true, true);
            }
        }
    }

    function _shape(uint256 jobId, uint32 seg, Segment storage s) internal view returns (IAuditRules.Shape memory) {
        JobSpec storage j = _specs[jobId];
        uint256 steps = j.stepsPerSegment;
        return IAuditRules.Shape(seg * steps, steps, j.microBatches, s.stepsRoot, s.lossBits);
    }

    /// Level 0: every drawn unit, or nothing with a Mismatch that claims a missing or malformed bundle. Level 1: one digest.
    function _checkAnswers(uint256 jobId, SegmentState level, Verdict verdict, uint256 count) internal view {
        require(verdict != Verdict.None, BadValue("verdict"));
        bool fits = level == SegmentState.L1
            ? count == 1
            : count == _unitCount(jobId) || (count == 0 && verdict == Verdict.Mismatch);
        require(fits, BadValue("answers"));
    }

    // --- stake that fines are taken from

    /// Who will substitute or replay if it comes to that is known from the seed on, and could leave before it is seated.
    function _holdDrawn(uint256 jobId, uint32 seg, Segment storage s, Audit storage a, uint256 blocks) internal {
        uint256 seats = uint256(_params.k0) * (1 + uint256(_params.substRounds));
        _hold(_draw(TAG_AUDIT, a.seed, jobId, seg, s, seats > _params.k2 ? seats : _params.k2), 0, blocks);
        if (_isDrawnForReplay(jobId, seg, s, a)) _hold(_draw(TAG_PAIR, a.seed, jobId, seg, s, _params.k1), 0, blocks);
    }

    function _hold(address[] memory who, uint256 from, uint256 blocks) internal {
        for (uint256 i = from; i < who.length; i++) staking.hold(who[i], uint64(block.number + blocks));
    }

    /// Who waits is held for the longest wait too, after which others are drawn.
    function _blocksHeld(uint256 jobId, bool waits) internal view returns (uint256) {
        return (waits ? 2 : 1) * _auditBlocks(jobId);
    }

    /// A whole audit and the longer window after it, so that what is left of this one ends before, also if some phases end late.
    function _auditBlocks(uint256 jobId) internal view returns (uint256) {
        uint256 round = uint256(_params.serveBlocks) + _params.commitBlocks + _params.revealBlocks;
        uint256 replay = uint256(_params.commitBlocksL1) + 2 * _specs[jobId].segmentBlocks + _params.revealBlocks;
        return (1 + uint256(_params.substRounds)) * round + _params.openBlocks + 2 * replay + 2 * uint256(_params.windowBlocks);
    }

    // --- seats

    function _me(Audit storage a) internal view returns (Auditor storage) {
        for (uint256 i = a.start; i < a.list.length; i++) if (a.list[i].who == msg.sender) return a.list[i];
        revert NotAllowed();
    }
}
