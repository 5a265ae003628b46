// Writes receipts.json with ethers 6.15, an implementation of EIP-712 and RFC 6979 of its own.
//
//   cd "$(mktemp -d)" && npm init -y && npm install ethers@6.15.0
//   cp <repository>/sequencer/wire/vectors/receipts.mjs . && node receipts.mjs > receipts.json
//
// Nothing is random: two runs write equal files.
import { SigningKey, TypedDataEncoder, computeAddress, keccak256, toUtf8Bytes } from "ethers";

const key = new SigningKey("0x00000000000000000000000000000000000000000000000000000000000a11ce");
const [holderRole, holderName] = [1, "gw-01"];
const holder = keccak256(
  Buffer.concat([Buffer.from("vitals holder v1"), Buffer.from([holderRole]), toUtf8Bytes(holderName)]),
);

const types = {
  Receipt: [
    { name: "group", type: "uint64" },
    { name: "term", type: "uint32" },
    { name: "journalHash", type: "bytes32" },
    { name: "holder", type: "bytes32" },
    { name: "frames", type: "Frames[]" },
    { name: "operations", type: "Operation[]" },
    { name: "accesses", type: "Access[]" },
    { name: "refusals", type: "Refusal[]" },
  ],
  Access: [
    { name: "position", type: "uint64" },
    { name: "time", type: "uint64" },
    { name: "digest", type: "bytes32" },
    { name: "permitted", type: "bool" },
  ],
  Frames: [
    { name: "device", type: "string" },
    { name: "signal", type: "uint32" },
    { name: "epoch", type: "uint16" },
    { name: "firstSequence", type: "uint64" },
    { name: "lastSequence", type: "uint64" },
    { name: "firstPosition", type: "uint64" },
    { name: "lastPosition", type: "uint64" },
    { name: "time", type: "uint64" },
  ],
  Operation: [
    { name: "position", type: "uint64" },
    { name: "time", type: "uint64" },
    { name: "digest", type: "bytes32" },
  ],
  Refusal: [
    { name: "position", type: "uint64" },
    { name: "digest", type: "bytes32" },
  ],
};

// A digest has 31 bytes, and a zero byte in front.
const digest = (byte) => "0x00" + byte.repeat(31);
const hash = (byte) => "0x" + byte.repeat(32);
const frames = (signal, epoch, sequences, positions, time) => ({
  device: "monitor-1",
  signal,
  epoch,
  firstSequence: sequences[0],
  lastSequence: sequences[1],
  firstPosition: positions[0],
  lastPosition: positions[1],
  time,
});
const message = (group, term, journalHash, lists) => ({
  group,
  term,
  journalHash,
  holder,
  frames: [],
  operations: [],
  accesses: [],
  refusals: [],
  ...lists,
});

const cases = [
  {
    name: "frames of two streams",
    chain_id: 31337,
    contract: "0x" + "11".repeat(20),
    message: message(7, 0, hash("ab"), {
      frames: [
        frames(131328, 1, [1, 5], [100, 108], 4004288800000),
        frames(147842, 65535, [9, 9], [103, 103], 4004288799999),
      ],
    }),
  },
  {
    name: "one of each, after a loss",
    chain_id: 1,
    contract: "0x" + "fe".repeat(20),
    message: message(1048584, 1, hash("01"), {
      frames: [frames(131328, 0, [1, 1], [1048600, 1048600], 1)],
      operations: [{ position: 1048601, time: 4004288800001, digest: digest("22") }],
      accesses: [
        { position: 1048602, time: 4004288800002, digest: digest("33"), permitted: true },
        { position: 1048603, time: 4004288800002, digest: digest("44"), permitted: false },
      ],
      refusals: [{ position: 1048604, digest: digest("55") }],
    }),
  },
  {
    name: "a refusal alone",
    chain_id: 11155111,
    contract: "0x" + "0a".repeat(20),
    message: message(1, 0, hash("00"), { refusals: [{ position: 1, digest: digest("ff") }] }),
  },
  {
    name: "the last term",
    chain_id: 31337,
    contract: "0x" + "11".repeat(20),
    message: message(2 ** 40, 2 ** 32 - 1, hash("cd"), {
      operations: [{ position: 2 ** 41, time: 4004288800003, digest: digest("66") }],
    }),
  },
];

const receipts = cases.map(({ name, chain_id, contract, message }) => {
  const domain = {
    name: "vitals receipts",
    version: "2",
    chainId: chain_id,
    verifyingContract: contract,
  };
  const signing_hash = TypedDataEncoder.hash(domain, types, message);
  const signature = key.sign(signing_hash).serialized;
  return { name, chain_id, contract, message, signing_hash, signature };
});

console.log(
  JSON.stringify(
    {
      comment: "EIP-712 digests and RFC 6979 signatures computed by ethers; the key is for tests alone",
      test_key: key.privateKey,
      address: computeAddress(key.publicKey).toLowerCase(),
      holder_role: holderRole,
      holder_name: holderName,
      receipts,
    },
    null,
    1,
  ),
);
