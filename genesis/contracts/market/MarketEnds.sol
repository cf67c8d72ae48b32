// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MarketDraws} from "./MarketDraws.sol";

/// @title How the judgement of a segment ends: for committees and for the referee
abstract contract MarketEnds is MarketDraws {
    /// Rounds of level 1: the pair, the committee, and one committee more for each challenge.
    uint8 internal constant PAIR = 0;
    uint8 internal constant COMMITTEE = 1;
    /// Digests of a Mismatch that found none: the job is not what it names; what the provider committed to cannot be had.
    bytes32 internal constant UNSOUND = 0;
    bytes32 internal constant WITHHELD = bytes32(uint256(1));

    function _accept(uint256 jobId, uint32 seg, Segment storage s, Audit storage a, bool audited) internal {
        // Nothing but a challenge or a dispute stands against what nobody audited.
        _acceptFor(jobId, seg, s, a, audited, audited ? _params.windowBlocks : 2 * _params.windowBlocks);
    }

    function _acceptFor(uint256 jobId, uint32 seg, Segment storage s, Audit storage a, bool audited, uint64 blocks) internal {
        s.state = SegmentState.Accepted;
        a.unaudited = !audited;
        _setPhase(s, a, Phase.Done, blocks);
        emit SegmentAccepted(jobId, seg, audited);
    }

    /// The job goes back to the state before `seg`; later segments are void with it, because the tip is below them.
    function _void(uint256 jobId, uint32 seg, Segment storage s, Audit storage a, uint256 slashed, string memory reason) internal {
        Job storage j = _jobs[jobId];
        s.state = SegmentState.Void;
        a.phase = Phase.Done;
        _voidAt[jobId][j.attempt] = seg;
        j.attempt++;
        j.tip = seg;
        j.tipRoot = seg == 0 ? bytes32(0) : s.first;
        emit SegmentVoid(jobId, seg, s.provider, slashed);
        if (j.outcome == Outcome.Cancelled || j.outcome == Outcome.Expired) return;
        _reopen(jobId, reason);
    }

    /// The whole bond goes.
    function _slash(uint256 jobId, address provider) internal returns (uint256 amount) {
        Bond storage b = _bonds[jobId][provider];
        amount = b.amount;
        b.amount = 0;
        b.slashed = true;
        registry.slash(provider, amount);
    }

    /// Whoever replayed the segment and `said` what is wrong; a half may go to the provider. Who could not judge pays as if silent.
    function _fineSaid(uint256 jobId, uint32 seg, Audit storage a, Verdict said, address half) internal {
        for (uint256 i = 0; i < a.list.length; i++) {
            Auditor storage it = a.list[i];
            if (it.level != SegmentState.L1 || it.verdict != said || it.unpaid) continue;
            it.unpaid = true;
            _fine(jobId, seg, it.who, _fineFor(it) * _specs[jobId].auditFee, half, "minority");
        }
    }

    function _fineFor(Auditor storage it) internal view returns (uint256) {
        bool judged = it.answers[0] != UNSOUND && it.answers[0] != WITHHELD;
        return judged ? _params.deviationFactor : _params.missFactor;
    }

    // --- who raised or confirmed an alarm

    /// Half of the bounty to `first`, if there is one, the rest to those who raised the alarm or said what `a.list[best]` says;
    /// `asked` raised it too, if there is one.
    function _reward(Audit storage a, uint256 best, address first, address asked, uint256 bounty) internal returns (uint256) {
        uint256 half = first == address(0) ? 0 : bounty / 2;
        _credit(first, half);
        uint256 winners = asked == address(0) ? 0 : 1;
        for (uint256 i = 0; i < a.list.length; i++) if (_isWinner(a, i, best)) winners++;
        uint256 share = (bounty - half) / winners;
        if (asked != address(0)) _credit(asked, share);
        for (uint256 i = 0; i < a.list.length; i++) if (_isWinner(a, i, best)) _credit(a.list[i].who, share);
        return half + share * winners;
    }

    function _isWinner(Audit storage a, uint256 i, uint256 best) internal view returns (bool) {
        if (a.list[i].verdict == Verdict.None) return false;
        return a.list[i].level == SegmentState.L0 ? a.list[i].raised : _confirms(a, i, best);
    }

    /// A replay of this round or an earlier one says the same.
    function _confirms(Audit storage a, uint256 i, uint256 best) internal view returns (bool) {
        return a.list[i].round == PAIR ? _foresaw(a, i, best) : _agrees(a, i, best);
    }

    function _agrees(Audit storage a, uint256 i, uint256 k) internal view returns (bool) {
        return a.list[i].verdict == a.list[k].verdict && a.list[i].answers[0] == a.list[k].answers[0];
    }

    /// The pair revealed the hash of what the committee reveals, so that nobody could copy from it.
    function _foresaw(Audit storage a, uint256 i, uint256 best) internal view returns (bool) {
        return a.list[i].verdict == a.list[best].verdict
            && a.list[i].answers[0] == sha256(abi.encodePacked(a.list[best].answers[0]));
    }

    // --- bonds of those who object

    /// Ends the challenge, if there is one; all of the bond but `kept` goes back.
    function _settleChallenge(uint256 jobId, uint32 seg, Audit storage a, bool won, uint256 kept) internal {
        Challenge storage c = a.challenge;
        if (c.challenger == address(0)) return;
        (address who, uint256 returned) = (c.challenger, c.bond - kept);
        (c.challenger, c.bond) = (address(0), 0);
        _credit(who, returned);
        emit ChallengeSettled(jobId, seg, who, won, returned);
    }

    function _settleDispute(uint256 jobId, uint32 seg, Audit storage a, bool won, uint256 kept) internal {
        Dispute storage d = a.dispute;
        if (d.challenger == address(0)) return;
        (address who, uint256 returned) = (d.challenger, d.bond - kept);
        (d.challenger, d.bond, d.stateHash) = (address(0), 0, 0);
        _openDisputes[a.accused]--;
        _credit(who, returned);
        emit DisputeSettled(jobId, seg, who, won, returned);
    }

    /// Ends the appeal, if there is one; the bond goes to `to`.
    function _settleAppeal(uint256 jobId, uint32 seg, Audit storage a, bool won, address to) internal {
        uint256 amount = a.appealBond;
        if (amount == 0) return;
        a.appealBond = 0;
        _credit(to, amount);
        emit AppealSettled(jobId, seg, a.accused, won, to == a.accused ? amount : 0);
    }

    // --- stake that fines are taken from

    /// Those who have judged it, right or wrong, answer for that until it is judged again.
    function _holdJudges(Audit storage a, uint256 until) internal {
        for (uint256 i = 0; i < a.list.length; i++) {
            Auditor storage it = a.list[i];
            bool judged = it.level == SegmentState.L1 ? it.verdict != Verdict.None : it.raised;
            if (judged && !it.unpaid) staking.hold(it.who, uint64(until));
        }
    }
}
