// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The chain's randomness, written once per mini-epoch by the protocol
/// @notice R_end(e) is the beacon value after the last block of epoch e; docs/spec/audits.md, section 1.
interface IBeacon {
    event SeedSet(uint256 indexed epoch, bytes32 value);

    /// R_end(epoch), or zero while it is not known.
    function seed(uint256 epoch) external view returns (bytes32);
    function epochLength() external view returns (uint32);
    function cutoff() external view returns (uint32);
    /// The epoch that a commit in block `height` belongs to: (height + cutoff) / epochLength.
    function epochOf(uint256 height) external view returns (uint256);
    /// Last epoch that was set plus one; zero before the first.
    function epochs() external view returns (uint256);
}
