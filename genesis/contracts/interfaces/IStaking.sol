// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Validators' stake: weight of auditors, source of their fines
interface IStaking {
    struct ValidatorInit {
        address operator;    // signs audit answers and stake moves
        bytes consensusKey;  // secp256k1, 33 bytes
        bytes vrfKey;        // secp256k1, 33 bytes
        bytes p2pKey;        // secp256k1, 33 bytes
        uint256 stakeWei;
    }

    struct Unbond { uint256 amount; uint64 releaseBlock; }

    event Deposited(address indexed operator, address indexed from, uint256 amount);
    event UnbondRequested(address indexed operator, uint256 amount, uint64 releaseBlock);
    event Withdrawn(address indexed operator, uint256 amount);
    event Fined(address indexed operator, uint256 amount);

    /// Adds the value sent to the stake of `operator`; it weighs in draws from the next epoch on.
    function deposit(address operator) external payable;
    /// Takes `amount` out of the sender's weight at once; it stays finable until its release block.
    function unbond(uint256 amount) external;
    /// Pays out what the sender's queue has released, at most `max` entries.
    function withdraw(uint256 max) external;
    /// Market only. Takes up to `amount` from stake, then from the queue's newest entries, and sends it to the market.
    function fine(address operator, uint256 amount) external returns (uint256 taken);

    function validators() external view returns (ValidatorInit[] memory);
    function validatorCount() external view returns (uint256);
    function isValidator(address operator) external view returns (bool);
    function stakeOf(address operator) external view returns (uint256);
    function totalStake() external view returns (uint256);
    function unbonding(address operator) external view returns (Unbond[] memory);
    /// Weight in draws of commits of `epoch`: the stake at the end of the epoch before.
    function weightAt(address operator, uint256 epoch) external view returns (uint256);
    /// The first `count` of a weighted order without replacement; `a` and `b` take no part.
    function draw(bytes32 seed, uint256 epoch, address a, address b, uint256 count) external view returns (address[] memory);
}
