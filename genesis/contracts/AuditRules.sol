// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAuditRules} from "./interfaces/IAuditRules.sol";
import {IMarketTypes} from "./interfaces/IComputeMarket.sol";
import {Text} from "./lib/Text.sol";

/// @title The byte rules of audited units: docs/spec/audits.md, sections 2 and 3
contract AuditRules is IAuditRules {
    function drawUnits(bytes calldata prefix, uint256 count, uint256 all) external pure returns (uint256[] memory drawn) {
        drawn = new uint256[](count);
        for (uint256 i = 0; i < count; i++) {
            uint256 at = uint256(keccak256(abi.encodePacked(prefix, i))) % all;
            while (_contains(drawn, i, at)) at = (at + 1) % all;
            drawn[i] = at;
        }
    }

    function checkOpenings(bytes calldata args, uint256[] calldata drawn, Shape calldata shape) external pure returns (bytes32[] memory leaves) {
        (,, IMarketTypes.UnitOpening[] memory openings) = abi.decode(args, (uint256, uint32, IMarketTypes.UnitOpening[]));
        require(openings.length == drawn.length, BadOpening(openings.length, "count"));
        leaves = new bytes32[](drawn.length);
        for (uint256 i = 0; i < drawn.length; i++) {
            IMarketTypes.UnitOpening memory o = openings[i];
            bool isDrawn = o.t == shape.firstStep + drawn[i] / shape.units && o.j == drawn[i] % shape.units;
            require(isDrawn, BadOpening(i, "unit"));
            require(o.t + 1 < shape.firstStep + shape.steps || o.lossBits == shape.lossBits, BadOpening(i, "loss"));
            leaves[i] = _unitLeaf(o);
            _checkPath(i, o, leaves[i], shape);
        }
    }

    function isPlain(string calldata text, uint256 max) external pure returns (bool) {
        return Text.isPlain(text, max);
    }

    /// H(10 ‖ t ‖ j ‖ lossBits ‖ gradRoot).
    function _unitLeaf(IMarketTypes.UnitOpening memory o) private pure returns (bytes32) {
        return sha256(abi.encodePacked(uint8(0x10), _le(o.t), _le(o.j), _le(o.unitLossBits), o.unitGradRoot));
    }

    /// From the unit leaf through the step tuple to stepsRoot, with exactly the siblings that the shape has.
    function _checkPath(uint256 i, IMarketTypes.UnitOpening memory o, bytes32 leaf, Shape calldata shape) private pure {
        (bool fits, bytes32 unitsRoot) = _climb(leaf, o.j, shape.units, o.unitPath);
        require(fits, BadOpening(i, "unit path"));
        bytes32 tuple = sha256(
            abi.encodePacked(uint8(0x11), _le(o.t), unitsRoot, o.gradRoot, _le(o.normBits), _le(o.lossBits), o.nonfinite)
        );
        uint32 index = uint32(2 * (o.t - shape.firstStep) + 1);
        bytes32 root = sha256(abi.encodePacked(uint8(0x12), _le(index), tuple));
        (fits, root) = _climb(root, index, 2 * shape.steps + 1, o.stepPath);
        require(fits && root == shape.stepsRoot, BadOpening(i, "step path"));
    }

    /// core/merkle.hpp: node = H(01 ‖ left ‖ right); the last of an odd row moves up without a sibling.
    function _climb(bytes32 hash, uint256 index, uint256 count, bytes32[] memory siblings) private pure returns (bool, bytes32) {
        uint256 used = 0;
        while (count > 1) {
            if (index % 2 == 1 || index + 1 < count) {
                if (used == siblings.length) return (false, 0);
                bytes32 sibling = siblings[used++];
                hash = index % 2 == 1
                    ? sha256(abi.encodePacked(uint8(1), sibling, hash))
                    : sha256(abi.encodePacked(uint8(1), hash, sibling));
            }
            index /= 2;
            count = (count + 1) / 2;
        }
        return (used == siblings.length, hash);
    }

    function _contains(uint256[] memory list, uint256 length, uint256 value) private pure returns (bool) {
        for (uint256 i = 0; i < length; i++) if (list[i] == value) return true;
        return false;
    }

    function _le(uint32 v) private pure returns (bytes4) {
        return bytes4((v << 24) | ((v & 0xff00) << 8) | ((v >> 8) & 0xff00) | (v >> 24));
    }
}
