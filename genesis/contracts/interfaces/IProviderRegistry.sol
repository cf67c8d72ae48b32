// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Who offers training, and the stake their bonds are reserved from
/// @notice `capability` is a hint for people: no pay, weight or bond depends on it.
interface IProviderRegistry {
    struct Provider {
        string name;
        string endpoint;
        string capability;
        uint256 stake;          // free + reserved
        uint256 reserved;       // bonds of jobs
        uint256 unbonding;      // leaves at releaseBlock
        uint64 releaseBlock;
        bool registered;
    }

    event Registered(address indexed provider, string name, string endpoint, string capability);
    event StakeAdded(address indexed provider, uint256 amount);
    event UnstakeRequested(address indexed provider, uint256 amount, uint64 releaseBlock);
    event Withdrawn(address indexed provider, uint256 amount);
    event Reserved(address indexed provider, uint256 amount);
    event Released(address indexed provider, uint256 amount);
    event Slashed(address indexed provider, uint256 amount);

    /// First call: joins with at least minStake. Later calls change the texts and add what is sent.
    function register(string calldata name, string calldata endpoint, string calldata capability) external payable;
    function addStake() external payable;
    /// Moves free stake into the exit; a second request adds to the first and restarts its delay.
    function requestUnstake(uint256 amount) external;
    function withdraw() external;

    /// Market only.
    function reserve(address provider, uint256 amount) external;
    function release(address provider, uint256 amount) external;
    function slash(address provider, uint256 amount) external;

    function provider(address who) external view returns (Provider memory);
    function isRegistered(address who) external view returns (bool);
    function freeStake(address who) external view returns (uint256);
    function providerCount() external view returns (uint256);
    function providerAt(uint256 index) external view returns (address);
    function minStake() external view returns (uint256);
}
