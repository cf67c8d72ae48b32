// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MarketBase} from "./MarketBase.sol";
import {MarketEnds} from "./MarketEnds.sol";

/// @title Disputes before the referee, and appeals: docs/spec/audits.md, section 7; docs/spec/referee.md
/// @notice The provider shows what its commitment stands for, the challenger points at what is wrong; the precompile REFEREE judges
/// each move, and whose clock runs out has lost. Nobody's stake decides. As MarketAudits this is code of ComputeMarket, called by
/// delegatecall: the referee answers the market alone.
contract MarketDisputes is MarketEnds {
    address internal constant REFEREE = address(0x0a02);
    /// What REFEREE's first byte says: whose turn it is, who has won, or from REFUSED on why not.
    uint8 internal constant CHALLENGERS = 1;
    uint8 internal constant PROVIDER_WON = 2;
    uint8 internal constant REFUSED = 0x10;
    /// Moves in which a side may have to run the segment or a unit of it again.
    uint8 internal constant LONG_MOVES = 10;

    constructor(Parts memory parts, Params memory params_) MarketBase(parts, params_) {}

    function dispute(uint256 jobId, uint32 seg) external payable {
        (Segment storage s, Audit storage a) = _liveSegment(jobId, seg);
        require(s.state == SegmentState.Accepted || s.state == SegmentState.Appealed, WrongState());
        require(block.number < s.phaseDeadline, TooLate());
        require(s.divergesAt == 0, WrongState());
        require(msg.sender != s.provider, NotAllowed());
        Dispute storage d = a.dispute;
        uint256 seat = _accuser(a, msg.sender);
        uint256 needed = _disputeBond(jobId, a, seat);
        require(msg.value >= needed, BadValue("bond"));
        _credit(msg.sender, msg.value - needed);
        (d.challenger, d.bond, d.moves) = (msg.sender, needed, 0);
        if (seat < a.list.length) a.list[seat].disputed = true;
        a.accused = s.provider;
        _openDisputes[s.provider]++;
        s.state = SegmentState.Disputed;
        emit SegmentDisputed(jobId, seg, msg.sender, needed);
        _take(jobId, seg, s, a, _ask(_claim(jobId, seg, s), ""));
    }

    /// `state` is what the last DisputeMoved told.
    function play(uint256 jobId, uint32 seg, bytes calldata state, bytes calldata move) external {
        (Segment storage s, Audit storage a) = _liveSegment(jobId, seg);
        require(s.state == SegmentState.Disputed, WrongState());
        Dispute storage d = a.dispute;
        require(msg.sender == (d.turn == CHALLENGERS ? d.challenger : s.provider), NotAllowed());
        require(!_isOver(s), TooLate());
        require(keccak256(state) == d.stateHash, BadValue("state"));
        require(move.length > 0, BadValue("move"));
        d.moves++;
        bytes memory answer = _ask(state, move);
        uint8 turn = uint8(answer[0]);
        if (turn == PROVIDER_WON) return _lose(jobId, seg, s, a);
        _take(jobId, seg, s, a, answer);
    }

    function timeout(uint256 jobId, uint32 seg) external {
        (Segment storage s, Audit storage a) = _liveSegment(jobId, seg);
        require(s.state == SegmentState.Disputed, WrongState());
        require(_isOver(s), NotYet());
        if (a.dispute.turn == CHALLENGERS) _lose(jobId, seg, s, a);
        else _win(jobId, seg, s, a);
    }

    /// Only the referee judges after that, and whoever does not ask it agrees.
    function appeal(uint256 jobId, uint32 seg) external payable {
        (Segment storage s, Audit storage a) = _liveSegment(jobId, seg);
        require(s.state == SegmentState.Convicted, WrongState());
        require(msg.sender == s.provider, NotAllowed());
        require(!_isOver(s), TooLate());
        uint256 needed = _appealBond(jobId);
        require(msg.value >= needed, BadValue("bond"));
        _credit(msg.sender, msg.value - needed);
        (a.accused, a.appealBond) = (msg.sender, needed);
        emit SegmentAppealed(jobId, seg, msg.sender, needed);
        _waitForDisputes(s, a);
    }

    // --- inside

    /// docs/spec/execution.md: the claim's fields, big-endian.
    function _claim(uint256 jobId, uint32 seg, Segment storage s) internal view returns (bytes memory) {
        JobSpec storage j = _specs[jobId];
        return abi.encodePacked(
            j.programId, _jobs[jobId].runSeed, j.microBatches, s.lossBits, uint32(seg * j.stepsPerSegment), j.stepsPerSegment,
            s.first, s.last, s.stepsRoot
        );
    }

    function _ask(bytes memory state, bytes memory move) internal view returns (bytes memory answer) {
        bool ok;
        (ok, answer) = REFEREE.staticcall(abi.encodePacked(uint32(state.length), state, move));
        require(ok && answer.length > 0, BadValue("referee"));
        if (uint8(answer[0]) >= REFUSED) revert Refused(uint8(answer[0]) - REFUSED);
    }

    /// The game goes on with what the referee answered.
    function _take(uint256 jobId, uint32 seg, Segment storage s, Audit storage a, bytes memory answer) internal {
        Dispute storage d = a.dispute;
        d.turn = uint8(answer[0]);
        bytes memory state = new bytes(answer.length - 1);
        assembly ("memory-safe") {
            mcopy(add(state, 32), add(answer, 33), mload(state))
        }
        d.stateHash = keccak256(state);
        (s.phaseDeadline, d.movedAt) = (uint64(block.number) + _blocksForMove(jobId, a), uint64(block.number));
        if (a.appealBond > 0) _holdJudges(a, s.phaseDeadline + 2 * uint256(_params.windowBlocks));
        emit DisputeMoved(jobId, seg, d.turn, state);
    }

    /// A provider that is asked about several segments at a time can answer only one after the other.
    function _blocksForMove(uint256 jobId, Audit storage a) internal view returns (uint64 blocks) {
        blocks = _params.moveBlocks;
        if (a.dispute.moves < LONG_MOVES) blocks += 2 * _specs[jobId].segmentBlocks;
        if (a.dispute.turn != CHALLENGERS) blocks *= uint64(_openDisputes[a.accused]);
    }

    /// A lost dispute blesses nothing: the segment may be disputed again, for twice the bond.
    function _lose(uint256 jobId, uint32 seg, Segment storage s, Audit storage a) internal {
        Dispute storage d = a.dispute;
        (uint256 lost, uint256 half) = (d.bond, d.bond / 2);
        d.lost++;
        _credit(s.provider, half);
        _burn(lost - half);
        _settleDispute(jobId, seg, a, false, lost);
        if (a.appealBond > 0) _waitForDisputes(s, a);
        else _accept(jobId, seg, s, a, !a.unaudited);
    }

    /// The provider claimed what is not so, or has left: by itself that does not show that auditors were wrong who called it right.
    /// Where a committee had convicted it, its word is carried out.
    function _win(uint256 jobId, uint32 seg, Segment storage s, Audit storage a) internal {
        address challenger = a.dispute.challenger;
        uint256 slashed = _slash(jobId, s.provider);
        uint256 bounty = slashed * _params.bountyBps / ONE;
        if (a.appealBond > 0) {
            bounty = _reward(a, a.best, challenger, a.challenge.challenger, bounty);
            _fineSaid(jobId, seg, a, Verdict.Match, address(0));
        } else {
            _credit(challenger, bounty);
        }
        _burn(slashed - bounty);
        _settleAppeal(jobId, seg, a, false, challenger);
        _settleChallenge(jobId, seg, a, true, 0);
        _settleDispute(jobId, seg, a, true, 0);
        _void(jobId, seg, s, a, slashed, "fraud");
    }

    function _waitForDisputes(Segment storage s, Audit storage a) internal {
        s.state = SegmentState.Appealed;
        _setPhase(s, a, Phase.Done, 2 * _params.windowBlocks);
        // The call that acquits comes after the deadline, perhaps not at once.
        _holdJudges(a, s.phaseDeadline + _params.windowBlocks);
    }
}
