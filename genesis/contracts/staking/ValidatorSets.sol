// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {Election} from "./Election.sol";
import {StakingBase} from "./StakingBase.sol";

/// @title Validator sets by epoch, leaders' turns, fees, and draws
/// @notice Epoch e covers heights e * epochLength + 1 to (e + 1) * epochLength. Its last block fixes the set of e + 2.
abstract contract ValidatorSets is StakingBase {
    using Checkpoints for Checkpoints.Trace208;

    bytes32 internal constant TAG_DRAW = keccak256("trainyard.draw.1");
    string internal constant TAG_LEADER = "trainyard/leader/v1";
    uint256 internal constant MAX_SEATS = 200;
    /// Skipped views that one block accounts for.
    uint256 internal constant MAX_SKIPPED = 32;
    /// Fewer turns than this in an epoch say nothing. Half of them missed is what Cosmos jails for
    /// (x/slashing, min_signed_per_window 0.5).
    uint256 internal constant MIN_TURNS = 8;

    uint256 public lastEpoch = 1;          // the last one whose set is fixed
    bytes32 internal _firstSeed;           // R_0
    address internal _lastLeader;
    uint256[][] internal _sets;            // of seats; Election.sol
    Checkpoints.Trace208 internal _setIds; // epoch -> index in _sets, from that epoch on
    uint256[] internal _largest;           // weights, by index in _sets

    /// (view, parentView, parentRandao): fees of the block before, turns of this one, and at the end of an epoch the
    /// jail and the election. It must not fail: that would make the block invalid.
    fallback() external {
        require(msg.sender == SYSTEM, NotSystem());
        require(msg.data.length == 96, BadInput());
        (uint256 view_, uint256 parentView, bytes32 parentRandao) = abi.decode(msg.data, (uint256, uint256, bytes32));
        _bookFees();
        _recordTurns(view_, parentView, parentRandao);
        if (block.number % epochLength == 0) _closeEpoch(block.number / epochLength - 1);
    }

    // --- views

    function setOf(uint256 epoch) external view returns (Seat[] memory set) {
        uint256[] storage seats = _seatsOf(epoch);
        set = new Seat[](seats.length);
        uint256 below = 0;
        for (uint256 i = 0; i < set.length; i++) {
            uint256 word = seats[i];
            Seat memory seat = set[i];
            seat.operator = address(uint160(word >> 96));
            Candidate storage c = _candidates[seat.operator];
            (seat.consensusKey, seat.vrfKey, seat.p2pKey) = (_key(c, 0), _key(c, 1), _key(c, 2));
            seat.weightGwei = uint96(word) - below;
            below = uint96(word);
        }
    }

    function validators() external view returns (ValidatorInit[] memory set) {
        uint256[] storage seats = _seatsOf(_epoch());
        set = new ValidatorInit[](seats.length);
        for (uint256 i = 0; i < set.length; i++) {
            address operator = address(uint160(seats[i] >> 96));
            Candidate storage c = _candidates[operator];
            set[i] = ValidatorInit(operator, _key(c, 0), _key(c, 1), _key(c, 2), uint256(c.self) + c.delegated.tokens);
        }
    }

    function validatorCount() external view returns (uint256) { return _seatsOf(_epoch()).length; }

    function weightAt(address operator, uint256 miniEpoch) external view returns (uint256) {
        uint256[] storage seats = _seatsAtMini(miniEpoch);
        (uint256 low, uint256 high) = (0, seats.length);
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (seats[middle] >> 96 < uint160(operator)) low = middle + 1;
            else high = middle;
        }
        if (low == seats.length || seats[low] >> 96 != uint160(operator)) return 0;
        return uint96(seats[low]) - (low == 0 ? 0 : uint96(seats[low - 1]));
    }

    function spread(uint256 miniEpoch) external view returns (uint256 total, uint256 largest) {
        uint256 id = _setOf(_epochOfMini(miniEpoch));
        return (uint96(_sets[id][_sets[id].length - 1]), _largest[id]);
    }

    function backedUntil(uint256 miniEpoch) external view returns (uint256) {
        uint256 epoch = _epochOfMini(miniEpoch);
        uint256 fixedAt = epoch < 2 ? 0 : (epoch - 1) * epochLength;
        return fixedAt + unbondBlocks;
    }

    function draw(bytes32 seed, uint256 miniEpoch, address a, address b, uint256 count) external view returns (address[] memory drawn) {
        uint256[] memory seats = _seatsAtMini(miniEpoch);
        uint256 total = 0;
        uint256 able = 0;
        uint256 below = 0;
        for (uint256 i = 0; i < seats.length; i++) {
            uint256 word = seats[i];
            address who = address(uint160(word >> 96));
            uint256 weight = who == a || who == b ? 0 : uint96(word) - below;
            below = uint96(word);
            seats[i] = word >> 96 << 96 | weight;
            total += weight;
            if (weight > 0) able++;
        }
        drawn = new address[](count < able ? count : able);
        for (uint256 i = 0; i < drawn.length; i++) {
            uint256 at = _pick(seats, uint256(keccak256(abi.encode(TAG_DRAW, seed, i))) % total);
            drawn[i] = address(uint160(seats[at] >> 96));
            total -= uint96(seats[at]);
            seats[at] = seats[at] >> 96 << 96;
        }
    }

    function _pick(uint256[] memory weighted, uint256 point) private pure returns (uint256 at) {
        while (point >= uint96(weighted[at])) {
            point -= uint96(weighted[at]);
            at++;
        }
    }

    // --- sets

    function _epoch() internal view returns (uint256) {
        return block.number == 0 ? 0 : (block.number - 1) / epochLength;
    }

    function _seatsOf(uint256 epoch) internal view returns (uint256[] storage) {
        return _sets[_setOf(epoch)];
    }

    function _setOf(uint256 epoch) private view returns (uint256) {
        require(epoch <= lastEpoch, NotYet());
        return _setIds.upperLookupRecent(uint48(epoch));
    }

    function _seatsAtMini(uint256 miniEpoch) private view returns (uint256[] storage) {
        return _seatsOf(_epochOfMini(miniEpoch));
    }

    function _epochOfMini(uint256 miniEpoch) private view returns (uint256) {
        return miniEpoch * beacon.epochLength() / epochLength;
    }

    /// From `epoch` on. An equal set is not stored again.
    function _store(uint256 epoch, uint256[] memory seats) internal {
        if (_sets.length > 0 && keccak256(abi.encode(seats)) == keccak256(abi.encode(_sets[_sets.length - 1]))) return;
        _setIds.push(uint48(epoch), uint208(_sets.length));
        _sets.push(seats);
        (uint256 largest, uint256 below) = (0, 0);
        for (uint256 i = 0; i < seats.length; i++) {
            uint256 weight = uint96(seats[i]) - below;
            below = uint96(seats[i]);
            if (weight > largest) largest = weight;
        }
        _largest.push(largest);
    }

    function _closeEpoch(uint256 epoch) private {
        _jailAbsent(epoch);
        uint256[] memory ballots = Election.heaviest(_contenders, MAX_SEATS);
        lastEpoch = epoch + 2;
        if (ballots.length > 0) _store(epoch + 2, Election.seat(ballots));
    }

    /// Jails members that missed more than half of their turns, in the set's order, up to a third of its weight.
    function _jailAbsent(uint256 epoch) private {
        uint256[] memory seats = _seatsOf(epoch);
        uint256 left = uint96(seats[seats.length - 1]) / 3;
        uint256 below = 0;
        for (uint256 i = 0; i < seats.length; i++) {
            uint256 weight = uint96(seats[i]) - below;
            below = uint96(seats[i]);
            address operator = address(uint160(seats[i] >> 96));
            Candidate storage c = _candidates[operator];
            (uint256 led, uint256 missed) = (c.led, c.missed);
            if (c.turnsEpoch != epoch || led + missed < MIN_TURNS || missed <= led) continue;
            if (c.jailedUntil != 0 || weight > left) continue;
            left -= weight;
            c.jailedUntil = uint64(block.number) + epochLength;
            _refresh(operator, c);
        }
    }

    // --- turns and fees

    function _recordTurns(uint256 view_, uint256 parentView, bytes32 parentRandao) private {
        if (block.number == 1) _firstSeed = parentRandao;
        uint256 miniEpoch = (block.number - 1) / beacon.epochLength();
        bytes32 seed = miniEpoch < 2 ? _firstSeed : beacon.seed(miniEpoch - 2);
        uint64 epoch = uint64(_epoch());
        uint256[] storage seats = _seatsOf(epoch);
        for (uint256 i = 1; i <= MAX_SKIPPED && parentView + i < view_; i++)
            _turnOf(_leader(seats, seed, parentView + i), epoch).missed++;
        _lastLeader = _leader(seats, seed, view_);
        _turnOf(_lastLeader, epoch).led++;
    }

    function _turnOf(address operator, uint64 epoch) private returns (Candidate storage c) {
        c = _candidates[operator];
        if (c.turnsEpoch != epoch) (c.turnsEpoch, c.led, c.missed) = (epoch, 0, 0);
    }

    /// As consensus/beacon draws it: the first 16 bytes, little-endian, modulo the sum of weights.
    function _leader(uint256[] storage seats, bytes32 seed, uint256 view_) private view returns (address) {
        bytes32 hash = keccak256(abi.encodePacked(TAG_LEADER, seed, bytes8(uint64(_reversed(view_) >> 64))));
        uint256 point = _reversed(uint256(hash) >> 128) % uint96(seats[seats.length - 1]);
        (uint256 low, uint256 high) = (0, seats.length - 1);
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (uint96(seats[middle]) <= point) low = middle + 1;
            else high = middle;
        }
        return address(uint160(seats[low] >> 96));
    }

    /// The 16 bytes of a number in the other order.
    function _reversed(uint256 v) private pure returns (uint256 out) {
        for (uint256 i = 0; i < 16; i++) out = out << 8 | (v >> 8 * i & 0xff);
    }

    /// Fees of the last block came to the balance unasked: to its leader, less what its delegators get.
    function _bookFees() private {
        uint256 fees = address(this).balance - _held;
        if (fees == 0 || _lastLeader == address(0)) return;
        Candidate storage c = _candidates[_lastLeader];
        _held += uint128(fees);
        uint256 shared = 0;
        uint256 shares = c.delegated.shares;
        if (shares > 0) {
            shared = fees * c.delegated.tokens / (uint256(c.self) + c.delegated.tokens);
            shared -= shared * c.commissionBps / ONE;
            c.rewardPerShare += (shared << 96) / shares;
        }
        _rewards[_lastLeader] += fees - shared;
    }

    // --- keys

    function _key(Candidate storage c, uint256 kind) internal view returns (bytes memory) {
        return bytes.concat(bytes1(2 + (c.parities >> uint8(kind) & 1)), c.keys[kind]);
    }
}
