// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Settlement of consent batches
/// @notice Keeps the consent root of a rollup and moves it only by batches whose proofs hold. A
/// batch is one window of time [t0, t1): windows abut, numbers count up by one, each header names
/// the hash of its predecessor's. Times are milliseconds since 1900-01-01T00:00:00Z ("millis").
/// Roots and commitments that enter a proof are elements of the BN254 scalar field, below r.
/// @dev Errors of the proofs themselves are declared in `Groth16Batch`.
interface ISettlement {
    // ---------------------------------------------------------------------------------- types

    /// @notice Forced stops in a batch, three words of its header. They are not supported: all 0.
    /// @dev A struct of its own because bindings of Rust take 24 members at most in one. Its words
    /// stand in the header's encoding as if they were the header's own.
    /// @param first Number of the first forced stop in the batch.
    /// @param count How many are in it.
    /// @param outcomes Bit i tells whether the i-th was applied.
    struct Forced {
        uint256 first;
        uint256 count;
        uint256 outcomes;
    }

    /// @notice What a batch says, 26 words. Its hash is `keccak256(abi.encode(header))`.
    /// @param version Layout of this header: 2.
    /// @param number Number of the batch; the first is 1.
    /// @param previous Hash of the predecessor's header, of the genesis for the first.
    /// @param t0 Start of the window, millis, the predecessor's `t1`.
    /// @param t1 End of the window, millis, not included; not after the block's time.
    /// @param rootIn Consent root before the operations of the batch.
    /// @param rootOut Consent root after them; every claim is proven against this one.
    /// @param forced Forced stops, three words.
    /// @param operationsRoot keccak256 over the chunks' operations roots in order, 0 if none.
    /// @param claimsRoot keccak256 over the chunks' claims roots in order, 0 if none.
    /// @param operations Operations of all chunks, below 2^32 as every counter.
    /// @param enrolments Operations that enrol, each authorised by the registrar.
    /// @param access Access claims.
    /// @param collect Collect claims.
    /// @param breakGlass Break-glass claims.
    /// @param excluded Claims of any kind that are committed and counted, but not covered.
    /// @param dataRoot Root of the segments' digests. Recorded, not checked.
    /// @param journalPosition Journal position at `t1`, below 2^64, never below the predecessor's
    /// and less than 2^28 above it.
    /// @param journalHash Chained hash of the journal at that position. Recorded, not checked.
    /// @param registryRoot Actor registries are not supported: 0.
    /// @param dataSource Who vouches for the data. Only 0, the operator alone, is supported.
    /// @param ciphertextHash Hash of the encrypted batch file. Recorded, not checked.
    /// @param ciphertextLength Length of that file in bytes. Recorded, not checked.
    /// @param keyVersion Version of the circuits: 2.
    struct Header {
        uint256 version;
        uint256 number;
        bytes32 previous;
        uint256 t0;
        uint256 t1;
        uint256 rootIn;
        uint256 rootOut;
        Forced forced;
        bytes32 operationsRoot;
        bytes32 claimsRoot;
        uint256 operations;
        uint256 enrolments;
        uint256 access;
        uint256 collect;
        uint256 breakGlass;
        uint256 excluded;
        bytes32 dataRoot;
        uint256 journalPosition;
        bytes32 journalHash;
        bytes32 registryRoot;
        uint256 dataSource;
        bytes32 ciphertextHash;
        uint256 ciphertextLength;
        uint256 keyVersion;
    }

    /// @notice One proof of circuit 1: operations in time order move the root.
    /// @dev Its twelve public inputs, in order: root in, `rootOut`, t0, t1, time in, `timeOut`,
    /// domain, signature domain, registrar, `operations`, `enrolments`, `operationsRoot`. Root in
    /// and time in are the previous chunk's outputs, the header's `rootIn` and `t0` for the first.
    /// @param keyId Key of circuit 1, so the caller picks the shape.
    /// @param rootOut Root after this chunk; that of the last is the header's.
    /// @param timeOut Time of the chunk's last operation, millis.
    /// @param operations Operations in this chunk.
    /// @param enrolments Enrolments among them.
    /// @param operationsRoot Commitment to the chunk's operations.
    /// @param proof A.x, A.y, B.x.c1, B.x.c0, B.y.c1, B.y.c0, C.x, C.y (the order of EIP-197).
    struct OperationsChunk {
        bytes32 keyId;
        uint256 rootOut;
        uint256 timeOut;
        uint256 operations;
        uint256 enrolments;
        uint256 operationsRoot;
        uint256[8] proof;
    }

