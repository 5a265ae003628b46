// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Groth16Batch} from "../contracts/Groth16Batch.sol";
import {KeyCode} from "../contracts/KeyCode.sol";
import {Settlement} from "../contracts/Settlement.sol";
import {ISettlement} from "../contracts/interfaces/ISettlement.sol";
import {Vm} from "./Vm.sol";

/// The scripted settlement of `tests/fixtures.rs`: its keys, its batches, its contract.
abstract contract Fixture {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 internal constant R = Groth16Batch.R;
    uint256 internal constant P =
        0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;

    /// The script's contract, chain, genesis and roles.
    address internal constant CONTRACT = address(0x5e771e);
    uint256 internal constant CHAIN_ID = 31_337;
    uint256 internal constant GENESIS_UNIX = 1_800_000_000;
    uint256 internal constant GENESIS_TIME = 2_208_988_800_000 + GENESIS_UNIX * 1000;
    uint256 internal constant GENESIS_ROOT =
        0x14ab1c98aa2c26c256fec2608c5af37a119811c92b4632f2270de7bdce375e62;
    uint256 internal constant REGISTRAR = 424_242;
    uint256 internal constant WINDOW = 60_000;
    address internal constant RECEIPT_SIGNER = address(0xbeef);
    /// All five windows of the script are over: the last ended 100 s before.
    uint256 internal constant NOW = GENESIS_UNIX + 400;

    string private _json;
    address internal operationsKey;
    address internal operationsLargeKey;
    address internal claimsKey;

    function setUp() public virtual {
        _json = vm.readFile("test/fixtures/groth16.json");
        vm.warp(NOW);
        operationsKey = address(new KeyCode(words("operations")));
        operationsLargeKey = address(new KeyCode(words("operationsLarge")));
        claimsKey = address(new KeyCode(words("claims")));
    }

    // -------------------------------------------------------------------------------- fixture

    function words(string memory name) internal view returns (uint256[] memory list) {
        bytes memory packed = read(name);
        list = new uint256[](packed.length / 32);
        for (uint256 i; i < list.length; ++i) {
            uint256 value;
            assembly ("memory-safe") {
                value := mload(add(packed, mul(add(i, 1), 32)))
            }
            list[i] = value;
        }
    }

    function read(string memory name) internal view returns (bytes memory) {
        return vm.parseJsonBytes(_json, string.concat(".", name));
    }

    /// Batches `from` to `to` of the script, counted from 1, both included.
    function script(uint256 from, uint256 to)
        internal
        view
        returns (ISettlement.Batch[] memory part)
    {
        ISettlement.Batch[] memory all = abi.decode(read("script"), (ISettlement.Batch[]));
        part = new ISettlement.Batch[](to - from + 1);
        for (uint256 i; i < part.length; ++i) {
            part[i] = all[from - 1 + i];
        }
    }

    /// Another first batch: four chunks of each kind, under one key of each.
    function wide() internal view returns (ISettlement.Batch[] memory) {
        return abi.decode(read("wide"), (ISettlement.Batch[]));
    }

    // ----------------------------------------------------------------------------- deployment

    function config() internal view returns (ISettlement.Config memory made) {
        made.sequencer = address(this);
        made.registrar = REGISTRAR;
        made.receiptSigner = RECEIPT_SIGNER;
        made.genesisTime = GENESIS_TIME;
        made.keys = new ISettlement.KeyEntry[](3);
        made.keys[0] = ISettlement.KeyEntry(operationsKey, 1);
        made.keys[1] = ISettlement.KeyEntry(operationsLargeKey, 1);
        made.keys[2] = ISettlement.KeyEntry(claimsKey, 2);
    }

    /// Runs the constructor at a chosen address, because the proofs name the contract's.
    function deployAt(address account, ISettlement.Config memory made)
        internal
        returns (Settlement)
    {
        vm.etch(account, abi.encodePacked(type(Settlement).creationCode, abi.encode(made)));
        (bool ok, bytes memory code) = account.call("");
        require(ok, "the constructor reverted");
        vm.etch(account, code);
        return Settlement(account);
    }

    // ---------------------------------------------------------------------------------- curve

    function add(uint256 x, uint256 y, uint256 u, uint256 v)
        internal
        view
        returns (uint256, uint256)
    {
        (bool ok, bytes memory sum) = address(6).staticcall(abi.encode(x, y, u, v));
        require(ok, "no point to add");
        return abi.decode(sum, (uint256, uint256));
    }

    function multiply(uint256 x, uint256 y, uint256 scalar)
        internal
        view
        returns (uint256, uint256)
    {
        (bool ok, bytes memory product) = address(7).staticcall(abi.encode(x, y, scalar));
        require(ok, "no point to multiply");
        return abi.decode(product, (uint256, uint256));
    }

    // --------------------------------------------------------------------------------- checks

    function same(uint256 found, uint256 expected) internal pure {
        require(
            found == expected,
            string.concat("expected ", hexOf(expected), ", found ", hexOf(found))
        );
    }

    function same(bytes32 found, bytes32 expected) internal pure {
        same(uint256(found), uint256(expected));
    }

    function same(address found, address expected) internal pure {
        same(uint160(found), uint160(expected));
    }

    function hexOf(uint256 value) private pure returns (string memory) {
        bytes memory text = new bytes(64);
        for (uint256 i; i < 64; ++i) {
            text[63 - i] = bytes16("0123456789abcdef")[(value >> (4 * i)) & 15];
        }
        return string(text);
    }
}
