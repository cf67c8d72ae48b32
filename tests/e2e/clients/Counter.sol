// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What the client tests deploy: a number with an event, an error and a payable door
contract Counter {
    uint256 public count;
    address public owner;

    event Counted(address indexed by, uint256 indexed step, uint256 count);

    error TooMuch(uint256 asked, uint256 allowed);

    constructor(uint256 start) payable {
        count = start;
        owner = msg.sender;
    }

    receive() external payable {}

    function add(uint256 step) external returns (uint256) {
        if (step > 100) revert TooMuch(step, 100);
        count += step;
        emit Counted(msg.sender, step, count);
        return count;
    }

    function refuse(string calldata why) external pure {
        revert(why);
    }
}
