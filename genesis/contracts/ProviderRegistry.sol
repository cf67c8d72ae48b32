// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";

/// @title Providers and their stake
/// @notice A bond is reserved when a job is taken and cannot leave until the market releases it; what is on its way out
/// was free when the request was made.
contract ProviderRegistry is IProviderRegistry {
    uint256 internal constant MAX_TEXT = 256;

    address public immutable market;
    uint256 public immutable minStake;
    uint64 public immutable unstakeBlocks;
    address[] internal _list;
    mapping(address => Provider) internal _providers;

    error NotMarket();
    error NotRegistered();
    error BadValue(string what);
    error NotEnoughStake(uint256 free, uint256 needed);
    error NotYet();

    modifier onlyMarket() {
        require(msg.sender == market, NotMarket());
        _;
    }

    constructor(address market_, uint256 minStake_, uint64 unstakeBlocks_) {
        (market, minStake, unstakeBlocks) = (market_, minStake_, unstakeBlocks_);
    }

    function register(string calldata name, string calldata endpoint, string calldata capability) external payable {
        require(bytes(name).length > 0 && bytes(name).length <= MAX_TEXT, BadValue("name"));
        require(bytes(endpoint).length <= MAX_TEXT, BadValue("endpoint"));
        require(bytes(capability).length <= MAX_TEXT, BadValue("capability"));
        Provider storage p = _providers[msg.sender];
        if (!p.registered) {
            p.registered = true;
            _list.push(msg.sender);
            require(msg.value >= minStake, NotEnoughStake(msg.value, minStake));
        }
        (p.name, p.endpoint, p.capability) = (name, endpoint, capability);
        emit Registered(msg.sender, name, endpoint, capability);
        _add(p);
    }

    function addStake() external payable {
        _add(_known(msg.sender));
    }

    function requestUnstake(uint256 amount) external {
        Provider storage p = _known(msg.sender);
        uint256 free = p.stake - p.reserved;
        require(amount > 0, BadValue("amount"));
        require(amount <= free, NotEnoughStake(free, amount));
        p.stake -= amount;
        p.unbonding += amount;
        p.releaseBlock = uint64(block.number) + unstakeBlocks;
        emit UnstakeRequested(msg.sender, amount, p.releaseBlock);
    }

    function withdraw() external {
        Provider storage p = _known(msg.sender);
        require(block.number >= p.releaseBlock, NotYet());
        uint256 amount = p.unbonding;
        p.unbonding = 0;
        emit Withdrawn(msg.sender, amount);
        _send(msg.sender, amount);
    }

    function reserve(address who, uint256 amount) external onlyMarket {
        Provider storage p = _known(who);
        uint256 free = p.stake - p.reserved;
        require(amount <= free, NotEnoughStake(free, amount));
        p.reserved += amount;
        emit Reserved(who, amount);
    }

    function release(address who, uint256 amount) external onlyMarket {
        _known(who).reserved -= amount;
        emit Released(who, amount);
    }

    function slash(address who, uint256 amount) external onlyMarket {
        Provider storage p = _known(who);
        p.reserved -= amount;
        p.stake -= amount;
        emit Slashed(who, amount);
        _send(market, amount);
    }

    function provider(address who) external view returns (Provider memory) { return _providers[who]; }

    function isRegistered(address who) external view returns (bool) { return _providers[who].registered; }

    function freeStake(address who) external view returns (uint256) {
        return _providers[who].stake - _providers[who].reserved;
    }

    function providerCount() external view returns (uint256) { return _list.length; }

    function providerAt(uint256 index) external view returns (address) { return _list[index]; }

    function _add(Provider storage p) internal {
        if (msg.value == 0) return;
        p.stake += msg.value;
        emit StakeAdded(msg.sender, msg.value);
    }

    function _known(address who) internal view returns (Provider storage p) {
        p = _providers[who];
        require(p.registered, NotRegistered());
    }

    function _send(address to, uint256 amount) internal {
        if (amount == 0) return;
        (bool ok,) = to.call{value: amount}("");
        require(ok, BadValue("receiver"));
    }
}
