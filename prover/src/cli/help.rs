//! What `--help` says first of each command: what it is for, for whom, and how to begin.

pub(crate) const PROVER: &str = "\
Make and check Groth16 proofs of the vitals circuits (BN254; files as snarkjs has them).
For operators who make keys and proofs by hand, and for auditors who doubt a key or a proof.

Begin with:
  prover shapes
  prover setup --shape c2-test --dir keys";

pub(crate) const SHAPES: &str = "\
List the circuits and sizes that can be proven.
For operators who choose a shape: its name is the --shape of the other commands.

Begin with:
  prover shapes
  prover shapes --json";

pub(crate) const ENGINES: &str = "\
Say which engines this processor runs, and which one `auto` takes.
For operators who choose a machine for proving, or wonder why one proves slowly.

Begin with:
  prover engines
  prover engines --json";

pub(crate) const SETUP: &str = "\
Make development keys. Anyone can forge proofs under them: for tests and demos only.
For developers, and for operators of a development chain.

Begin with:
  prover setup --shape c2-test --dir keys
  prover setup --dir keys";

pub(crate) const EXPORT: &str = "\
Write a shape's circuit and key for snarkjs and rapidsnark.
For auditors who compare a verifying key with its circuit, and for who prepares a ceremony.

Begin with:
  prover export --shape c2-test --r1cs c2-test.r1cs
  prover export --shape c2-test --vkey verification_key.json";

pub(crate) const PROVE: &str = "\
Prove what a witness file assigns to a shape, under the shape's key.
For developers who have a .wtns file; a node proves its batches without this program.

Begin with:
  prover prove --shape c2-test --wtns c2-test.wtns --out proof
  prover verify --vkey verification_key.json --proof proof/proof.json --public proof/public.json";

pub(crate) const VERIFY: &str = "\
Verify a proof: is there a witness for these public inputs under this key?
For auditors and everybody else: it needs no secret and no circuit.

Begin with:
  prover export --shape c2-test --vkey verification_key.json
  prover verify --vkey verification_key.json --proof proof.json --public public.json";

pub(crate) const INSPECT: &str = "\
Show what a key file says it is, and check its hash; with --full every point too.
For operators who got a key file from somewhere else.

Begin with:
  prover inspect keys/name.key
  prover inspect keys/name.key --full";

pub(crate) const IMPORT: &str = "\
Take over the key that a ceremony made, after checking all that needs no first phase.
For operators who deploy: a node with `prover.setup = \"ceremony\"` proves with it.

Begin with:
  prover export --shape c2-17 --r1cs c2-17.r1cs
  prover import-zkey --shape c2-17 --zkey c2-17.zkey --dir keys";

pub(crate) const KEYS: &str = "\
List keys, make a development key anew, check a ceremony.
For operators of a node, and for everybody who doubts how its keys were made.

Begin with:
  prover keys list --dir keys
  prover keys verify-transcript --shape c2-17 --ptau phase1.ptau --zkey c2-17.zkey";

pub(crate) const KEYS_LIST: &str = "\
List the keys of a folder by their headers: shape, setup, id, whether their points were checked.
For operators who wonder which keys a node has; `(other)` is a key of another version's circuit.

Begin with:
  prover keys list --dir keys
  prover keys list --json";

pub(crate) const KEYS_REGENERATE: &str = "\
Make a development key anew, in the place of one that is damaged or of another circuit.
For operators of a development chain; a ceremony's key is taken over again instead.

Begin with:
  prover keys list --dir keys
  prover keys regenerate --shape c2-test --dir keys";

pub(crate) const KEYS_VERIFY: &str = "\
Check that a key is what a first phase, this program's circuit and the contributions make.
For everybody: it needs two public files, and trusts neither snarkjs nor whoever held the ceremony.

Begin with:
  prover keys verify-transcript --shape c2-17 --ptau phase1.ptau --zkey c2-17.zkey
  prover keys verify-transcript --shape c1-17 --ptau phase1.ptau --zkey c1-17.zkey --json";

pub(crate) const WORKER: &str = "\
Make proofs for nodes on other machines, with jobs from a NATS JetStream queue.
For operators whose node closes windows faster than its own machine proves them.

Begin with:
  prover worker key --secret workers.key
  prover worker --jobs nats://127.0.0.1:4222 --secret workers.key

The rest is told by the program prover-worker, which this starts: prover worker -- --help";

pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done, or the answer is yes
  1  checked and refused: the message says what was expected and what was found
  2  the command line is wrong
  3  a file could not be read, so there is no answer";
