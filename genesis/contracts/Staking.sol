// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBeacon} from "./interfaces/IBeacon.sol";
import {Pool, Pools} from "./staking/Pools.sol";
import {StakingBase} from "./staking/StakingBase.sol";
import {ValidatorSets} from "./staking/ValidatorSets.sol";

/// @title Stake: candidates, delegation, exits, slashing
/// @notice docs/spec/staking.md.
contract Staking is ValidatorSets {
    using Pools for Pool;

    bytes32 internal constant TAG_POSSESSION = keccak256("trainyard.possession.1");
    uint256 internal constant MAX_RAISE_BPS = 10;
    uint256 internal constant SLASH_BPS = 500;
    uint256 internal constant BOUNTY_BPS = 500;
    uint256 internal constant VOTE_BYTES = 116;
    /// Judges two votes; docs/spec/execution.md.
    address internal constant DOUBLE_VOTE = 0x0000000000000000000000000000000000000a04;

    constructor(address market_, IBeacon beacon_, StakingParams memory params, ValidatorInit[] memory set)
        StakingBase(market_, beacon_, params)
    {
        require(set.length > 0 && set.length <= MAX_SEATS, BadValue("validators"));
        uint256[] memory seats = new uint256[](set.length);
        for (uint256 i = 0; i < set.length; i++) {
            _joinFirst(set[i]);
            require(i == 0 || uint160(set[i].operator) > seats[i - 1] >> 96, BadValue("order"));
            seats[i] = uint256(uint160(set[i].operator)) << 96 | (_bonded / 1 gwei);
        }
        _store(0, seats);
    }

    // --- operators

    function register(ProvenKey[3] calldata keys, uint16 commissionBps) external payable {
        Candidate storage c = _candidates[msg.sender];
        require(!c.known, BadValue("operator"));
        require(commissionBps <= ONE, BadValue("commission"));
        require(msg.value >= minSelfStake, BadValue("stake"));
        bytes[3] memory points;
        for (uint256 kind = 0; kind < 3; kind++) {
            ProvenKey calldata key = keys[kind];
            address owner = address(uint160(uint256(keccak256(abi.encode(key.x, key.y)))));
            require(owner != msg.sender, BadValue("key"));
            require(ecrecover(possessionDigest(msg.sender, kind), key.v, key.r, key.s) == owner, BadValue("proof"));
            points[kind] = bytes.concat(bytes1(2 + uint8(uint256(key.y) & 1)), key.x);
        }
        c.commissionBps = commissionBps;
        _join(msg.sender, c, points, msg.value);
        emit Registered(msg.sender, points[0], points[1], points[2], commissionBps);
        emit Deposited(msg.sender, msg.sender, msg.value);
    }

    function setCommission(uint16 commissionBps) external {
        Candidate storage c = _known(msg.sender);
        if (commissionBps > c.commissionBps) {
            uint64 epoch = uint64(_epoch()) + 1;
            require(commissionBps <= ONE && commissionBps - c.commissionBps <= MAX_RAISE_BPS, BadValue("commission"));
            require(c.commissionEpoch != epoch, NotYet());
            c.commissionEpoch = epoch;
        }
        c.commissionBps = commissionBps;
        emit CommissionSet(msg.sender, commissionBps);
    }

    function deposit(address operator) external payable {
        Candidate storage c = _open(operator);
        _received(msg.value);
        c.self += uint128(msg.value);
        _refresh(operator, c);
        emit Deposited(operator, msg.sender, msg.value);
    }

    function unbond(uint256 amount) external {
        Candidate storage c = _known(msg.sender);
        require(amount > 0 && amount <= c.self, BadValue("amount"));
        c.self -= uint128(amount);
        _queueExit(msg.sender, msg.sender, c, amount);
    }

    function unjail() external {
        Candidate storage c = _open(msg.sender);
        require(c.jailedUntil != 0, NothingDue());
        require(block.number >= c.jailedUntil, NotYet());
        c.jailedUntil = 0;
        _refresh(msg.sender, c);
        emit Unjailed(msg.sender);
    }

    // --- delegators

    function delegate(address operator) external payable returns (uint256 shares) {
        Candidate storage c = _open(operator);
        _received(msg.value);
        Delegation storage d = _delegations[operator][msg.sender];
        _settle(msg.sender, c, d);
        shares = c.delegated.add(msg.value);
        d.shares += uint128(shares);
        _refresh(operator, c);
        emit Delegated(operator, msg.sender, msg.value, shares);
    }

    function undelegate(address operator, uint256 shares) external {
        Candidate storage c = _known(operator);
        Delegation storage d = _delegations[operator][msg.sender];
        require(shares > 0 && shares <= d.shares, BadValue("shares"));
        _settle(msg.sender, c, d);
        d.shares -= uint128(shares);
        uint256 amount = c.delegated.remove(shares);
        require(amount > 0, BadValue("shares"));
        _queueExit(operator, msg.sender, c, amount);
    }

    function withdraw(address operator, uint256 max) external {
        Candidate storage c = _known(operator);
        bool held = msg.sender == operator && c.self < minSelfStake && block.number <= c.heldUntil;
        require(!held, Held(c.heldUntil));
        Exits storage exits = _exits[operator][msg.sender];
        uint256 amount = 0;
        while (max > 0 && exits.head < exits.queue.length) {
            Exit storage entry = exits.queue[exits.head];
            if (block.number < entry.releaseBlock) break;
            amount += c.leaving.remove(entry.shares);
            delete exits.queue[exits.head];
            exits.head++;
            max--;
        }
        emit Withdrawn(operator, msg.sender, amount);
        _send(msg.sender, amount);
    }

    function claim(address operator) external {
        _settle(msg.sender, _candidates[operator], _delegations[operator][msg.sender]);
        uint256 amount = _rewards[msg.sender];
        require(amount > 0, NothingDue());
        _rewards[msg.sender] = 0;
        emit RewardsPaid(msg.sender, amount);
        _send(msg.sender, amount);
    }

    // --- anyone

    function contend(address operator) external {
        Candidate storage c = _open(operator);
        require(c.position == 0, NothingDue());
        _enter(operator, c);
    }

    function slashDoubleVote(address operator, bytes calldata votes) external {
        Candidate storage c = _open(operator);
        require(votes.length == 2 * VOTE_BYTES, BadInput());
        (bool ok, bytes memory verdict) = DOUBLE_VOTE.staticcall(bytes.concat(votes, _key(c, 0)));
        require(ok && verdict.length == 32 && bytes32(verdict) != 0, NoOffence());
        c.tombstoned = true;
        uint256 own = c.self * SLASH_BPS / ONE;
        c.self -= uint128(own);
        uint256 bonded = own + c.delegated.slash(SLASH_BPS);
        uint256 amount = bonded + c.leaving.slash(SLASH_BPS);
        _bonded -= uint128(bonded);
        _refresh(operator, c);
        uint256 bounty = amount * BOUNTY_BPS / ONE;
        _rewards[msg.sender] += bounty;
        emit Slashed(operator, uint8(uint256(bytes32(verdict))), amount, msg.sender, bounty);
        _burn(amount - bounty);
    }

    // --- market

    function fine(address operator, uint256 amount) external returns (uint256 taken) {
        require(msg.sender == market, NotMarket());
        Candidate storage c = _known(operator);
        taken = amount < c.self ? amount : c.self;
        c.self -= uint128(taken);
        _bonded -= uint128(taken);
        _refresh(operator, c);
        Exits storage exits = _exits[operator][operator];
        for (uint256 i = exits.queue.length; i > exits.head && taken < amount; i--) {
            Exit storage entry = exits.queue[i - 1];
            uint256 worth = c.leaving.worth(entry.shares);
            if (worth <= amount - taken) {
                taken += c.leaving.remove(entry.shares);
                entry.shares = 0;
            } else {
                entry.shares -= uint128(c.leaving.take(amount - taken));
                taken = amount;
            }
        }
        emit Fined(operator, taken);
        _send(market, taken);
    }

    function hold(address operator, uint64 untilBlock) external {
        require(msg.sender == market, NotMarket());
        Candidate storage c = _known(operator);
        if (untilBlock > c.heldUntil) c.heldUntil = uint48(untilBlock);
    }

    // --- views

    function isValidator(address operator) external view returns (bool) { return _candidates[operator].known; }

    function stakeOf(address operator) external view returns (uint256) {
        Candidate storage c = _candidates[operator];
        return uint256(c.self) + c.delegated.tokens;
    }

    function totalStake() external view returns (uint256) { return _bonded; }

    function candidate(address operator) external view returns (CandidateView memory v) {
        Candidate storage c = _candidates[operator];
        (v.known, v.tombstoned, v.contends) = (c.known, c.tombstoned, c.position != 0);
        (v.jailedUntil, v.commissionBps, v.self) = (c.jailedUntil, c.commissionBps, c.self);
        (v.delegated, v.shares, v.leaving) = (c.delegated.tokens, c.delegated.shares, c.leaving.tokens);
        v.weightGwei = _weight(c);
        if (c.turnsEpoch == _epoch()) (v.led, v.missed) = (c.led, c.missed);
    }

    function contenders() external view returns (address[] memory list) {
        list = new address[](_contenders.length);
        for (uint256 i = 0; i < list.length; i++) list[i] = address(uint160(_contenders[i]));
    }

    function delegation(address operator, address who) external view returns (uint256 shares, uint256 amount, uint256 rewards) {
        Candidate storage c = _candidates[operator];
        Delegation storage d = _delegations[operator][who];
        return (d.shares, c.delegated.worth(d.shares), _earned(c, d));
    }

    function unbonding(address operator, address who) external view returns (Unbond[] memory open) {
        Candidate storage c = _candidates[operator];
        Exits storage exits = _exits[operator][who];
        open = new Unbond[](exits.queue.length - exits.head);
        for (uint256 i = 0; i < open.length; i++) {
            Exit storage entry = exits.queue[exits.head + i];
            open[i] = Unbond(c.leaving.worth(entry.shares), entry.releaseBlock);
        }
    }

    function rewardsOf(address who) external view returns (uint256) { return _rewards[who]; }

    function possessionDigest(address operator, uint256 kind) public view returns (bytes32) {
        return keccak256(abi.encode(TAG_POSSESSION, block.chainid, address(this), operator, kind));
    }

    function _joinFirst(ValidatorInit memory v) private {
        Candidate storage c = _candidates[v.operator];
        require(!c.known && v.operator != address(0), BadValue("operator"));
        require(v.stakeWei % 1 gwei == 0 && v.stakeWei > 0 && v.stakeWei / 1 gwei <= MAX_WEIGHT_GWEI, BadValue("stake"));
        _join(v.operator, c, [v.consensusKey, v.vrfKey, v.p2pKey], v.stakeWei);
    }

    function _join(address operator, Candidate storage c, bytes[3] memory points, uint256 amount) private {
        c.known = true;
        for (uint256 kind = 0; kind < 3; kind++) {
            bytes memory point = points[kind];
            require(point.length == 33 && uint8(point[0]) >> 1 == 1, BadValue("key"));
            bytes32 id = keccak256(point);
            require(!_usedKeys[id], BadValue("key"));
            _usedKeys[id] = true;
            if (point[0] == 0x03) c.parities |= uint8(1 << kind);
            bytes32 x;
            assembly ("memory-safe") {
                x := mload(add(point, 33))
            }
            c.keys[kind] = x;
        }
        _received(amount);
        c.self = uint128(amount);
        _enter(operator, c);
    }
}
