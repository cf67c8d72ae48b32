// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Deploys by CREATE2 for anyone: calldata is salt ‖ init code, the answer is the 20-byte address
/// @notice Tools expect this behaviour at 0x4e59b44847b379578588920cA78FbF26c0B4956C on every chain.
contract Create2Deployer {
    fallback() external payable {
        assembly ("memory-safe") {
            if lt(calldatasize(), 32) { revert(0, 0) }
            let size := sub(calldatasize(), 32)
            let code := mload(0x40)
            calldatacopy(code, 32, size)
            let created := create2(callvalue(), code, size, calldataload(0))
            if iszero(created) { revert(0, 0) }
            mstore(0, shl(96, created))
            return(0, 20)
        }
    }
}
