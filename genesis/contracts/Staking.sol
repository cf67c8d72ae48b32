// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {IBeacon} from "./interfaces/IBeacon.sol";
import {IStaking} from "./interfaces/IStaking.sol";

/// @title Stake of the validators
/// @notice Who the validators are is fixed in genesis; deposits, exits and fines change only what they weigh in the draw
/// of auditors. Weights are kept per epoch, so that nothing done after a commit changes who audits it.
contract Staking is IStaking {
    using Checkpoints for Checkpoints.Trace208;

    bytes32 internal constant TAG_DRAW = keccak256("trainyard.draw.1");
    uint256 internal constant MAX_VALIDATORS = 200;
    uint256 internal constant MAX_UNBONDS = 32;

    struct Account {
        uint256 stake;
        uint256 index;        // position in _validators plus one
        uint256 head;         // first queue entry that is not paid out
        Unbond[] queue;
        Checkpoints.Trace208 weights;
    }

    address public immutable market;
    IBeacon public immutable beacon;
    uint64 public immutable unbondBlocks;
    uint256 public totalStake;
    ValidatorInit[] internal _validators;
    mapping(address => Account) internal _accounts;

    error NotMarket();
    error NotValidator();
    error BadValue(string what);
    error QueueFull();

    constructor(address market_, IBeacon beacon_, uint64 unbondBlocks_, ValidatorInit[] memory set) {
        require(set.length > 0 && set.length <= MAX_VALIDATORS, BadValue("validators"));
        (market, beacon, unbondBlocks) = (market_, beacon_, unbondBlocks_);
        for (uint256 i = 0; i < set.length; i++) {
            Account storage account = _accounts[set[i].operator];
            require(account.index == 0 && set[i].operator != address(0), BadValue("operator"));
            require(set[i].stakeWei > 0, BadValue("stake"));
            _validators.push(set[i]);
            account.index = i + 1;
            account.stake = set[i].stakeWei;
            account.weights.push(0, _weight(set[i].stakeWei));
            totalStake += set[i].stakeWei;
        }
    }

    function deposit(address operator) external payable {
        Account storage account = _known(operator);
        require(msg.value > 0, BadValue("value"));
        account.stake += msg.value;
        totalStake += msg.value;
        _note(account);
        emit Deposited(operator, msg.sender, msg.value);
    }

    function unbond(uint256 amount) external {
        Account storage account = _known(msg.sender);
        require(amount > 0 && amount <= account.stake, BadValue("amount"));
        require(account.queue.length - account.head < MAX_UNBONDS, QueueFull());
        account.stake -= amount;
        totalStake -= amount;
        uint64 releaseBlock = uint64(block.number) + unbondBlocks;
        account.queue.push(Unbond(amount, releaseBlock));
        _note(account);
        emit UnbondRequested(msg.sender, amount, releaseBlock);
    }

    function withdraw(uint256 max) external {
        Account storage account = _known(msg.sender);
        uint256 amount = 0;
        while (max > 0 && account.head < account.queue.length) {
            Unbond storage entry = account.queue[account.head];
            if (block.number < entry.releaseBlock) break;
            amount += entry.amount;
            account.head++;
            max--;
        }
        emit Withdrawn(msg.sender, amount);
        _send(msg.sender, amount);
    }

    function fine(address operator, uint256 amount) external returns (uint256 taken) {
        require(msg.sender == market, NotMarket());
        Account storage account = _known(operator);
        taken = amount < account.stake ? amount : account.stake;
        account.stake -= taken;
        totalStake -= taken;
        _note(account);
        for (uint256 i = account.queue.length; i > account.head && taken < amount; i--) {
            Unbond storage entry = account.queue[i - 1];
            uint256 part = amount - taken < entry.amount ? amount - taken : entry.amount;
            entry.amount -= part;
            taken += part;
        }
        emit Fined(operator, taken);
        _send(market, taken);
    }

    function validators() external view returns (ValidatorInit[] memory set) {
        set = _validators;
        for (uint256 i = 0; i < set.length; i++) set[i].stakeWei = _accounts[set[i].operator].stake;
    }

    function validatorCount() external view returns (uint256) { return _validators.length; }

    function isValidator(address operator) external view returns (bool) { return _accounts[operator].index != 0; }

    function stakeOf(address operator) external view returns (uint256) { return _accounts[operator].stake; }

    function unbonding(address operator) external view returns (Unbond[] memory open) {
        Account storage account = _accounts[operator];
        open = new Unbond[](account.queue.length - account.head);
        for (uint256 i = 0; i < open.length; i++) open[i] = account.queue[account.head + i];
    }

    function weightAt(address operator, uint256 epoch) public view returns (uint256) {
        return _accounts[operator].weights.upperLookupRecent(uint48(epoch == 0 ? 0 : epoch - 1));
    }

    function draw(bytes32 seed, uint256 epoch, address a, address b, uint256 count) external view returns (address[] memory drawn) {
        uint256 n = _validators.length;
        address[] memory who = new address[](n);
        uint256[] memory weight = new uint256[](n);
        uint256 total = 0;
        uint256 able = 0;
        for (uint256 i = 0; i < n; i++) {
            who[i] = _validators[i].operator;
            if (who[i] == a || who[i] == b) continue;
            weight[i] = weightAt(who[i], epoch);
            total += weight[i];
            if (weight[i] > 0) able++;
        }
        drawn = new address[](count < able ? count : able);
        for (uint256 i = 0; i < drawn.length; i++) {
            uint256 at = _pick(weight, uint256(keccak256(abi.encode(TAG_DRAW, seed, i))) % total);
            drawn[i] = who[at];
            total -= weight[at];
            weight[at] = 0;
        }
    }

    function _pick(uint256[] memory weight, uint256 point) internal pure returns (uint256 at) {
        while (point >= weight[at]) {
            point -= weight[at];
            at++;
        }
    }

    function _known(address operator) internal view returns (Account storage account) {
        account = _accounts[operator];
        require(account.index != 0, NotValidator());
    }

    function _note(Account storage account) internal {
        account.weights.push(uint48((block.number - 1) / beacon.epochLength()), _weight(account.stake));
    }

    function _weight(uint256 stake) internal pure returns (uint208) {
        require(stake <= type(uint208).max, BadValue("stake"));
        return uint208(stake);
    }

    function _send(address to, uint256 amount) internal {
        if (amount == 0) return;
        (bool ok,) = to.call{value: amount}("");
        require(ok, BadValue("receiver"));
    }
}
