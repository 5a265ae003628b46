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
Write a shape's circuit and development key for snarkjs and rapidsnark.
For auditors who compare a verifying key with its circuit, and for who prepares a ceremony.

Begin with:
  prover export --shape c2-test --r1cs c2-test.r1cs
  prover export --shape c2-test --vkey verification_key.json";

pub(crate) const PROVE: &str = "\
Prove what a witness file assigns to a shape, under the shape's development key.
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

pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done, or the answer is yes
  1  checked and refused: the message says what was expected and what was found
  2  the command line is wrong
  3  a file could not be read, so there is no answer";
