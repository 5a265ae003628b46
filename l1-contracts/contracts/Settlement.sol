// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Groth16Batch} from "./Groth16Batch.sol";
import {KeyLint} from "./KeyLint.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";

/// @title Settlement of consent batches
/// @notice See `ISettlement`. Immutable: no proxy, no owner, no pause.
contract Settlement is ISettlement {
    // ---------------------------------------------------------------------------------- types

    /// What the last settled batch left behind: three slots, written once a `settle`.
    struct Tip {
        uint64 number;
        uint64 lastT1;
        uint64 journalPosition;
        uint64 latenessMax;
        uint256 root;
        bytes32 headHash;
    }

    struct Key {
        address code;
        uint8 circuit;
    }

    /// One `settle` under way: the tip so far and the proofs collected so far.
    struct Run {
        Tip tip;
        Groth16Batch.Item[] items;
        uint256 next;
    }

    /// The operations chunks of a batch, folded up to here.
    struct Operations {
        uint256 domain;
        uint256 root;
        uint256 time;
        uint256 operations;
        uint256 enrolments;
        uint256[] roots;
    }

    /// The claims chunks of a batch, folded up to here.
    struct Claims {
        uint256 domain;
        uint256 edge;
        uint256 positionIn;
        uint256 access;
        uint256 collect;
        uint256 breakGlass;
        uint256 excluded;
        uint256[] roots;
    }

    // ------------------------------------------------------------------------------ constants

    /// Version of the header and of the circuits that this contract reads.
    uint256 public constant VERSION = 2;
    /// Consent root before the first batch, of the tree that holds no record.
    uint256 public constant EMPTY_ROOT =
        0x14ab1c98aa2c26c256fec2608c5af37a119811c92b4632f2270de7bdce375e62;
    /// Journal positions by which a batch may advance, not included: C2.4 presumes it, and one
    /// batch cannot use up the positions of all that come after it.
    uint256 public constant JOURNAL_STEP_LIMIT = 2 ** 28;
    /// Longest window, milliseconds: about 37 hours.
    uint256 public constant WINDOW_MAX = 2 ** 27;
    uint8 private constant OPERATIONS = 1;
    uint8 private constant CLAIMS = 2;
    uint256 private constant OPERATIONS_INPUTS = 12;
    uint256 private constant CLAIMS_INPUTS = 13;
    /// Millis of 1970-01-01T00:00:00Z.
    uint256 private constant UNIX_EPOCH = 2_208_988_800_000;
    uint256 private constant COUNTER_LIMIT = 2 ** 32;
    uint256 private constant POSITION_LIMIT = 2 ** 64;
    uint256 private constant TIME_LIMIT = 2 ** 44;
    bytes32 private constant OPERATION_TAG = keccak256("vitals operation v1");

    // ----------------------------------------------------------------------------- immutables

    address public immutable sequencer;
    address public immutable receiptSigner;
    uint256 public immutable registrar;
    uint256 public immutable genesisTime;

    // -------------------------------------------------------------------------------- storage

    Tip private _tip;
    mapping(bytes32 keyId => Key) public keys;

    // ---------------------------------------------------------------------------- constructor

    constructor(Config memory config) {
        if (config.sequencer == address(0)) revert ZeroAddress("sequencer");
        if (config.receiptSigner == address(0)) revert ZeroAddress("receiptSigner");
        _below("registrar", Groth16Batch.R, config.registrar);
        _below("genesisTime", TIME_LIMIT, config.genesisTime);

        sequencer = config.sequencer;
        receiptSigner = config.receiptSigner;
        registrar = config.registrar;
        genesisTime = config.genesisTime;
        _tip.root = EMPTY_ROOT;
        _tip.lastT1 = uint64(config.genesisTime);
        _tip.headHash =
            keccak256(abi.encode(block.chainid, address(this), EMPTY_ROOT, config.genesisTime));
        _acceptKeys(config.keys);
    }

    function _acceptKeys(KeyEntry[] memory entries) private {
        bytes32 setup;
        bool[CLAIMS + 1] memory offered;
        for (uint256 i; i < entries.length; ++i) {
            KeyEntry memory entry = entries[i];
            uint256[] memory words = KeyLint.read(entry.code, _inputsOf(entry.circuit));
            if (i == 0) setup = KeyLint.setup(words);
            if (KeyLint.setup(words) != setup) revert OtherSetup(entries[0].code, entry.code);
            bytes32 keyId = KeyLint.id(words);
            if (keys[keyId].circuit != 0) revert DuplicateKey(keyId);

            offered[entry.circuit] = true;
            keys[keyId] = Key(entry.code, entry.circuit);
            emit KeyAccepted(keyId, entry.code, entry.circuit);
        }
        if (!offered[OPERATIONS]) revert NoKeyFor(OPERATIONS);
        if (!offered[CLAIMS]) revert NoKeyFor(CLAIMS);
    }

    function _inputsOf(uint8 circuit) private pure returns (uint256) {
        if (circuit == OPERATIONS) return OPERATIONS_INPUTS;
        if (circuit == CLAIMS) return CLAIMS_INPUTS;
        revert UnknownCircuit(circuit);
    }

    // ------------------------------------------------------------------------------- settling

    /// @inheritdoc ISettlement
    function settle(Batch[] calldata batches) external {
        if (msg.sender != sequencer) revert NotSequencer(sequencer, msg.sender);
        if (batches.length == 0) revert NoBatches();

        Run memory run = _start(batches);
        for (uint256 i; i < batches.length; ++i) {
            _fold(run, batches[i]);
        }
        _tip = run.tip;

        Groth16Batch.check(run.items);
    }

    function _start(Batch[] calldata batches) private view returns (Run memory run) {
        uint256 proofs;
        for (uint256 i; i < batches.length; ++i) {
            proofs += batches[i].operations.length + batches[i].claims.length;
        }
        run.tip = _tip;
        run.items = new Groth16Batch.Item[](proofs);
    }

    /// Checks all of a batch but its proofs, which it puts into the run, and moves the tip.
    function _fold(Run memory run, Batch calldata batch) private {
        Header calldata header = batch.header;
        uint256 time = millis(block.timestamp);
        _checkSupported(batch);
        _checkSequence(run.tip, header);
        _checkWindow(run.tip, header, time);
        _foldOperations(run, header, batch.operations);
        _foldClaims(run, header, batch.claims);

        uint256 lateness = time - header.t1;
        Tip memory tip = run.tip;
        tip.number = uint64(header.number);
        tip.lastT1 = uint64(header.t1);
        tip.journalPosition = uint64(header.journalPosition);
        // Block times stay below 2^44 ms for five centuries.
        // forge-lint: disable-next-line(unsafe-typecast)
        if (lateness > tip.latenessMax) tip.latenessMax = uint64(lateness);
        tip.root = header.rootOut;
        tip.headHash = keccak256(abi.encode(header));

        emit BatchSettled(header.number, tip.headHash, header, lateness);
    }

    // ---------------------------------------------------------------------- checks of a header

    function _checkSupported(Batch calldata batch) private pure {
        Header calldata header = batch.header;
        if (header.version != VERSION) revert WrongVersion(VERSION, header.version);
        if (header.keyVersion != VERSION) revert WrongKeyVersion(VERSION, header.keyVersion);
        _neutral("forcedFirst", header.forced.first);
        _neutral("forcedCount", header.forced.count);
        _neutral("forcedOutcomes", header.forced.outcomes);
        _neutral("registryRoot", uint256(header.registryRoot));
        _neutral("dataSource", header.dataSource);
        _neutral("attestation", batch.attestation.length);
    }

    function _checkSequence(Tip memory tip, Header calldata header) private pure {
        uint256 expected = uint256(tip.number) + 1;
        if (header.number != expected) revert WrongNumber(expected, header.number);
        if (header.previous != tip.headHash) {
            revert WrongPrevious(tip.headHash, header.previous);
        }
        if (header.rootIn != tip.root) revert WrongRootIn(tip.root, header.rootIn);
        if (header.journalPosition < tip.journalPosition) {
            revert JournalWentBack(tip.journalPosition, header.journalPosition);
        }
        uint256 limit = uint256(tip.journalPosition) + JOURNAL_STEP_LIMIT;
        if (header.journalPosition >= limit) {
            revert JournalRanAhead(limit, header.journalPosition);
        }
        _below("journalPosition", POSITION_LIMIT, header.journalPosition);
    }

    function _checkWindow(Tip memory tip, Header calldata header, uint256 time) private pure {
        if (header.t0 != tip.lastT1) revert WrongStart(tip.lastT1, header.t0);
        if (header.t1 <= header.t0) revert EmptyWindow(header.t0, header.t1);
        uint256 length = header.t1 - header.t0;
        if (length > WINDOW_MAX) revert WindowTooLong(WINDOW_MAX, length);
        if (header.t1 > time) revert WindowNotOver(time, header.t1);
    }

    // --------------------------------------------------------------------- circuit 1: operations

    function _foldOperations(
        Run memory run,
        Header calldata header,
        OperationsChunk[] calldata chunks
    ) private view {
        Operations memory sum;
        sum.domain = _domain(OPERATIONS, header);
        sum.root = header.rootIn;
        sum.time = header.t0;
        sum.roots = new uint256[](chunks.length);
        for (uint256 i; i < chunks.length; ++i) {
            OperationsChunk calldata chunk = chunks[i];
            uint256[] memory inputs = _operationsInputs(sum, header, chunk);
            _queue(run, chunk.keyId, OPERATIONS, inputs, chunk.proof);
            sum.root = chunk.rootOut;
            sum.time = chunk.timeOut;
            sum.operations += _below("operations", COUNTER_LIMIT, chunk.operations);
            sum.enrolments += _below("enrolments", COUNTER_LIMIT, chunk.enrolments);
            sum.roots[i] = chunk.operationsRoot;
        }

        if (header.rootOut != sum.root) revert WrongRootOut(sum.root, header.rootOut);
        _total("operations", sum.operations, header.operations);
        _total("enrolments", sum.enrolments, header.enrolments);
        _committed("operationsRoot", sum.roots, header.operationsRoot);
        if (chunks.length != 0 && header.rootIn == header.rootOut && header.operations == 0) {
            revert NeedlessChunks(OPERATIONS, chunks.length);
        }
    }

    function _operationsInputs(
        Operations memory sum,
        Header calldata header,
        OperationsChunk calldata chunk
    ) private view returns (uint256[] memory inputs) {
        inputs = new uint256[](OPERATIONS_INPUTS);
        inputs[0] = sum.root;
        inputs[1] = chunk.rootOut;
        inputs[2] = header.t0;
        inputs[3] = header.t1;
        inputs[4] = sum.time;
        inputs[5] = chunk.timeOut;
        inputs[6] = sum.domain;
        inputs[7] = _signatureDomain();
        inputs[8] = registrar;
        inputs[9] = chunk.operations;
        inputs[10] = chunk.enrolments;
        inputs[11] = chunk.operationsRoot;
    }

    // ------------------------------------------------------------------------ circuit 2: claims

    function _foldClaims(Run memory run, Header calldata header, ClaimsChunk[] calldata chunks)
        private
        view
    {
        Claims memory sum;
        sum.domain = _domain(CLAIMS, header);
        sum.positionIn = run.tip.journalPosition;
        sum.roots = new uint256[](chunks.length);
        for (uint256 i; i < chunks.length; ++i) {
            ClaimsChunk calldata chunk = chunks[i];
            uint256[] memory inputs = _claimsInputs(sum, header, chunk);
            _queue(run, chunk.keyId, CLAIMS, inputs, chunk.proof);
            sum.edge = chunk.edgeOut;
            _addCounters(sum, chunk);
            sum.roots[i] = chunk.claimsRoot;
        }

        _total("access", sum.access, header.access);
        _total("collect", sum.collect, header.collect);
        _total("breakGlass", sum.breakGlass, header.breakGlass);
        _total("excluded", sum.excluded, header.excluded);
        _committed("claimsRoot", sum.roots, header.claimsRoot);
        if (
            chunks.length != 0
                && (header.access | header.collect | header.breakGlass | header.excluded) == 0
        ) {
            revert NeedlessChunks(CLAIMS, chunks.length);
        }
    }

    function _addCounters(Claims memory sum, ClaimsChunk calldata chunk) private pure {
        sum.access += _below("access", COUNTER_LIMIT, chunk.access);
        sum.collect += _below("collect", COUNTER_LIMIT, chunk.collect);
        sum.breakGlass += _below("breakGlass", COUNTER_LIMIT, chunk.breakGlass);
        sum.excluded += _below("excluded", COUNTER_LIMIT, chunk.excluded);
    }

    function _claimsInputs(Claims memory sum, Header calldata header, ClaimsChunk calldata chunk)
        private
        pure
        returns (uint256[] memory inputs)
    {
        inputs = new uint256[](CLAIMS_INPUTS);
        inputs[0] = header.rootOut;
        inputs[1] = header.t0;
        inputs[2] = header.t1;
        inputs[3] = chunk.claimsRoot;
        inputs[4] = chunk.access;
        inputs[5] = chunk.collect;
        inputs[6] = chunk.breakGlass;
        inputs[7] = chunk.excluded;
        inputs[8] = sum.edge;
        inputs[9] = chunk.edgeOut;
        inputs[10] = sum.positionIn;
        inputs[11] = header.journalPosition;
        inputs[12] = sum.domain;
    }

    // ------------------------------------------------------------------------------- internals

    /// Puts a proof into the run. Which circuit it must be for follows from the chunk's place.
    function _queue(
        Run memory run,
        bytes32 keyId,
        uint8 circuit,
        uint256[] memory inputs,
        uint256[8] calldata proof
    ) private view {
        Key memory key = keys[keyId];
        if (key.circuit == 0) revert UnknownKey(keyId);
        if (key.circuit != circuit) revert WrongCircuit(keyId, circuit, key.circuit);

        Groth16Batch.Item memory item = run.items[run.next++];
        item.key = key.code;
        item.inputs = inputs;
        item.proof = proof;
    }

    /// Binds a proof to this chain, contract, circuit, version and batch.
    function _domain(uint8 circuit, Header calldata header) private view returns (uint256) {
        bytes memory words = abi.encode(
            block.chainid, address(this), uint256(circuit), header.keyVersion, header.number
        );
        return uint256(keccak256(words)) % Groth16Batch.R;
    }

    /// What a patient's signature is bound to: this chain and contract.
    function _signatureDomain() private view returns (uint256) {
        bytes memory words = abi.encode(OPERATION_TAG, block.chainid, address(this));
        return uint256(keccak256(words)) % Groth16Batch.R;
    }

    function _neutral(bytes32 word, uint256 value) private pure {
        if (value != 0) revert NotSupported(word, value);
    }

    function _below(bytes32 word, uint256 limit, uint256 found) private pure returns (uint256) {
        if (found >= limit) revert OutOfRange(word, limit, found);
        return found;
    }

    function _total(bytes32 word, uint256 expected, uint256 found) private pure {
        if (found != expected) revert WrongTotal(word, expected, found);
        _below(word, COUNTER_LIMIT, found);
    }

    function _committed(bytes32 word, uint256[] memory roots, bytes32 found) private pure {
        bytes32 expected = roots.length == 0 ? bytes32(0) : keccak256(abi.encodePacked(roots));
        if (found != expected) revert WrongCommitment(word, expected, found);
    }

    // ----------------------------------------------------------------------------------- views

    /// @inheritdoc ISettlement
    function number() external view returns (uint256) {
        return _tip.number;
    }

    /// @inheritdoc ISettlement
    function root() external view returns (uint256) {
        return _tip.root;
    }

    /// @inheritdoc ISettlement
    function headHash() external view returns (bytes32) {
        return _tip.headHash;
    }

    /// @inheritdoc ISettlement
    function lastT1() external view returns (uint256) {
        return _tip.lastT1;
    }

    /// @inheritdoc ISettlement
    function journalPosition() external view returns (uint256) {
        return _tip.journalPosition;
    }

    /// @inheritdoc ISettlement
    function latenessMax() external view returns (uint256) {
        return _tip.latenessMax;
    }

    /// @inheritdoc ISettlement
    function millis(uint256 unixSeconds) public pure returns (uint256) {
        return unixSeconds * 1000 + UNIX_EPOCH;
    }
}
