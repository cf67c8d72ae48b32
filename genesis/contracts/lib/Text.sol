// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Texts from users that later stand in JSON and SVG
library Text {
    /// 1 to `max` of letters, digits, space and - . _ + ( ) — enough for SPDX expressions, nothing to escape.
    function isPlain(string memory text, uint256 max) internal pure returns (bool) {
        bytes memory b = bytes(text);
        if (b.length == 0 || b.length > max) return false;
        for (uint256 i = 0; i < b.length; i++) {
            bytes1 c = b[i];
            bool alphanumeric = (c >= "a" && c <= "z") || (c >= "A" && c <= "Z") || (c >= "0" && c <= "9");
            bool mark = c == " " || c == "-" || c == "." || c == "_" || c == "+" || c == "(" || c == ")";
            if (!alphanumeric && !mark) return false;
        }
        return true;
    }
}
