// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Groth16Batch} from "./Groth16Batch.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";

/// @title What is checked of a verifying key before it is accepted
/// @notice The words can be checked; how the key was made cannot. A key with the public development
/// alpha names itself and is refused outside development chains; a key of unknown making that
/// carries another alpha is not detected here, regenerating it from the ceremony's transcript is.
library KeyLint {
    /// Order of the base field.
    uint256 internal constant P =
        0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;
    /// DEV_ALPHA, the G1 generator (1, 2) times 0x766974616c732d646576 ("vitals-dev").
    uint256 internal constant DEV_ALPHA_X =
        0x18427517dbd608b60c88da80f3d864fc205e32a96cc28c9b8e3ede98f0c1bf53;
    uint256 internal constant DEV_ALPHA_Y =
        0x1823cc3c9881df628caa9cb5a8fd904ab9db2fe78d77839331ea8f75f5f6b3e9;

    /// @notice Reverts unless the key fits a circuit of so many inputs; answers its words.
    /// @dev An input whose point is zero would be bound by nothing, a zero delta would let every
    /// proof pass: no point may be zero.
    function read(address code, uint256 inputs) internal view returns (uint256[] memory words) {
        words = _words(code, Groth16Batch.FIXED_WORDS + 2 * (inputs + 1));

        for (uint256 i; i < words.length; ++i) {
            if (words[i] >= P) revert ISettlement.KeyWordNotInField(code, i, words[i]);
        }
        _refuseZeroPoints(code, words);
        if (!_onCurve(words)) revert ISettlement.KeyPointInvalid(code);
        if (_hash(words, 6, 4) == _hash(words, 10, 4)) revert ISettlement.GammaIsDelta(code);
        // Of alpha and -alpha both are public, so the first coordinate decides.
        if (words[0] == DEV_ALPHA_X && !isDevelopmentChain(block.chainid)) {
            revert ISettlement.DevelopmentKey(code, block.chainid);
        }
    }

    /// @notice Identity of a key.
    function id(uint256[] memory words) internal pure returns (bytes32) {
        return _hash(words, 0, words.length);
    }

    /// @notice Identity of what all keys of a deployment share: alpha, beta, gamma.
    function setup(uint256[] memory words) internal pure returns (bytes32) {
        return _hash(words, 0, 10);
    }

    /// @notice The chains on which development keys are accepted.
    function isDevelopmentChain(uint256 chainId) internal pure returns (bool) {
        return chainId == 31_337 || chainId == 1337 || chainId == 31_338;
    }

    function _words(address code, uint256 count) private view returns (uint256[] memory words) {
        uint256 length = code.code.length;
        uint256 expected = 1 + 32 * count;
        if (length != expected) revert ISettlement.WrongKeyLength(code, expected, length);
        words = new uint256[](count);
        uint256 first;
        assembly ("memory-safe") {
            extcodecopy(code, 0, 0, 32)
            first := byte(0, mload(0))
            extcodecopy(code, add(words, 32), 1, mul(count, 32))
        }
        if (first != 0) revert ISettlement.KeyNotData(code);
    }

    function _refuseZeroPoints(address code, uint256[] memory words) private pure {
        uint256 i;
        while (i < words.length) {
            uint256 size = i >= 2 && i < Groth16Batch.FIXED_WORDS ? 4 : 2;
            uint256 any;
            for (uint256 j; j < size; ++j) {
                any |= words[i + j];
            }
            if (any == 0) revert ISettlement.KeyPointZero(code, i);
            i += size;
        }
    }

    /// The precompiles judge: a point that cannot be added, or paired with infinity, is no point.
    function _onCurve(uint256[] memory words) private view returns (bool ok) {
        ok = true;
        for (uint256 i; i < words.length; i += 2) {
            if (i >= 2 && i < Groth16Batch.FIXED_WORDS) continue;
            ok = ok && _call(6, abi.encode(words[i], words[i + 1], 0, 0));
        }
        for (uint256 i = 2; i < Groth16Batch.FIXED_WORDS; i += 4) {
            ok = ok
                && _call(8, abi.encode(0, 0, words[i], words[i + 1], words[i + 2], words[i + 3]));
        }
    }

    function _call(uint160 precompile, bytes memory input) private view returns (bool ok) {
        (ok,) = address(precompile).staticcall{gas: 400_000}(input);
    }

    function _hash(uint256[] memory words, uint256 from, uint256 count)
        private
        pure
        returns (bytes32 hash)
    {
        assembly ("memory-safe") {
            hash := keccak256(add(add(words, 32), mul(from, 32)), mul(count, 32))
        }
    }
}
