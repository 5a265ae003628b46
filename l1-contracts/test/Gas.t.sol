// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Settlement} from "../contracts/Settlement.sol";
import {ISettlement} from "../contracts/interfaces/ISettlement.sol";
import {Fixture} from "./Fixture.sol";

/// What a transaction costs, pinned in `snapshots/`.
contract GasTest is Fixture {
    Settlement private _settlement;

    function setUp() public override {
        super.setUp();
        _settlement = deployAt(CONTRACT, config());
    }

    function test_gas_of_a_batch_with_one_chunk_of_each_kind() public {
        _measure("settle: 1 batch, 2 proofs, 2 keys", script(1, 1));
    }

    function test_gas_of_a_batch_with_four_chunks_of_each_kind() public {
        _measure("settle: 1 batch, 8 proofs, 2 keys", wide());
    }

    function test_gas_of_five_batches_together() public {
        _measure("settle: 5 batches, 8 proofs, 3 keys", script(1, 5));
    }

    function test_gas_of_an_empty_window() public {
        _settlement.settle(script(1, 1));
        ISettlement.Batch[] memory empty = script(2, 2);
        _measure("settle: 1 batch, no proof", empty);
    }

    function test_the_code_has_room_below_the_limit_of_24576_bytes() public {
        vm.snapshotValue("size", "Settlement, code bytes", CONTRACT.code.length);
        vm.snapshotValue("size", "claims key, code bytes", claimsKey.code.length);
        require(CONTRACT.code.length < 24_576, "too large");
    }

    /// Execution as measured, 21,000, and 4 or 16 for each byte of calldata; never less than the
    /// floor of EIP-7623, 10 for each token.
    function _measure(string memory name, ISettlement.Batch[] memory batches) private {
        bytes memory input = abi.encodeCall(ISettlement.settle, (batches));
        uint256 tokens;
        for (uint256 i; i < input.length; ++i) {
            tokens += input[i] == 0 ? 1 : 4;
        }
        vm.cool(CONTRACT);
        vm.cool(operationsKey);
        vm.cool(operationsLargeKey);
        vm.cool(claimsKey);
        uint256 before = gasleft();
        (bool ok,) = CONTRACT.call(input);
        uint256 used = before - gasleft();
        require(ok, "does not settle");
        vm.snapshotValue("gas", string.concat(name, ", execution"), used);
        uint256 whole = 21_000 + used + 4 * tokens;
        uint256 floor = 21_000 + 10 * tokens;
        vm.snapshotValue(
            "gas", string.concat(name, ", transaction"), whole > floor ? whole : floor
        );
        vm.snapshotValue("gas", string.concat(name, ", calldata bytes"), input.length);
    }
}