    /// @notice One proof of circuit 2: claims against the batch's final root.
    /// @dev Its thirteen public inputs, in order: `rootOut` of the header, t0, t1, `claimsRoot`,
    /// `access`, `collect`, `breakGlass`, `excluded`, edge in, `edgeOut`, position in, position
    /// out, domain. Edge in is the previous chunk's edge out, 0 for the first. The positions are
    /// the journal positions of the previous header and of this one.
    /// @param keyId Key of circuit 2, so the caller picks the shape.
    /// @param claimsRoot Commitment to the chunk's claims.
    /// @param access Access claims in this chunk.
    /// @param collect Collect claims in this chunk.
    /// @param breakGlass Break-glass claims in this chunk.
    /// @param excluded Claims of this chunk that are not covered.
    /// @param edgeOut Salted commitment to the chunk's last patient and journal position.
    /// @param proof As in `OperationsChunk`.
    struct ClaimsChunk {
        bytes32 keyId;
        uint256 claimsRoot;
        uint256 access;
        uint256 collect;
        uint256 breakGlass;
        uint256 excluded;
        uint256 edgeOut;
        uint256[8] proof;
    }

    /// @notice A header and the proofs that it holds.
    /// @param header What the batch says.
    /// @param operations Chunks of circuit 1; none iff the root stays and no operation is counted.
    /// @param claims Chunks of circuit 2; none iff all claim counters are 0.
    /// @param attestation Committee signatures are not supported: empty.
    struct Batch {
        Header header;
        OperationsChunk[] operations;
        ClaimsChunk[] claims;
        bytes attestation;
    }

    /// @notice A verifying key to accept.
    /// @param code Account whose code is a STOP byte and the key's words, see `KeyCode`.
    /// @param circuit 1 for operations, 2 for claims.
    struct KeyEntry {
        address code;
        uint8 circuit;
    }

    /// @notice Everything a deployment fixes for ever.
    /// @param sequencer Account that may settle.
    /// @param registrar Hash of the registrar's public key, below r.
    /// @param receiptSigner Account whose key signs receipts.
    /// @param genesisTime Start of the first window, millis, below 2^44.
    /// @param keys Verifying keys, all with the same alpha, beta and gamma.
    struct Config {
        address sequencer;
        uint256 registrar;
        address receiptSigner;
        uint256 genesisTime;
        KeyEntry[] keys;
    }

    // --------------------------------------------------------------------------------- events

    /// @notice A batch is settled: its root is the root.
    /// @param number Number of the batch.
    /// @param headerHash `keccak256(abi.encode(header))`.
    /// @param header Every word of the header.
    /// @param lateness Block time minus `t1`, milliseconds. It never makes a batch fail.
    event BatchSettled(
        uint256 indexed number, bytes32 indexed headerHash, Header header, uint256 lateness
    );

    /// @notice A verifying key is accepted; only the constructor does this.
    /// @param keyId keccak256 of the key's words.
    /// @param code Account that holds the words.
    /// @param circuit Circuit the key is for.
    event KeyAccepted(bytes32 indexed keyId, address code, uint8 circuit);

    // ------------------------------------------------------------- errors: who and which batch

    /// @notice Only the sequencer settles.
    error NotSequencer(address expected, address found);
    /// @notice There is nothing to settle.
    error NoBatches();
    /// @notice The header's layout is not the one this contract reads.
    error WrongVersion(uint256 expected, uint256 found);
    /// @notice The circuits' version is not the one this contract proves against.
    error WrongKeyVersion(uint256 expected, uint256 found);
    /// @notice A word asks for something this contract does not do; `word` is its name in ASCII.
    error NotSupported(bytes32 word, uint256 value);
    /// @notice The number is not the successor of the last one.
    error WrongNumber(uint256 expected, uint256 found);
    /// @notice The previous hash is not that of the last header.
    error WrongPrevious(bytes32 expected, bytes32 found);
    /// @notice The window does not start where the last one ended.
    error WrongStart(uint256 expected, uint256 found);
    /// @notice The window is empty or runs backwards.
    error EmptyWindow(uint256 t0, uint256 t1);
    /// @notice The window is longer than `WINDOW_MAX`.
    error WindowTooLong(uint256 maximum, uint256 found);
    /// @notice The window ends after the block's time.
    error WindowNotOver(uint256 blockTime, uint256 t1);
    /// @notice The batch does not start from the stored root.
    error WrongRootIn(uint256 expected, uint256 found);
    /// @notice The journal would lose positions.
    error JournalWentBack(uint256 stored, uint256 found);
    /// @notice The journal would advance by 2^28 positions or more.
    error JournalRanAhead(uint256 limit, uint256 found);

