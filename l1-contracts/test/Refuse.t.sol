// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Groth16Batch} from "../contracts/Groth16Batch.sol";
import {Settlement} from "../contracts/Settlement.sol";
import {ISettlement} from "../contracts/interfaces/ISettlement.sol";
import {Fixture} from "./Fixture.sol";

/// What does not settle, by the error it meets; and that it leaves nothing behind.
contract RefuseTest is Fixture {
    Settlement private _settlement;
    uint256 private _bare;
    bytes32 private _genesis;
    bytes32 private _operationsId;
    bytes32 private _claimsId;

    function setUp() public override {
        super.setUp();
        _bare = vm.snapshotState();
        _settlement = deployAt(CONTRACT, config());
        _genesis = _settlement.headHash();
        _operationsId = keccak256(abi.encodePacked(words("operations")));
        _claimsId = keccak256(abi.encodePacked(words("claims")));
    }

    function _refused(ISettlement.Batch[] memory batches, bytes memory why) private {
        bytes32 head = _settlement.headHash();
        vm.expectRevert(why);
        _settlement.settle(batches);
        same(_settlement.headHash(), head);
    }

    function _rejected(ISettlement.Batch[] memory batches, uint256 proofs) private {
        _refused(batches, abi.encodeWithSelector(Groth16Batch.ProofsRejected.selector, proofs));
    }

    // ---------------------------------------------------------------------- who, and sequence

    function test_nobody_but_the_sequencer_settles() public {
        bytes memory why = abi.encodeWithSelector(
            ISettlement.NotSequencer.selector, address(this), address(0xbad)
        );
        ISettlement.Batch[] memory batches = script(1, 1);
        vm.expectRevert(why);
        vm.prank(address(0xbad));
        _settlement.settle(batches);
    }

    function test_no_batches_are_refused() public {
        _refused(
            new ISettlement.Batch[](0), abi.encodeWithSelector(ISettlement.NoBatches.selector)
        );
    }

    function test_another_header_version_is_refused() public {
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].header.version = 1;
        _refused(b, abi.encodeWithSelector(ISettlement.WrongVersion.selector, 2, 1));
    }

    function test_another_key_version_is_refused() public {
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].header.keyVersion = 1;
        _refused(b, abi.encodeWithSelector(ISettlement.WrongKeyVersion.selector, 2, 1));
    }

    function test_a_number_is_not_left_out() public {
        _refused(script(2, 2), abi.encodeWithSelector(ISettlement.WrongNumber.selector, 1, 2));
    }

    function test_a_batch_does_not_settle_twice() public {
        _settlement.settle(script(1, 1));
        _refused(script(1, 1), abi.encodeWithSelector(ISettlement.WrongNumber.selector, 2, 1));
    }

    function test_another_predecessor_is_refused() public {
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].header.previous = bytes32(uint256(1));
        _refused(
            b,
            abi.encodeWithSelector(
                ISettlement.WrongPrevious.selector, _genesis, bytes32(uint256(1))
            )
        );
    }

    function test_a_changed_batch_breaks_the_chain_of_headers() public {
        ISettlement.Batch[] memory b = script(1, 2);
        bytes32 claimed = b[1].header.previous;
        b[0].header.dataRoot = bytes32(uint256(1));
        bytes32 actual = keccak256(abi.encode(b[0].header));
        _refused(b, abi.encodeWithSelector(ISettlement.WrongPrevious.selector, actual, claimed));
    }

    function test_a_window_starts_where_the_last_ended() public {
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].header.t0 += 1;
        _refused(
            b,
            abi.encodeWithSelector(ISettlement.WrongStart.selector, GENESIS_TIME, GENESIS_TIME + 1)
        );
    }

    function test_an_empty_window_is_refused() public {
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].header.t1 = b[0].header.t0;
        _refused(
            b, abi.encodeWithSelector(ISettlement.EmptyWindow.selector, GENESIS_TIME, GENESIS_TIME)
        );
    }

    function test_a_window_above_the_maximum_is_refused() public {
        vm.warp(NOW + 30 days);
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].header.t1 = b[0].header.t0 + 2 ** 27 + 1;
        _refused(
            b, abi.encodeWithSelector(ISettlement.WindowTooLong.selector, 2 ** 27, 2 ** 27 + 1)
        );
        b[0].header.t1 -= 1; // the longest window, under proofs of a shorter one
        _rejected(b, 2);
    }

    function test_a_window_that_is_not_over_is_refused() public {
        vm.warp(GENESIS_UNIX + WINDOW / 1000 - 1);
        _refused(
            script(1, 1),
            abi.encodeWithSelector(
                ISettlement.WindowNotOver.selector,
                GENESIS_TIME + WINDOW - 1000,
                GENESIS_TIME + WINDOW
            )
        );
    }

    function test_another_root_in_is_refused() public {
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].header.rootIn += 1;
        _refused(
            b,
            abi.encodeWithSelector(
                ISettlement.WrongRootIn.selector, GENESIS_ROOT, GENESIS_ROOT + 1
            )
        );
    }

    function test_a_journal_does_not_shrink() public {
        _settlement.settle(script(1, 1));
        ISettlement.Batch[] memory b = script(2, 2);
        b[0].header.journalPosition = 99;
        _refused(b, abi.encodeWithSelector(ISettlement.JournalWentBack.selector, 100, 99));
    }

    function test_an_empty_batch_cannot_use_up_the_positions_of_all_that_follow() public {
        _settlement.settle(script(1, 1));
        ISettlement.Batch[] memory b = script(2, 2);
        same(b[0].operations.length + b[0].claims.length, 0);
        uint256 limit = 100 + 2 ** 28;
        uint256[3] memory ahead = [limit, limit + 1, 2 ** 64 - 1];
        for (uint256 i; i < 3; ++i) {
            b[0].header.journalPosition = ahead[i];
            _refused(
                b, abi.encodeWithSelector(ISettlement.JournalRanAhead.selector, limit, ahead[i])
            );
        }
        b[0].header.journalPosition = limit - 1; // the longest step
        _settlement.settle(b);
        same(_settlement.journalPosition(), limit - 1);
    }

    function test_a_journal_position_is_below_2_64() public {
        // The tip is as before the first batch, but for its position, the last one but one.
        vm.store(CONTRACT, 0, bytes32(((2 ** 64 - 2) << 128) | (GENESIS_TIME << 64)));
        same(_settlement.journalPosition(), 2 ** 64 - 2);
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].header.journalPosition = 2 ** 64;
        _refused(b, _outOfRange("journalPosition", 2 ** 64, 2 ** 64));
    }

    // -------------------------------------------------------------------- what is not supported

    function test_what_is_not_supported_must_be_neutral() public {
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].header.forced.first = 1;
        _refused(b, _notSupported("forcedFirst", 1));
        b = script(1, 1);
        b[0].header.forced.count = 1;
        _refused(b, _notSupported("forcedCount", 1));
        b = script(1, 1);
        b[0].header.forced.outcomes = 1;
        _refused(b, _notSupported("forcedOutcomes", 1));
        b = script(1, 1);
        b[0].header.registryRoot = bytes32(uint256(1));
        _refused(b, _notSupported("registryRoot", 1));
        b = script(1, 1);
        b[0].header.dataSource = 1;
        _refused(b, _notSupported("dataSource", 1));
    }

    function test_an_attestation_must_be_empty() public {
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].attestation = new bytes(65);
        _refused(b, _notSupported("attestation", 65));
    }

    function _notSupported(bytes32 word, uint256 value) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ISettlement.NotSupported.selector, word, value);
    }

    // ---------------------------------------------------------------- chunks and header agree

    function test_the_last_chunk_leads_to_the_root_out() public {
        ISettlement.Batch[] memory b = script(1, 1);
        uint256 expected = b[0].operations[0].rootOut;
        b[0].header.rootOut = expected + 1;
        _refused(
            b, abi.encodeWithSelector(ISettlement.WrongRootOut.selector, expected, expected + 1)
        );
    }

    function test_without_chunks_the_root_stays() public {
        ISettlement.Batch[] memory b = script(1, 1);
        uint256 found = b[0].header.rootOut;
        b[0].operations = new ISettlement.OperationsChunk[](0);
        _refused(b, abi.encodeWithSelector(ISettlement.WrongRootOut.selector, GENESIS_ROOT, found));
    }

    function test_without_operations_no_operations_chunk_is_taken() public {
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].operations[0].rootOut = GENESIS_ROOT;
        b[0].operations[0].operations = 0;
        b[0].header.rootOut = GENESIS_ROOT;
        b[0].header.operations = 0;
        _refused(b, abi.encodeWithSelector(ISettlement.NeedlessChunks.selector, 1, 1));
    }

    function test_without_claims_no_claims_chunk_is_taken() public {
        ISettlement.Batch[] memory b = script(1, 1);
        ISettlement.ClaimsChunk memory c = b[0].claims[0];
        (c.access, c.collect, c.breakGlass, c.excluded) = (0, 0, 0, 0);
        ISettlement.Header memory h = b[0].header;
        (h.access, h.collect, h.breakGlass, h.excluded) = (0, 0, 0, 0);
        _refused(b, abi.encodeWithSelector(ISettlement.NeedlessChunks.selector, 2, 1));
    }

    /// A chunk of one kind of claim alone reaches the verifier, which refuses its old proof.
    function test_a_claim_of_any_kind_needs_its_chunk() public {
        for (uint256 kind; kind < 4; ++kind) {
            ISettlement.Batch[] memory b = script(1, 1);
            ISettlement.ClaimsChunk memory c = b[0].claims[0];
            ISettlement.Header memory h = b[0].header;
            (c.access, c.collect, c.breakGlass, c.excluded) =
            (kind == 0 ? 7 : 0, kind == 1 ? 7 : 0, kind == 2 ? 7 : 0, kind == 3 ? 7 : 0);
            (h.access, h.collect, h.breakGlass, h.excluded) =
            (c.access, c.collect, c.breakGlass, c.excluded);
            _rejected(b, 2);
        }
    }

    function test_every_counter_is_the_sum_over_the_chunks() public {
        _miscounted(10, "operations", 3);
        _miscounted(11, "enrolments", 1);
        _miscounted(12, "access", 2);
        _miscounted(13, "collect", 5);
        _miscounted(14, "breakGlass", 1);
        _miscounted(15, "excluded", 0);
    }

    /// Adds 1 to the header's counter that is its member `index`.
    function _miscounted(uint256 index, bytes32 word, uint256 expected) private {
        ISettlement.Batch[] memory b = script(1, 1);
        ISettlement.Header memory header = b[0].header;
        assembly ("memory-safe") {
            let at_ := add(header, mul(index, 32))
            mstore(at_, add(mload(at_), 1))
        }
        _refused(
            b,
            abi.encodeWithSelector(ISettlement.WrongTotal.selector, word, expected, expected + 1)
        );
    }

    function test_the_counters_of_a_chunk_are_below_2_32() public {
        for (uint256 i = 3; i < 5; ++i) {
            ISettlement.Batch[] memory b = script(1, 1);
            ISettlement.OperationsChunk memory chunk = b[0].operations[0];
            assembly ("memory-safe") {
                mstore(add(chunk, mul(i, 32)), shl(32, 1))
            }
            _refused(
                b,
                _outOfRange(
                    i == 3 ? bytes32("operations") : bytes32("enrolments"), 2 ** 32, 2 ** 32
                )
            );
        }
        bytes32[4] memory names = [bytes32("access"), "collect", "breakGlass", "excluded"];
        for (uint256 i; i < 4; ++i) {
            ISettlement.Batch[] memory b = script(1, 1);
            ISettlement.ClaimsChunk memory chunk = b[0].claims[0];
            assembly ("memory-safe") {
                mstore(add(chunk, mul(add(i, 2), 32)), shl(32, 1))
            }
            _refused(b, _outOfRange(names[i], 2 ** 32, 2 ** 32));
        }
    }

    function test_a_sum_of_counters_is_below_2_32() public {
        ISettlement.Batch[] memory b = wide();
        uint256 sum = 2 ** 32 - 1 + 2 + 2 + 2;
        b[0].claims[0].collect = 2 ** 32 - 1;
        b[0].header.collect = sum;
        _refused(b, _outOfRange("collect", 2 ** 32, sum));
    }

    function _outOfRange(bytes32 word, uint256 limit, uint256 found)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(ISettlement.OutOfRange.selector, word, limit, found);
    }

    function test_the_operations_root_commits_to_the_chunks_in_order() public {
        _settlement.settle(script(1, 2));
        ISettlement.Batch[] memory b = script(3, 3);
        bytes32 expected = b[0].header.operationsRoot;
        same(
            expected,
            keccak256(
                abi.encode(b[0].operations[0].operationsRoot, b[0].operations[1].operationsRoot)
            )
        );
        b[0].header.operationsRoot = 0;
        _refused(b, _wrongCommitment("operationsRoot", expected, 0));
    }

    function test_the_claims_root_commits_to_the_chunks_in_order() public {
        _settlement.settle(script(1, 2));
        ISettlement.Batch[] memory b = script(3, 3);
        bytes32 expected = b[0].header.claimsRoot;
        same(expected, keccak256(abi.encode(b[0].claims[0].claimsRoot, b[0].claims[1].claimsRoot)));
        b[0].header.claimsRoot = 0;
        _refused(b, _wrongCommitment("claimsRoot", expected, 0));
    }

    function test_without_chunks_the_commitments_are_zero() public {
        _settlement.settle(script(1, 1));
        ISettlement.Batch[] memory b = script(2, 2);
        b[0].header.claimsRoot = bytes32(uint256(1));
        _refused(b, _wrongCommitment("claimsRoot", 0, bytes32(uint256(1))));
    }

    function _wrongCommitment(bytes32 word, bytes32 expected, bytes32 found)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(ISettlement.WrongCommitment.selector, word, expected, found);
    }

    // ----------------------------------------------------------------------------------- keys

    function test_an_unknown_key_is_refused() public {
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].claims[0].keyId = bytes32(uint256(1));
        _refused(b, abi.encodeWithSelector(ISettlement.UnknownKey.selector, bytes32(uint256(1))));
    }

    function test_a_key_of_the_other_circuit_is_refused() public {
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].operations[0].keyId = _claimsId;
        _refused(b, abi.encodeWithSelector(ISettlement.WrongCircuit.selector, _claimsId, 1, 2));
        b = script(1, 1);
        b[0].claims[0].keyId = _operationsId;
        _refused(b, abi.encodeWithSelector(ISettlement.WrongCircuit.selector, _operationsId, 2, 1));
    }

    function test_a_proof_holds_under_the_key_it_was_made_for_only() public {
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].operations[0].keyId = keccak256(abi.encodePacked(words("operationsLarge")));
        _rejected(b, 2);
    }

    // --------------------------------------------------------- public inputs bind every word

    function test_every_word_of_an_operations_chunk_is_proven() public {
        ISettlement.Batch[] memory c = script(1, 1);
        c[0].operations[0].timeOut += 1;
        _rejected(c, 2);
        c = script(1, 1);
        c[0].operations[0].rootOut += 1;
        c[0].header.rootOut += 1;
        _rejected(c, 2);
        c = script(1, 1);
        c[0].operations[0].operations += 1;
        c[0].header.operations += 1;
        _rejected(c, 2);
        c = script(1, 1);
        c[0].operations[0].enrolments += 1;
        c[0].header.enrolments += 1;
        _rejected(c, 2);
        c = script(1, 1);
        uint256 moved = c[0].operations[0].operationsRoot + 1;
        c[0].operations[0].operationsRoot = moved;
        c[0].header.operationsRoot = keccak256(abi.encode(moved));
        _rejected(c, 2);
    }

    function test_every_word_of_a_claims_chunk_is_proven() public {
        for (uint256 i; i < 4; ++i) {
            ISettlement.Batch[] memory b = script(1, 1);
            ISettlement.Header memory h = b[0].header;
            ISettlement.ClaimsChunk memory c = b[0].claims[0];
            assembly ("memory-safe") {
                let inChunk := add(c, mul(add(i, 2), 32))
                let inHeader := add(h, mul(add(i, 12), 32))
                mstore(inChunk, add(mload(inChunk), 1))
                mstore(inHeader, add(mload(inHeader), 1))
            }
            _rejected(b, 2);
        }
        ISettlement.Batch[] memory d = script(1, 1);
        d[0].claims[0].edgeOut += 1;
        _rejected(d, 2);
        d = script(1, 1);
        uint256 moved = d[0].claims[0].claimsRoot + 1;
        d[0].claims[0].claimsRoot = moved;
        d[0].header.claimsRoot = keccak256(abi.encode(moved));
        _rejected(d, 2);
    }

    function test_the_window_and_the_journal_position_are_proven() public {
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].header.t1 += 1;
        _rejected(b, 2);
        b = script(1, 1);
        b[0].header.journalPosition += 1;
        _rejected(b, 2);
    }

    function test_chunks_do_not_change_places() public {
        _settlement.settle(script(1, 2));
        ISettlement.Batch[] memory b = script(3, 3);
        (b[0].claims[0], b[0].claims[1]) = (b[0].claims[1], b[0].claims[0]);
        b[0].header.claimsRoot =
            keccak256(abi.encode(b[0].claims[0].claimsRoot, b[0].claims[1].claimsRoot));
        _rejected(b, 4);
    }

    function test_a_chunk_is_not_counted_twice() public {
        _settlement.settle(script(1, 3));
        ISettlement.Batch[] memory b = script(4, 4);
        ISettlement.ClaimsChunk memory c = b[0].claims[0];
        b[0].claims = new ISettlement.ClaimsChunk[](2);
        (b[0].claims[0], b[0].claims[1]) = (c, c);
        b[0].header.claimsRoot = keccak256(abi.encode(c.claimsRoot, c.claimsRoot));
        b[0].header.collect *= 2;
        b[0].header.excluded *= 2;
        _rejected(b, 2);
    }

    function test_one_bad_batch_keeps_all_from_settling() public {
        ISettlement.Batch[] memory b = script(1, 5);
        b[4].operations[0].timeOut += 1;
        _rejected(b, 8);
        same(_settlement.number(), 0);
        same(_settlement.root(), GENESIS_ROOT);
    }

    function test_an_input_and_its_alias_above_r_are_not_both_taken() public {
        ISettlement.Batch[] memory b = script(1, 1);
        uint256 moved = b[0].claims[0].claimsRoot + R;
        b[0].claims[0].claimsRoot = moved;
        b[0].header.claimsRoot = keccak256(abi.encode(moved));
        _refused(b, _notInField(1, 3, moved));
        b = script(1, 1);
        moved = b[0].operations[0].timeOut + R;
        b[0].operations[0].timeOut = moved;
        _refused(b, _notInField(0, 5, moved));
        b = script(1, 1);
        moved = b[0].header.rootOut + R;
        (b[0].header.rootOut, b[0].operations[0].rootOut) = (moved, moved);
        _refused(b, _notInField(0, 1, moved));
    }

    function _notInField(uint256 proof, uint256 input, uint256 value)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(Groth16Batch.InputNotInField.selector, proof, input, value);
    }

    // --------------------------------------------------------------------------------- replay

    function test_proofs_do_not_hold_for_another_number() public {
        // The tip is as before the first batch, but for its number.
        vm.store(CONTRACT, 0, bytes32((GENESIS_TIME << 64) | 1));
        same(_settlement.number(), 1);
        same(_settlement.lastT1(), GENESIS_TIME);
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].header.number = 2;
        _rejected(b, 2);
    }

    function test_proofs_do_not_hold_on_another_chain() public {
        vm.chainId(1337);
        ISettlement.Batch[] memory b = script(1, 1);
        _rejected(b, 2);
        vm.chainId(CHAIN_ID);
        _settlement.settle(b);
    }

    function test_proofs_do_not_hold_for_another_contract() public {
        _settlement = deployAt(address(0x5e771f), config());
        ISettlement.Batch[] memory b = script(1, 1);
        b[0].header.previous = _settlement.headHash();
        _rejected(b, 2);
    }

    function test_proofs_do_not_hold_for_another_registrar() public {
        ISettlement.Config memory other = config();
        other.registrar += 1;
        vm.revertToState(_bare);
        _settlement = deployAt(CONTRACT, other);
        _rejected(script(1, 1), 2);
    }

    function test_a_proof_of_one_circuit_does_not_stand_for_the_other() public {
        ISettlement.Batch[] memory b = script(1, 1);
        (b[0].operations[0].proof, b[0].claims[0].proof) =
        (b[0].claims[0].proof, b[0].operations[0].proof);
        _rejected(b, 2);
    }
}
