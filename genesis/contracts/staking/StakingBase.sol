// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IStaking} from "../interfaces/IStaking.sol";
import {IBeacon} from "../interfaces/IBeacon.sol";
import {Pool, Pools} from "./Pools.sol";

/// @title What staking remembers, and how money moves
/// @notice The balance is `_held`, what is owed to somebody, and the fees of the current block, which the next block's
/// system call books. Money leaves by `withdraw`, `claim`, `fine` and burning, always to a caller or the market.
abstract contract StakingBase is IStaking {
    using Pools for Pool;

    uint256 internal constant ONE = 10_000;
    uint256 internal constant MAX_CONTENDERS = 1_000;
    uint256 internal constant MAX_UNBONDS = 32;
    /// 200 of these stay below what a validator set may weigh (consensus/staking/validator_set.hpp).
    uint256 internal constant MAX_WEIGHT_GWEI = 2 ** 54 - 1;
    address internal constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;

    struct Candidate {
        uint128 self;
        uint64 jailedUntil;
        uint32 position;        // among the contenders, plus one; zero: not there
        uint16 commissionBps;
        uint8 parities;         // bit k: the y of key k is odd
        bool tombstoned;
        uint64 commissionEpoch; // in which the commission was raised last, plus one
        uint64 turnsEpoch;      // that `led` and `missed` count
        uint32 led;
        uint32 missed;
        bool known;
        uint48 heldUntil;       // block to which an audit may fine it
        Pool delegated;
        Pool leaving;           // exits of the operator and of delegators
        uint256 rewardPerShare; // of what is delegated, times 2^96, since the start
        bytes32[3] keys;        // x coordinates: consensus, VRF, P2P
    }

    struct Delegation {
        uint128 shares;
        uint256 paidPerShare;
    }

    struct Exit { uint128 shares; uint64 releaseBlock; }
    struct Exits {
        uint256 head;           // first entry that is not paid out
        Exit[] queue;
    }

    address public immutable market;
    IBeacon public immutable beacon;
    uint64 public immutable epochLength;
    uint64 public immutable unbondBlocks;
    uint256 public immutable minSelfStake;

    uint128 internal _bonded;   // sum of self stake and what is delegated
    uint128 internal _held;     // the same, with exits and rewards
    mapping(address => Candidate) internal _candidates;
    mapping(address => mapping(address => Delegation)) internal _delegations;
    mapping(address => mapping(address => Exits)) internal _exits;
    mapping(address => uint256) internal _rewards;
    mapping(bytes32 => bool) internal _usedKeys;
    uint256[] internal _contenders;

    constructor(address market_, IBeacon beacon_, StakingParams memory params) {
        // A seat outlasts its stake by two epochs, and the seed of a commitment made in the last of them takes up to one more:
        // with less, no audit could be opened while its auditors' stake is there.
        require(params.epochLength > 0 && params.unbondBlocks >= 4 * params.epochLength, BadValue("epoch"));
        require(params.minSelfStakeWei >= 1 gwei, BadValue("minimum"));
        (market, beacon, epochLength, unbondBlocks) = (market_, beacon_, params.epochLength, params.unbondBlocks);
        minSelfStake = params.minSelfStakeWei;
    }

    function _known(address operator) internal view returns (Candidate storage c) {
        c = _candidates[operator];
        require(c.known, NotValidator());
    }

    /// One that may still take stake.
    function _open(address operator) internal view returns (Candidate storage c) {
        c = _known(operator);
        require(!c.tombstoned, Tombstoned());
    }

    function _received(uint256 amount) internal {
        require(amount > 0, BadValue("value"));
        (_bonded, _held) = (_bonded + uint128(amount), _held + uint128(amount));
    }

    /// In the next election. Zero: not eligible.
    function _weight(Candidate storage c) internal view returns (uint256 weight) {
        if (c.tombstoned || c.jailedUntil != 0 || c.self < minSelfStake) return 0;
        weight = (uint256(c.self) + c.delegated.tokens) / 1 gwei;
        if (weight > MAX_WEIGHT_GWEI) weight = MAX_WEIGHT_GWEI;
    }

    function _contender(address operator, Candidate storage c) internal view returns (uint256) {
        return _weight(c) << 160 | uint160(operator);
    }

    /// After every change of stake or standing.
    function _refresh(address operator, Candidate storage c) internal {
        if (c.position != 0) _contenders[c.position - 1] = _contender(operator, c);
    }

    /// Among the contenders, if need be in the place of the lightest.
    function _enter(address operator, Candidate storage c) internal {
        uint256 word = _contender(operator, c);
        uint256 at = _contenders.length;
        if (at < MAX_CONTENDERS) {
            _contenders.push(word);
        } else {
            at = 0;
            for (uint256 i = 1; i < MAX_CONTENDERS; i++) if (_contenders[i] >> 160 < _contenders[at] >> 160) at = i;
            require(word >> 160 > _contenders[at] >> 160, BadValue("weight"));
            _candidates[address(uint160(_contenders[at]))].position = 0;
            _contenders[at] = word;
        }
        c.position = uint32(at + 1);
    }

    function _queueExit(address operator, address owner, Candidate storage c, uint256 amount) internal {
        Exits storage exits = _exits[operator][owner];
        require(exits.queue.length - exits.head < MAX_UNBONDS, QueueFull());
        _bonded -= uint128(amount);
        uint64 releaseBlock = uint64(block.number) + unbondBlocks;
        exits.queue.push(Exit(uint128(c.leaving.add(amount)), releaseBlock));
        _refresh(operator, c);
        emit UnbondRequested(operator, owner, amount, releaseBlock);
    }

    /// What a delegation has earned since it was last settled.
    function _earned(Candidate storage c, Delegation storage d) internal view returns (uint256) {
        return d.shares * (c.rewardPerShare - d.paidPerShare) >> 96;
    }

    function _settle(address who, Candidate storage c, Delegation storage d) internal {
        _rewards[who] += _earned(c, d);
        d.paidPerShare = c.rewardPerShare;
    }

    function _burn(uint256 amount) internal {
        _held -= uint128(amount);
        (bool ok,) = address(0).call{value: amount}("");
        assert(ok);
    }

    /// The last thing that a call does.
    function _send(address to, uint256 amount) internal {
        if (amount == 0) return;
        _held -= uint128(amount);
        (bool ok,) = to.call{value: amount}("");
        require(ok, BadValue("receiver"));
    }
}
