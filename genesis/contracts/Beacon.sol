// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBeacon} from "./interfaces/IBeacon.sol";

/// @title Keeps R_end of every epoch
/// @notice The protocol calls it in the first block of each epoch from the system address with abi.encode(epoch, value)
/// and no selector, as EIP-2935 and EIP-4788 do. Nobody else can write.
contract Beacon is IBeacon {
    address internal constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;

    uint32 public immutable epochLength;
    uint32 public immutable cutoff;
    uint256 public epochs;
    mapping(uint256 => bytes32) public seed;

    error NotSystem();
    error BadInput();

    constructor(uint32 epochLength_, uint32 cutoff_) {
        require(epochLength_ > cutoff_, BadInput());
        epochLength = epochLength_;
        cutoff = cutoff_;
    }

    fallback() external {
        require(msg.sender == SYSTEM, NotSystem());
        require(msg.data.length == 64, BadInput());
        (uint256 epoch, bytes32 value) = abi.decode(msg.data, (uint256, bytes32));
        require(seed[epoch] == 0, BadInput());
        seed[epoch] = value;
        epochs = epoch + 1;
        emit SeedSet(epoch, value);
    }

    /// Epoch e covers heights e * L + 1 to (e + 1) * L; the last `cutoff` blocks count for the next one.
    function epochOf(uint256 height) external view returns (uint256) {
        return (height - 1 + cutoff) / epochLength;
    }
}
