// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Settlement} from "../contracts/Settlement.sol";
import {ISettlement} from "../contracts/interfaces/ISettlement.sol";
import {Fixture} from "./Fixture.sol";
import {Vm} from "./Vm.sol";

/// What settles, and what is then known.
contract SettleTest is Fixture {
    Settlement private _settlement;

    function setUp() public override {
        super.setUp();
        _settlement = deployAt(CONTRACT, config());
    }

    function test_a_deployment_knows_its_genesis_and_its_roles() public view {
        same(_settlement.number(), 0);
        same(_settlement.root(), GENESIS_ROOT);
        same(_settlement.lastT1(), GENESIS_TIME);
        same(_settlement.journalPosition(), 0);
        same(_settlement.latenessMax(), 0);
        same(
            _settlement.headHash(),
            keccak256(abi.encode(CHAIN_ID, CONTRACT, GENESIS_ROOT, GENESIS_TIME))
        );
        same(_settlement.sequencer(), address(this));
        same(_settlement.receiptSigner(), RECEIPT_SIGNER);
        same(_settlement.registrar(), REGISTRAR);
        same(_settlement.EMPTY_ROOT(), GENESIS_ROOT);
        same(_settlement.genesisTime(), GENESIS_TIME);
    }

    function test_an_accepted_key_is_found_by_the_hash_of_its_words() public view {
        (address code, uint8 circuit) =
            _settlement.keys(keccak256(abi.encodePacked(words("claims"))));
        same(code, claimsKey);
        same(circuit, 2);
        (code, circuit) = _settlement.keys(bytes32(uint256(1)));
        same(code, address(0));
        same(circuit, 0);
    }

    function test_millis_count_from_1900() public view {
        same(_settlement.millis(0), 2_208_988_800_000);
        same(_settlement.millis(GENESIS_UNIX), GENESIS_TIME);
    }

    function test_a_batch_with_one_chunk_of_each_kind_settles() public {
        _settleAndCheck(script(1, 1));
    }

    function test_a_window_in_which_nothing_happened_needs_no_proof() public {
        _settlement.settle(script(1, 1));
        ISettlement.Batch[] memory empty = script(2, 2);
        same(empty[0].operations.length + empty[0].claims.length, 0);
        _settleAndCheck(empty);
        same(_settlement.root(), script(1, 1)[0].header.rootOut);
    }

    function test_several_chunks_of_several_shapes_settle() public {
        _settlement.settle(script(1, 2));
        _settleAndCheck(script(3, 3));
    }

    function test_claims_alone_and_operations_alone_settle() public {
        _settlement.settle(script(1, 3));
        _settleAndCheck(script(4, 4));
        _settleAndCheck(script(5, 5));
    }

    function test_many_chunks_under_one_key_of_each_kind_settle() public {
        _settleAndCheck(wide());
    }

    function test_batches_settle_alike_together_and_one_by_one() public {
        uint256 before = vm.snapshotState();
        for (uint256 i = 1; i <= 5; ++i) {
            _settlement.settle(script(i, i));
        }
        bytes32 head = _settlement.headHash();
        vm.revertToState(before);
        same(_settlement.number(), 0);
        _settleAndCheck(script(1, 5));
        same(_settlement.headHash(), head);
    }

    function test_every_batch_is_announced_with_every_word() public {
        ISettlement.Batch[] memory batches = script(1, 5);
        vm.recordLogs();
        _settlement.settle(batches);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        same(logs.length, 5);
        for (uint256 i; i < 5; ++i) {
            bytes memory header = abi.encode(batches[i].header);
            same(header.length, 26 * 32);
            same(logs[i].emitter, CONTRACT);
            same(logs[i].topics.length, 3);
            same(logs[i].topics[0], ISettlement.BatchSettled.selector);
            same(logs[i].topics[1], bytes32(i + 1));
            same(logs[i].topics[2], keccak256(header));
            uint256 lateness = _settlement.millis(NOW) - batches[i].header.t1;
            same(keccak256(logs[i].data), keccak256(bytes.concat(header, bytes32(lateness))));
        }
    }

    function test_lateness_never_reverts_and_its_maximum_stays() public {
        vm.warp(NOW + 365 days);
        _settlement.settle(script(1, 1));
        uint256 first = _settlement.latenessMax();
        same(first, (400 + 365 days) * 1000 - WINDOW);
        vm.warp(NOW);
        _settlement.settle(script(2, 2));
        same(_settlement.latenessMax(), first);
    }

    function test_a_window_may_end_at_the_block_time() public {
        vm.warp(GENESIS_UNIX + WINDOW / 1000);
        _settlement.settle(script(1, 1));
        same(_settlement.latenessMax(), 0);
    }

    function test_a_batch_writes_the_three_slots_of_the_tip_and_no_other() public {
        vm.record();
        _settlement.settle(script(1, 5));
        (, bytes32[] memory writes) = vm.accesses(CONTRACT);
        for (uint256 i; i < writes.length; ++i) {
            require(uint256(writes[i]) < 3, "a slot outside the tip");
        }
    }

    function _settleAndCheck(ISettlement.Batch[] memory batches) private {
        _settlement.settle(batches);
        ISettlement.Header memory last = batches[batches.length - 1].header;
        same(_settlement.number(), last.number);
        same(_settlement.root(), last.rootOut);
        same(_settlement.lastT1(), last.t1);
        same(_settlement.journalPosition(), last.journalPosition);
        same(_settlement.headHash(), keccak256(abi.encode(last)));
    }
}
