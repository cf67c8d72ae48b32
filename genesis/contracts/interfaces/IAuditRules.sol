// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Pure rules of an audit, outside the market because of the limit on a contract's code
interface IAuditRules {
    /// A segment as the rules see it.
    struct Shape {
        uint256 firstStep;  // global step of the segment's first update
        uint256 steps;      // n
        uint256 units;      // M
        bytes32 stepsRoot;
        uint32 lossBits;    // loss of the last step
    }

    error BadOpening(uint256 index, string what);

    /// The `count` units, as indexes into n·M, that an auditor replays: keccak256(prefix ‖ i) mod all, a repeated
    /// one moves to the next free one.
    function drawUnits(bytes calldata prefix, uint256 count, uint256 all) external pure returns (uint256[] memory);
    /// Checks arguments of IComputeMarket.open (its calldata without the selector) against the shape and the drawn indexes.
    /// Gives the unit leaves in order; reverts with BadOpening.
    function checkOpenings(bytes calldata args, uint256[] calldata drawn, Shape calldata shape) external pure returns (bytes32[] memory leaves);
    /// 1 to `max` of letters, digits, space and - . _ + ( ): enough for SPDX expressions, nothing to escape in JSON or SVG.
    function isPlain(string calldata text, uint256 max) external pure returns (bool);
}
