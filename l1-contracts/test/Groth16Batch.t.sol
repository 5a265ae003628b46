// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Groth16Batch} from "../contracts/Groth16Batch.sol";
import {KeyCode} from "../contracts/KeyCode.sol";
import {Fixture} from "./Fixture.sol";

/// The library behind an account, so that its reverts can be met.
contract Verifier {
    function check(Groth16Batch.Item[] memory items) external view {
        Groth16Batch.check(items);
    }

    function seed(Groth16Batch.Item[] memory items) external view returns (bytes32) {
        return Groth16Batch.seed(items);
    }
}

/// Attacks on the batch verifier, each by its name. The items are the fixture's twins: one valid
/// proof under each of two keys, with the same B.
contract Groth16BatchTest is Fixture {
    Verifier private _verifier;
    uint256[] private _twins;

    function setUp() public override {
        super.setUp();
        _verifier = new Verifier();
        _twins = words("twins");
    }

    /// The proof under the operations key and the one under the claims key.
    function _pairOfKeys() private view returns (Groth16Batch.Item[] memory items) {
        items = new Groth16Batch.Item[](2);
        items[0] = _item(operationsKey, 0, 12);
        items[1] = _item(claimsKey, 20, 13);
    }

    /// Two items under one key.
    function _pairOfOneKey() private view returns (Groth16Batch.Item[] memory items) {
        items = new Groth16Batch.Item[](2);
        items[0] = _item(claimsKey, 20, 13);
        items[1] = _item(claimsKey, 20, 13);
    }

    function _item(address key, uint256 from, uint256 inputs)
        private
        view
        returns (Groth16Batch.Item memory item)
    {
        item.key = key;
        item.inputs = new uint256[](inputs);
        for (uint256 i; i < inputs; ++i) {
            item.inputs[i] = _twins[from + i];
        }
        for (uint256 i; i < 8; ++i) {
            item.proof[i] = _twins[from + inputs + i];
        }
    }

    function _refused(Groth16Batch.Item[] memory items, bytes memory why) private {
        vm.expectRevert(why);
        _verifier.check(items);
    }

    function _rejected(Groth16Batch.Item[] memory items) private {
        _refused(items, abi.encodeWithSelector(Groth16Batch.ProofsRejected.selector, items.length));
    }

    function _malformed(Groth16Batch.Item[] memory items, uint256 proof) private {
        _refused(items, abi.encodeWithSelector(Groth16Batch.MalformedPoint.selector, proof));
    }

    function _malformedTwist(Groth16Batch.Item[] memory items) private {
        _refused(items, abi.encodeWithSelector(Groth16Batch.MalformedTwistPoint.selector));
    }

    // -------------------------------------------------------------------------------- accepts

    function test_valid_proofs_hold_alone_and_together() public view {
        Groth16Batch.Item[] memory items = _pairOfKeys();
        _verifier.check(items);
        _verifier.check(_pairOfOneKey());
        Groth16Batch.Item[] memory one = new Groth16Batch.Item[](1);
        (one[0]) = items[0];
        _verifier.check(one);
        one[0] = items[1];
        _verifier.check(one);
    }

    function test_no_proofs_hold_trivially() public view {
        _verifier.check(new Groth16Batch.Item[](0));
    }

    /// (-A, -B, C) proves the same: never take a proof's bytes for an identity.
    function test_a_proof_has_other_forms_that_hold() public view {
        Groth16Batch.Item[] memory items = _pairOfKeys();
        uint256[8] memory proof = items[0].proof;
        (proof[1], proof[4], proof[5]) = (P - proof[1], P - proof[4], P - proof[5]);
        _verifier.check(items);
    }

    // --------------------------------------------------------------------------------- inputs

    function test_an_input_above_r_is_refused_though_the_curve_would_take_it() public {
        for (uint256 j; j < 12; ++j) {
            Groth16Batch.Item[] memory items = _pairOfKeys();
            items[0].inputs[j] += R;
            _refused(
                items,
                abi.encodeWithSelector(
                    Groth16Batch.InputNotInField.selector, 0, j, items[0].inputs[j]
                )
            );
        }
    }

    function test_another_number_of_inputs_is_refused() public {
        for (uint256 n = 10; n < 16; ++n) {
            if (n == 12) continue;
            Groth16Batch.Item[] memory items = _pairOfKeys();
            items[0].inputs = new uint256[](n);
            _refused(items, abi.encodeWithSelector(Groth16Batch.WrongInputs.selector, 0, 12, n));
        }
    }

    function test_every_input_is_bound() public {
        for (uint256 j; j < 13; ++j) {
            Groth16Batch.Item[] memory items = _pairOfKeys();
            items[1].inputs[j] = addmod(items[1].inputs[j], 1, R);
            _rejected(items);
        }
    }

    // --------------------------------------------------------------------------------- points

    function test_an_all_zero_proof_is_rejected() public {
        Groth16Batch.Item[] memory items = _pairOfKeys();
        delete items[0].proof;
        _rejected(items);
        delete items[1].proof;
        _rejected(items);
    }

    function test_infinity_in_place_of_a_point_is_rejected() public {
        uint256[4] memory bounds = [uint256(0), 2, 6, 8];
        for (uint256 point; point < 3; ++point) {
            Groth16Batch.Item[] memory items = _pairOfKeys();
            for (uint256 i = bounds[point]; i < bounds[point + 1]; ++i) {
                items[1].proof[i] = 0;
            }
            _rejected(items);
        }
    }

    function test_a_point_off_the_curve_is_refused() public {
        Groth16Batch.Item[] memory items = _pairOfKeys();
        (items[0].proof[0], items[0].proof[1]) = (1, 3);
        _malformed(items, 0);
        items = _pairOfKeys();
        (items[1].proof[6], items[1].proof[7]) = (1, 3);
        _malformed(items, 1);
        items = _pairOfKeys();
        (items[0].proof[2], items[0].proof[3]) = (1, 3);
        _malformedTwist(items);
    }

    function test_a_coordinate_above_p_is_refused() public {
        for (uint256 i; i < 8; ++i) {
            Groth16Batch.Item[] memory items = _pairOfKeys();
            items[1].proof[i] += P;
            if (i < 2 || i >= 6) _malformed(items, 1);
            else _malformedTwist(items);
        }
    }

    function test_swapped_limbs_of_the_twist_point_are_refused() public {
        Groth16Batch.Item[] memory items = _pairOfKeys();
        uint256[8] memory proof = items[0].proof;
        (proof[2], proof[3], proof[4], proof[5]) = (proof[3], proof[2], proof[5], proof[4]);
        _malformedTwist(items);
    }

    function test_a_twist_point_outside_the_group_is_refused() public {
        Groth16Batch.Item[] memory items = _pairOfKeys();
        uint256[] memory outside = words("outsideGroup");
        for (uint256 i; i < 4; ++i) {
            items[0].proof[2 + i] = outside[i];
        }
        _malformedTwist(items);
    }

    // ----------------------------------------------------------------------------------- keys

    function test_a_proof_under_another_key_is_rejected() public {
        Groth16Batch.Item[] memory items = _pairOfKeys();
        items[0].key = operationsLargeKey;
        _rejected(items);
    }

    function test_an_account_without_a_key_is_refused() public {
        Groth16Batch.Item[] memory items = _pairOfKeys();
        items[0].key = address(0xdead);
        _refused(items, abi.encodeWithSelector(Groth16Batch.NotAKey.selector, address(0xdead), 0));
        vm.etch(address(0xdead), new bytes(1 + 32 * 14 + 64 + 32));
        _refused(
            items,
            abi.encodeWithSelector(
                Groth16Batch.NotAKey.selector, address(0xdead), 1 + 32 * 14 + 64 + 32
            )
        );
    }

    function test_keys_of_different_setups_are_not_mixed() public {
        Groth16Batch.Item[] memory items = _pairOfKeys();
        items[1].key = address(new KeyCode(words("otherSetup")));
        _refused(
            items,
            abi.encodeWithSelector(
                Groth16Batch.KeysDoNotShareSetup.selector, items[0].key, items[1].key
            )
        );
    }

    function test_a_key_with_a_point_off_the_curve_is_refused() public {
        uint256[] memory list = words("operations");
        list[14 + 2 * 5] ^= 1;
        Groth16Batch.Item[] memory items = _pairOfKeys();
        items[0].key = address(new KeyCode(list));
        _refused(items, abi.encodeWithSelector(Groth16Batch.MalformedKey.selector, items[0].key));
        list = words("operations");
        list[1] ^= 1; // alpha, which all keys of a call share
        Groth16Batch.Item[] memory one = new Groth16Batch.Item[](1);
        one[0] = items[0];
        one[0].key = address(new KeyCode(list));
        _refused(one, abi.encodeWithSelector(Groth16Batch.MalformedKey.selector, one[0].key));
    }

    // ---------------------------------------------------------------------------- forged sets

    /// C + D and C - D: the plain product over both proofs is that of two valid ones.
    function test_a_cancelling_pair_under_one_key_is_rejected() public {
        Groth16Batch.Item[] memory items = _pairOfOneKey();
        bytes32 honest = _sumOf(items, 6, 1, 1);
        _shift(items[0].proof, 6, 5);
        _shift(items[1].proof, 6, R - 5);
        same(_sumOf(items, 6, 1, 1), honest);
        _rejected(items);
    }

    /// A + D and A - D before the same B: the same, across two keys.
    function test_a_cancelling_pair_under_two_keys_is_rejected() public {
        Groth16Batch.Item[] memory items = _pairOfKeys();
        for (uint256 i = 2; i < 6; ++i) {
            same(items[0].proof[i], items[1].proof[i]);
        }
        bytes32 honest = _sumOf(items, 0, 1, 1);
        _shift(items[0].proof, 0, 5);
        _shift(items[1].proof, 0, R - 5);
        same(_sumOf(items, 0, 1, 1), honest);
        _rejected(items);
    }

    /// The pair cancels under the coefficients of the honest set: they must not stay.
    function test_a_pair_forged_against_known_coefficients_is_rejected() public {
        _forgeAgainstCoefficients(_pairOfOneKey(), 6);
        _forgeAgainstCoefficients(_pairOfKeys(), 0);
    }

    function _forgeAgainstCoefficients(Groth16Batch.Item[] memory items, uint256 at_) private {
        bytes32 drawnFrom = _verifier.seed(items);
        uint256 r = Groth16Batch.coefficient(drawnFrom, 0);
        uint256 s = Groth16Batch.coefficient(drawnFrom, 1);
        bytes32 honest = _sumOf(items, at_, r, s);
        _shift(items[0].proof, at_, s);
        _shift(items[1].proof, at_, R - r);
        same(_sumOf(items, at_, r, s), honest);
        _rejected(items);
    }

    /// Adds scalar times the generator to the point at word `at_` of a proof.
    function _shift(uint256[8] memory proof, uint256 at_, uint256 scalar) private view {
        (uint256 x, uint256 y) = multiply(1, 2, scalar);
        (proof[at_], proof[at_ + 1]) = add(proof[at_], proof[at_ + 1], x, y);
    }

    /// r times the first proof's point and s times the second's, summed.
    function _sumOf(Groth16Batch.Item[] memory items, uint256 at_, uint256 r, uint256 s)
        private
        view
        returns (bytes32)
    {
        (uint256 x, uint256 y) = multiply(items[0].proof[at_], items[0].proof[at_ + 1], r);
        (uint256 u, uint256 v) = multiply(items[1].proof[at_], items[1].proof[at_ + 1], s);
        (x, y) = add(x, y, u, v);
        return keccak256(abi.encode(x, y));
    }

    function test_coefficients_differ_and_have_128_bits() public view {
        bytes32 drawnFrom = _verifier.seed(_pairOfOneKey());
        uint256 r = Groth16Batch.coefficient(drawnFrom, 0);
        uint256 s = Groth16Batch.coefficient(drawnFrom, 1);
        require(r != s && r != 0 && s != 0 && r < 2 ** 128 && s < 2 ** 128, "coefficients");
    }

    function test_coefficients_move_with_keys_and_count() public view {
        Groth16Batch.Item[] memory items = _pairOfKeys();
        bytes32 drawnFrom = _verifier.seed(items);
        items[0].key = operationsLargeKey;
        require(_verifier.seed(items) != drawnFrom, "another key");
        Groth16Batch.Item[] memory one = new Groth16Batch.Item[](1);
        one[0] = _pairOfKeys()[0];
        require(_verifier.seed(one) != drawnFrom, "another count");
    }

    // ----------------------------------------------------------------------------------- fuzz

    /// One bit of any input or proof word, anywhere: the coefficients move and nothing holds.
    function testFuzz_a_flipped_bit_is_rejected(uint256 where) public view {
        Groth16Batch.Item[] memory items = _pairOfKeys();
        bytes32 drawnFrom = _verifier.seed(items);
        where %= 41 * 256;
        uint256 word = where / 256;
        uint256 bit = uint256(1) << (where % 256);
        if (word < 12) items[0].inputs[word] ^= bit;
        else if (word < 20) items[0].proof[word - 12] ^= bit;
        else if (word < 33) items[1].inputs[word - 20] ^= bit;
        else items[1].proof[word - 33] ^= bit;
        require(_verifier.seed(items) != drawnFrom, "the coefficients stayed");
        (bool ok, bytes memory why) =
            address(_verifier).staticcall(abi.encodeCall(Verifier.check, (items)));
        require(!ok, "a forged set holds");
        bytes4 name = bytes4(why);
        require(
            name == Groth16Batch.InputNotInField.selector
                || name == Groth16Batch.MalformedPoint.selector
                || name == Groth16Batch.MalformedTwistPoint.selector
                || name == Groth16Batch.ProofsRejected.selector,
            "not the verifier's own error"
        );
    }

    /// However little gas there is, a precompile that could not run never reads as a yes.
    function testFuzz_a_forged_set_never_holds_for_want_of_gas(uint256 gasLimit) public view {
        Groth16Batch.Item[] memory items = _pairOfKeys();
        items[0].inputs[0] = addmod(items[0].inputs[0], 1, R);
        gasLimit %= 1_000_000;
        (bool ok,) =
            address(_verifier).staticcall{gas: gasLimit}(abi.encodeCall(Verifier.check, (items)));
        require(!ok, "a forged set holds");
    }
}
