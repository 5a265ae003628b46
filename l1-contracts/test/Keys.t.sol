// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {KeyCode} from "../contracts/KeyCode.sol";
import {KeyLint} from "../contracts/KeyLint.sol";
import {Settlement} from "../contracts/Settlement.sol";
import {ISettlement} from "../contracts/interfaces/ISettlement.sol";
import {Fixture} from "./Fixture.sol";
import {Vm} from "./Vm.sol";

/// What a deployment takes and refuses, above all of keys.
contract KeysTest is Fixture {
    function _refused(ISettlement.Config memory made, bytes memory why) private {
        vm.expectRevert(why);
        new Settlement(made);
    }

    /// Offers these words as the claims key.
    function _keyRefused(uint256[] memory list, bytes4 name) private {
        address code = address(new KeyCode(list));
        _refused(_with(code), abi.encodeWithSelector(name, code));
    }

    function _with(address code) private view returns (ISettlement.Config memory made) {
        made = config();
        made.keys[2].code = code;
    }

    // --------------------------------------------------------------------------------- config

    function test_roles_are_named() public {
        ISettlement.Config memory made = config();
        made.sequencer = address(0);
        _refused(
            made, abi.encodeWithSelector(ISettlement.ZeroAddress.selector, bytes32("sequencer"))
        );
        made = config();
        made.receiptSigner = address(0);
        _refused(
            made,
            abi.encodeWithSelector(ISettlement.ZeroAddress.selector, bytes32("receiptSigner"))
        );
    }

    function test_genesis_and_registrar_are_in_range() public {
        ISettlement.Config memory made = config();
        made.registrar = R;
        _refused(made, _outOfRange("registrar", R));
        made = config();
        made.genesisTime = 2 ** 44;
        _refused(made, _outOfRange("genesisTime", 2 ** 44));
    }

    function _outOfRange(bytes32 word, uint256 limit) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ISettlement.OutOfRange.selector, word, limit, limit);
    }

    function test_there_is_a_key_for_each_circuit() public {
        ISettlement.Config memory made = config();
        made.keys = new ISettlement.KeyEntry[](0);
        _refused(made, abi.encodeWithSelector(ISettlement.NoKeyFor.selector, 1));
        made.keys = new ISettlement.KeyEntry[](1);
        made.keys[0] = ISettlement.KeyEntry(operationsKey, 1);
        _refused(made, abi.encodeWithSelector(ISettlement.NoKeyFor.selector, 2));
    }

    function test_an_unknown_circuit_is_refused() public {
        ISettlement.Config memory made = config();
        made.keys[2].circuit = 3;
        _refused(made, abi.encodeWithSelector(ISettlement.UnknownCircuit.selector, 3));
        made.keys[2].circuit = 0;
        _refused(made, abi.encodeWithSelector(ISettlement.UnknownCircuit.selector, 0));
    }

    function test_a_key_is_offered_once() public {
        ISettlement.Config memory made = config();
        made.keys[1].code = address(new KeyCode(words("operations")));
        bytes32 keyId = keccak256(abi.encodePacked(words("operations")));
        _refused(made, abi.encodeWithSelector(ISettlement.DuplicateKey.selector, keyId));
    }

    function test_every_accepted_key_is_announced() public {
        vm.recordLogs();
        Settlement settlement = new Settlement(config());
        Vm.Log[] memory logs = vm.getRecordedLogs();
        same(logs.length, 3);
        same(logs[2].emitter, address(settlement));
        same(logs[2].topics[0], ISettlement.KeyAccepted.selector);
        same(logs[2].topics[1], keccak256(abi.encodePacked(words("claims"))));
        same(keccak256(logs[2].data), keccak256(abi.encode(claimsKey, 2)));
    }

    // ----------------------------------------------------------------------------- key's code

    function test_key_code_is_a_stop_byte_and_the_words() public view {
        bytes memory expected = abi.encodePacked(bytes1(0), words("claims"));
        same(keccak256(claimsKey.code), keccak256(expected));
        same(claimsKey.code.length, 1 + 32 * (14 + 2 * 14));
    }

    function test_a_key_is_as_long_as_its_circuit_needs() public {
        ISettlement.Config memory made = _with(operationsKey);
        _refused(
            made,
            abi.encodeWithSelector(
                ISettlement.WrongKeyLength.selector,
                operationsKey,
                1 + 32 * (14 + 2 * 14),
                1 + 32 * (14 + 2 * 13)
            )
        );
        made = _with(address(0xdead));
        _refused(
            made,
            abi.encodeWithSelector(
                ISettlement.WrongKeyLength.selector, address(0xdead), 1 + 32 * (14 + 2 * 14), 0
            )
        );
    }

    function test_a_key_that_could_run_is_refused() public {
        vm.etch(address(0xdead), abi.encodePacked(bytes1(0xff), words("claims")));
        _refused(
            _with(address(0xdead)),
            abi.encodeWithSelector(ISettlement.KeyNotData.selector, address(0xdead))
        );
    }

    function test_every_word_of_a_key_is_below_p() public {
        uint256[] memory list = words("claims");
        for (uint256 i; i < list.length; i += 3) {
            uint256 value = list[i];
            list[i] = value + P;
            address code = address(new KeyCode(list));
            _refused(
                _with(code),
                abi.encodeWithSelector(ISettlement.KeyWordNotInField.selector, code, i, value + P)
            );
            list[i] = value;
        }
    }

    function test_no_point_of_a_key_is_zero() public {
        uint256 length = words("claims").length;
        uint256 i;
        while (i < length) {
            uint256 size = i >= 2 && i < 14 ? 4 : 2;
            uint256[] memory list = words("claims");
            for (uint256 j; j < size; ++j) {
                list[i + j] = 0;
            }
            address code = address(new KeyCode(list));
            _refused(
                _with(code), abi.encodeWithSelector(ISettlement.KeyPointZero.selector, code, i)
            );
            i += size;
        }
    }

    function test_every_point_of_a_key_is_on_its_curve() public {
        uint256[6] memory starts = [uint256(0), 2, 6, 10, 14, 40];
        for (uint256 i; i < starts.length; ++i) {
            uint256[] memory list = words("claims");
            list[starts[i]] ^= 1;
            _keyRefused(list, ISettlement.KeyPointInvalid.selector);
        }
    }

    function test_a_twist_point_of_a_key_is_in_the_group() public {
        uint256[] memory outside = words("outsideGroup");
        for (uint256 start = 2; start < 14; start += 4) {
            uint256[] memory list = words("claims");
            for (uint256 i; i < 4; ++i) {
                list[start + i] = outside[i];
            }
            _keyRefused(list, ISettlement.KeyPointInvalid.selector);
        }
    }

    function test_a_delta_left_at_gamma_is_refused() public {
        uint256[] memory list = words("claims");
        for (uint256 i; i < 4; ++i) {
            list[10 + i] = list[6 + i];
        }
        _keyRefused(list, ISettlement.GammaIsDelta.selector);
    }

    function test_keys_of_another_setup_are_refused() public {
        ISettlement.Config memory made = config();
        made.keys[1].code = address(new KeyCode(words("otherSetup")));
        _refused(
            made,
            abi.encodeWithSelector(
                ISettlement.OtherSetup.selector, operationsKey, made.keys[1].code
            )
        );
    }

    // ---------------------------------------------------------------------- development alpha

    function test_dev_alpha_is_the_generator_times_vitals_dev() public view {
        same(uint256(uint80(bytes10("vitals-dev"))), 0x766974616c732d646576);
        (uint256 x, uint256 y) = multiply(1, 2, 0x766974616c732d646576);
        same(x, KeyLint.DEV_ALPHA_X);
        same(y, KeyLint.DEV_ALPHA_Y);
        same(words("operations")[0], x);
    }

    function test_development_keys_are_refused_outside_development_chains() public {
        uint256[5] memory chains = [uint256(1), 0, 10, 31_336, 11_155_111];
        for (uint256 i; i < chains.length; ++i) {
            vm.chainId(chains[i]);
            _refused(
                config(),
                abi.encodeWithSelector(
                    ISettlement.DevelopmentKey.selector, operationsKey, chains[i]
                )
            );
        }
    }

    function test_development_keys_are_accepted_on_development_chains() public {
        uint256[3] memory chains = [uint256(31_337), 1337, 31_338];
        for (uint256 i; i < chains.length; ++i) {
            vm.chainId(chains[i]);
            same(new Settlement(config()).number(), 0);
        }
    }

    function test_the_negated_development_alpha_is_as_public() public {
        vm.chainId(1);
        uint256[] memory list = words("operations");
        list[1] = P - list[1];
        ISettlement.Config memory made = config();
        made.keys[0].code = address(new KeyCode(list));
        _refused(
            made, abi.encodeWithSelector(ISettlement.DevelopmentKey.selector, made.keys[0].code, 1)
        );
    }

    function test_keys_with_an_alpha_of_their_own_are_accepted_on_any_chain() public {
        vm.chainId(1);
        ISettlement.Config memory made = config();
        made.keys = new ISettlement.KeyEntry[](2);
        made.keys[0] = ISettlement.KeyEntry(address(new KeyCode(words("ownAlpha"))), 1);
        made.keys[1] = ISettlement.KeyEntry(address(new KeyCode(words("ownAlphaClaims"))), 2);
        same(new Settlement(made).number(), 0);
    }
}
