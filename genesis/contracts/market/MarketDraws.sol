// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MarketBase} from "./MarketBase.sol";

/// @title Who audits what: the part of the audits that views need as well
abstract contract MarketDraws is MarketBase {
    /// What one auditor of level 0 replays: indexes into the segment's n·M units.
    function _unitIndexes(uint256 jobId, uint32 seg, Auditor storage who) internal view returns (uint256[] memory) {
        Segment storage s = _segments[jobId][seg];
        bytes32 seed = _audits[jobId][seg][s.attempt].seed;
        bytes memory prefix = abi.encode(TAG_UNIT, seed, jobId, seg, s.attempt, who.round, who.k);
        return rules.drawUnits(prefix, _unitCount(jobId), _unitsAll(jobId));
    }

    /// The units of all auditors that answered at level 0, in the order in which they were seated.
    function _drawnUnits(uint256 jobId, uint32 seg) internal view returns (uint256[] memory drawn) {
        Audit storage a = _audits[jobId][seg][_segments[jobId][seg].attempt];
        drawn = new uint256[](a.answered * _unitCount(jobId));
        uint256 next = 0;
        for (uint256 i = 0; i < a.list.length; i++) {
            if (a.list[i].verdict == Verdict.None || a.list[i].level != SegmentState.L0) continue;
            uint256[] memory own = _unitIndexes(jobId, seg, a.list[i]);
            for (uint256 u = 0; u < own.length; u++) drawn[next++] = own[u];
        }
    }

    /// Indexes into n·M as global step and micro-batch.
    function _split(uint256 jobId, uint32 seg, uint256[] memory drawn) internal view returns (uint32[] memory t, uint32[] memory j) {
        uint256 m = _specs[jobId].microBatches;
        uint256 firstStep = uint256(seg) * _specs[jobId].stepsPerSegment;
        (t, j) = (new uint32[](drawn.length), new uint32[](drawn.length));
        for (uint256 i = 0; i < drawn.length; i++) (t[i], j[i]) = (uint32(firstStep + drawn[i] / m), uint32(drawn[i] % m));
    }

    function _unitsAll(uint256 jobId) internal view returns (uint256) {
        return uint256(_specs[jobId].stepsPerSegment) * _specs[jobId].microBatches;
    }

    function _unitCount(uint256 jobId) internal view returns (uint256) {
        uint256 all = _unitsAll(jobId);
        return _params.units < all ? _params.units : all;
    }

    /// Of a Committed segment. Else it is replayed: somebody has judged it already, or it shows nothing.
    function _opensLevel0(Segment storage s, Audit storage a) internal view returns (bool) {
        return s.round == 0 && a.list.length == 0 && s.divergesAt == 0;
    }

    /// Blocks until the work of one kind that is left fits into half of the time for it: whoever is seated then has the other half,
    /// which no audit exceeds.
    function _blocksToRoom(uint256 kind) internal view returns (uint256) {
        uint256 slack = (kind == AUDITS ? _params.commitBlocks : _params.commitBlocksL1) / 2;
        uint256 busyUntil = (uint256(_busyUntil[kind]) + type(uint32).max) >> 32;
        return busyUntil > block.number + slack ? busyUntil - block.number - slack : 0;
    }

    /// Twice a segment's price and a committee's fees, doubled by each earlier challenge: whoever delays a payment again and again
    /// pays more each time.
    function _challengeBond(uint256 jobId, Audit storage a) internal view returns (uint256) {
        JobSpec storage s = _specs[jobId];
        return (2 * s.pricePerSegment + _committeeFees(jobId)) << a.challenge.number;
    }

    /// Doubled by each dispute that was lost: whoever loses on purpose to keep others away pays more each time. But not for those who
    /// are fined if nobody proves what they said: `seat` is theirs.
    function _disputeBond(uint256 jobId, Audit storage a, uint256 seat) internal view returns (uint256) {
        return (2 * _specs[jobId].pricePerSegment) << (seat < a.list.length ? 0 : a.dispute.lost);
    }

    /// Where one sits that called an appealed segment wrong and has not disputed it yet; else behind the last.
    function _accuser(Audit storage a, address who) internal view returns (uint256 seat) {
        if (a.appealBond == 0) return a.list.length;
        for (; seat < a.list.length; seat++) {
            Auditor storage it = a.list[seat];
            if (it.who == who && it.level == SegmentState.L1 && it.verdict == Verdict.Mismatch && !it.disputed) break;
        }
    }

    function _appealBond(uint256 jobId) internal view returns (uint256) {
        return 2 * _specs[jobId].pricePerSegment;
    }

    function _committeeFees(uint256 jobId) internal view returns (uint256) {
        return _params.k2 * _specs[jobId].auditFee;
    }

    function _round(Audit storage a) internal view returns (address[] memory who) {
        who = new address[](a.list.length - a.start);
        for (uint256 i = 0; i < who.length; i++) who[i] = a.list[a.start + i].who;
    }
}
