// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Groth16 over BN254, many proofs under several keys in one pairing call
/// @notice A proof (A, B, C) of inputs x under a key holds iff
///     e(A, B) = e(alpha, beta) e(L, gamma) e(C, delta),   L = IC_0 + sum x_j IC_j.
/// All keys share alpha, beta and gamma, so k proofs under m keys hold, but for a chance of 2^-128
/// an attempt, iff for coefficients r_i of 128 bits drawn after everything else is fixed
///     prod e(r_i A_i, B_i) e(-sum r_i alpha, beta) e(-sum r_i L_i, gamma)
///     prod over keys e(-sum r_i C_i, delta) = 1:   k + 2 + m pairs.
/// @dev Coefficients come from a hash over the ids of the keys, all inputs and all proofs,
/// in order. Every G1 point passes through the multiplication precompile, which refuses what
/// is not on the curve; signs go into scalars, so no coordinate is ever negated here. The left
/// points of all pairs are accumulated in place: memory that starts as zeros, the point at
/// infinity. State lives in a memory frame, because the legacy code generator runs out of stack
/// otherwise.
library Groth16Batch {
    /// Order of the scalar field.
    uint256 internal constant R =
        0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;
    /// Words of a key before its input points: alpha, beta, gamma, delta.
    uint256 internal constant FIXED_WORDS = 14;
    /// Of these, the bytes that all keys share: alpha, beta, gamma.
    uint256 private constant SHARED_BYTES = 0x140;
    uint256 private constant FIXED_BYTES = 0x1c0;
    uint256 private constant DELTA = 0x140;
    uint256 private constant PAIR_BYTES = 0xc0;

    // A failing precompile burns all it was given, so it gets a bound: twice the price of EIP-1108,
    // because an exact amount would be broken for ever by the first repricing.
    uint256 private constant ADD_GAS = 300;
    uint256 private constant MULTIPLY_GAS = 12_000;
    uint256 private constant PAIRING_GAS = 90_000;
    uint256 private constant PAIR_GAS = 68_000;

    /// One proof to check. `key` is an account whose code is STOP and the key's words.
    struct Item {
        address key;
        uint256[] inputs;
        uint256[8] proof;
    }

    /// A distinct key among the items.
    struct Key {
        address code;
        bytes32 id; // keccak256 of the words
        uint256 words; // where the words lie in memory
        uint256[] scalars; // sum of r_i, then for each input the sum of r_i x_ij, mod R
        uint256 pair; // where the pair with delta lies in memory
    }

    struct Frame {
        Key[] keys; // only the first `count` are used
        uint256 count;
        uint256[] keyOf; // index of each item's key
        uint256 pairs; // where the pairs lie in memory
        bytes32 seed;
        uint256 sum; // of all r_i
    }

    /// @notice The code is no verifying key, by its length in bytes.
    error NotAKey(address key, uint256 found);
    /// @notice A proof comes with more or fewer inputs than its key has.
    error WrongInputs(uint256 proof, uint256 expected, uint256 found);
    /// @notice An input is not below the order of the scalar field.
    error InputNotInField(uint256 proof, uint256 input, uint256 value);
    /// @notice Two keys do not share alpha, beta and gamma.
    error KeysDoNotShareSetup(address first, address found);
    /// @notice A or C of this proof is not on the curve, or a coordinate is not below p.
    error MalformedPoint(uint256 proof);
    /// @notice An input point of a key is not on the curve.
    error MalformedKey(address key);
    /// @notice The B of some proof is off the curve, outside the group, or not below p.
    error MalformedTwistPoint();
    /// @notice Not all of these proofs hold.
    error ProofsRejected(uint256 proofs);

    /// @notice Reverts unless every item's proof holds. No items hold trivially.
    /// @dev Gas for k proofs under m keys with n inputs each: about 45,000 + 34,000 (k + 2 + m) for
    /// the pairing, 12,300 a proof and 6,150 (n + 1) a key for the sums, and 5 % of own work.
    function check(Item[] memory items) internal view {
        if (items.length == 0) return;
        Frame memory f = _open(items);
        for (uint256 i; i < items.length; ++i) {
            _addProof(f, items[i], i);
        }
        _addShared(f, items.length);
        for (uint256 j; j < f.count; ++j) {
            _addInputs(f.keys[j], f.pairs + PAIR_BYTES * (items.length + 1));
        }
        _pair(f, items.length);
    }

    /// @notice What the coefficients are drawn from.
    function seed(Item[] memory items) internal view returns (bytes32) {
        return _open(items).seed;
    }

    /// @notice Coefficient of the item at `index`, 128 bits.
    function coefficient(bytes32 drawnFrom, uint256 index) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(drawnFrom, index))) >> 128;
    }

    // --------------------------------------------------------------------------------- opening

    function _open(Item[] memory items) private view returns (Frame memory f) {
        uint256 k = items.length;
        f.keys = new Key[](k);
        f.keyOf = new uint256[](k);
        f.seed = keccak256(abi.encode("vitals groth16 batch v1", k));
        for (uint256 i; i < k; ++i) {
            Item memory item = items[i];
            Key memory key = f.keys[f.keyOf[i] = _find(f, item.key)];
            uint256 expected = key.scalars.length - 1;
            if (item.inputs.length != expected) {
                revert WrongInputs(i, expected, item.inputs.length);
            }
            f.seed = keccak256(abi.encode(f.seed, key.id, item.inputs, item.proof));
        }
        f.pairs = _zeros(PAIR_BYTES * (k + 2 + f.count));
        for (uint256 j; j < f.count; ++j) {
            f.keys[j].pair = f.pairs + PAIR_BYTES * (k + 2 + j);
        }
    }

    /// Index of the key in the frame, which loads it at first sight.
    function _find(Frame memory f, address code) private view returns (uint256 j) {
        for (; j < f.count; ++j) {
            if (f.keys[j].code == code) return j;
        }
        _load(f.keys[j], code);
        if (!_sameShared(f.keys[0].words, f.keys[j].words)) {
            revert KeysDoNotShareSetup(f.keys[0].code, code);
        }
        f.count = j + 1;
    }

    function _load(Key memory key, address code) private view {
        uint256 length = code.code.length;
        if (length < FIXED_BYTES + 0x41 || (length - 1 - FIXED_BYTES) % 0x40 != 0) {
            revert NotAKey(code, length);
        }
        uint256 words = _zeros(length - 1);
        bytes32 id;
        assembly ("memory-safe") {
            extcodecopy(code, words, 1, sub(length, 1))
            id := keccak256(words, sub(length, 1))
        }
        key.code = code;
        key.id = id;
        key.words = words;
        key.scalars = new uint256[]((length - 1 - FIXED_BYTES) / 0x40);
    }

    function _sameShared(uint256 a, uint256 b) private pure returns (bool same) {
        assembly ("memory-safe") {
            same := eq(keccak256(a, SHARED_BYTES), keccak256(b, SHARED_BYTES))
        }
    }

    function _zeros(uint256 size) private pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := mload(0x40)
            calldatacopy(start, calldatasize(), size)
            mstore(0x40, add(start, size))
        }
    }

    // ------------------------------------------------------------------------------- summing up

    /// Writes the pair (r A, B), adds -r C to the key's pair and r times the inputs to its scalars.
    function _addProof(Frame memory f, Item memory item, uint256 i) private view {
        Key memory key = f.keys[f.keyOf[i]];
        uint256 r = coefficient(f.seed, i);
        uint256[8] memory proof = item.proof;
        uint256 pair = f.pairs + PAIR_BYTES * i;
        uint256 a;
        uint256 c;
        assembly ("memory-safe") {
            a := proof
            c := add(proof, 0xc0)
            mcopy(add(pair, 0x40), add(proof, 0x40), 0x80)
        }
        if (!_accumulate(pair, a, r)) revert MalformedPoint(i);
        if (!_accumulate(key.pair, c, R - r)) revert MalformedPoint(i);
        f.sum = addmod(f.sum, r, R);
        uint256 below = _addScalars(key.scalars, item.inputs, r);
        if (below != item.inputs.length) revert InputNotInField(i, below, item.inputs[below]);
    }

    /// scalars[0] += r and scalars[j + 1] += r x_j, mod R, up to the first input that is not
    /// below R. Answers how many are. In assembly, because it runs for every input of every proof.
    function _addScalars(uint256[] memory scalars, uint256[] memory inputs, uint256 r)
        private
        pure
        returns (uint256 below)
    {
        assembly ("memory-safe") {
            let s := add(scalars, 0x20)
            mstore(s, addmod(mload(s), r, R))
            let x := add(inputs, 0x20)
            let end := add(x, mul(mload(inputs), 0x20))
            for {} lt(x, end) { x := add(x, 0x20) } {
                // x and x + R are the same to the curve: only one of them may pass.
                if iszero(lt(mload(x), R)) { break }
                s := add(s, 0x20)
                mstore(s, addmod(mload(s), mulmod(r, mload(x), R), R))
                below := add(below, 1)
            }
        }
    }

    /// Writes (-sum r alpha, beta) and the gamma of the pair after it.
    function _addShared(Frame memory f, uint256 k) private view {
        uint256 words = f.keys[0].words;
        uint256 pair = f.pairs + PAIR_BYTES * k;
        assembly ("memory-safe") {
            mcopy(add(pair, 0x40), add(words, 0x40), 0x80)
            mcopy(add(pair, add(PAIR_BYTES, 0x40)), add(words, 0xc0), 0x80)
        }
        if (!_accumulate(pair, words, R - f.sum)) revert MalformedKey(f.keys[0].code);
    }

    /// Adds -sum s_j IC_j of the key to the pair with gamma, and completes the key's own pair.
    function _addInputs(Key memory key, uint256 gammaPair) private view {
        uint256 words = key.words;
        uint256 pair = key.pair;
        assembly ("memory-safe") {
            mcopy(add(pair, 0x40), add(words, DELTA), 0x80)
        }
        uint256[] memory scalars = key.scalars;
        uint256 point = words + FIXED_BYTES;
        for (uint256 j; j < scalars.length; ++j) {
            if (!_accumulate(gammaPair, point, R - scalars[j])) revert MalformedKey(key.code);
            point += 0x40;
        }
    }

    /// sum += scalar * point, both in memory. False if the point is not on the curve.
    function _accumulate(uint256 sum, uint256 point, uint256 scalar)
        private
        view
        returns (bool ok)
    {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mcopy(buffer, point, 0x40)
            mstore(add(buffer, 0x40), scalar)
            ok := staticcall(MULTIPLY_GAS, 7, buffer, 0x60, buffer, 0x40)
            mcopy(add(buffer, 0x40), sum, 0x40)
            let added := staticcall(ADD_GAS, 6, buffer, 0x80, sum, 0x40)
            ok := and(ok, added)
        }
    }

    // --------------------------------------------------------------------------------- pairing

    function _pair(Frame memory f, uint256 k) private view {
        uint256 n = k + 2 + f.count;
        uint256 pairs = f.pairs;
        uint256 product;
        bool ok;
        assembly ("memory-safe") {
            mstore(0, 0) // a chain without the precompile answers nothing, and that is no 1
            ok := staticcall(
                add(PAIRING_GAS, mul(PAIR_GAS, n)),
                8,
                pairs,
                mul(n, PAIR_BYTES),
                0,
                0x20
            )
            product := mload(0) // a statement of its own: Yul evaluates arguments right to left
        }
        if (!ok) revert MalformedTwistPoint();
        if (product != 1) revert ProofsRejected(k);
    }
}