    // ------------------------------------------------------------------------- errors: chunks

    /// @notice The last chunk's root (the root in, without chunks) is not the header's root out.
    error WrongRootOut(uint256 expected, uint256 found);
    /// @notice A header's counter is not the sum of its chunks' counters.
    error WrongTotal(bytes32 word, uint256 expected, uint256 found);
    /// @notice A header's commitment is not the one over its chunks' roots.
    error WrongCommitment(bytes32 word, bytes32 expected, bytes32 found);
    /// @notice A word is not below its limit.
    error OutOfRange(bytes32 word, uint256 limit, uint256 found);
    /// @notice There are chunks although nothing of their kind happened.
    error NeedlessChunks(uint8 circuit, uint256 found);
    /// @notice No accepted key has this id.
    error UnknownKey(bytes32 keyId);
    /// @notice The key is for another circuit than the chunk's place says.
    error WrongCircuit(bytes32 keyId, uint8 expected, uint8 found);

    // --------------------------------------------------------------------- errors: deployment

    /// @notice An account that must be named is zero.
    error ZeroAddress(bytes32 word);
    /// @notice There is no circuit of this number.
    error UnknownCircuit(uint8 found);
    /// @notice There must be a key for this circuit.
    error NoKeyFor(uint8 circuit);
    /// @notice The code of a key is not as long as its circuit needs, in bytes.
    error WrongKeyLength(address code, uint256 expected, uint256 found);
    /// @notice The code of a key could run: it does not begin with STOP.
    error KeyNotData(address code);
    /// @notice A key's coordinate is not below the base field's modulus.
    error KeyWordNotInField(address code, uint256 index, uint256 value);
    /// @notice A point of a key, which starts at word `index`, is zero.
    error KeyPointZero(address code, uint256 index);
    /// @notice A point of a key is off its curve or, in G2, outside the group.
    error KeyPointInvalid(address code);
    /// @notice The key's gamma is its delta, so inputs and witness are not kept apart.
    error GammaIsDelta(address code);
    /// @notice The key's alpha, beta or gamma are not those of the first key.
    error OtherSetup(address first, address found);
    /// @notice A key with the public development alpha is offered on a chain that is not for it.
    error DevelopmentKey(address code, uint256 chainId);
    /// @notice The same words are offered twice.
    error DuplicateKey(bytes32 keyId);

    // -------------------------------------------------------------------------------- settling

    /// @notice Settles batches in order: all of them, or none.
    /// @dev One pairing call verifies the proofs of all chunks. Reverts with an error of this
    /// interface or of `Groth16Batch`. Gas: see the folder's README.
    /// @param batches At least one; the first follows the last settled one.
    function settle(Batch[] calldata batches) external;

    // ----------------------------------------------------------------------------------- views

    /// @notice Number of the last settled batch, 0 before the first.
    function number() external view returns (uint256);
    /// @notice Consent root after the last settled batch.
    function root() external view returns (uint256);
    /// @notice Hash of the last settled header. Before the first batch it is
    /// `keccak256(abi.encode(chain id, this address, EMPTY_ROOT, genesisTime))`.
    function headHash() external view returns (bytes32);
    /// @notice End of the last settled window, millis; the genesis time before the first.
    function lastT1() external view returns (uint256);
    /// @notice Journal position of the last settled batch, 0 before the first.
    function journalPosition() external view returns (uint256);
    /// @notice Greatest lateness of any settled batch, milliseconds.
    function latenessMax() external view returns (uint256);
    /// @notice Hash of the registrar's public key.
    function registrar() external view returns (uint256);
    /// @notice Account that may settle.
    function sequencer() external view returns (address);
    /// @notice Account whose key signs receipts. Recorded for auditors, not used here.
    function receiptSigner() external view returns (address);
    /// @notice Consent root before the first batch: that of the tree without a record, always.
    function EMPTY_ROOT() external view returns (uint256);
    /// @notice Start of the first window, millis.
    function genesisTime() external view returns (uint256);
    /// @notice The accepted key of this id, zeros if there is none.
    function keys(bytes32 keyId) external view returns (address code, uint8 circuit);
    /// @notice A Unix time in seconds, as block times are, in millis.
    function millis(uint256 unixSeconds) external pure returns (uint256);
}
