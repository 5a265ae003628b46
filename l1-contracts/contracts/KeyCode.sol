// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A verifying key as the code of an account
/// @notice The deployed code is a STOP byte and the words, 32 bytes each: reading any number of
/// them costs one account access. Nothing can run it, change it or destroy it.
/// @dev Words: alpha G1 (2), beta G2 (4), gamma G2 (4), delta G2 (4), then the input points G1
/// (2 each, one more than there are inputs); coordinates as in EIP-197, c1 before c0. The words are
/// not checked here: `Settlement` does it when it takes the key. Deployment costs 200 gas a byte.
contract KeyCode {
    constructor(uint256[] memory words) {
        assembly ("memory-safe") {
            // The lowest byte of the array's length word becomes the STOP byte before the data.
            let size := add(mul(mload(words), 32), 1)
            mstore(words, 0)
            return(add(words, 31), size)
        }
    }
}
