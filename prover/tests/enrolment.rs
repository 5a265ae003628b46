//! The smallest honest chunk of C1: one enrolment by the registrar, for the shape `c1-test`.

use ark_bn254::Fr;
use circuits::builder::Assignment;
use circuits::shapes::{Shape, Statement};
use statement::batch::PublicFile;
use statement::c1::{Chunk, Context, Row, apply, check};
use statement::eddsa::{self, SecretKey};
use statement::field;
use statement::operation::SignedOperation;
use statement::record;
use statement::tree::Tree;

const T0: u64 = 4_002_000_000_000;
const WINDOW_MS: u64 = 60_000;
const INDEX: u32 = 0o1234_5670;
const SIG_DOMAIN: u64 = 77;

/// The shape that the chunk fits.
pub(crate) fn shape() -> &'static Shape {
    Shape::named("c1-test").expect("a shape for tests")
}

/// The chunk's assignment; the native twin accepted it.
pub(crate) fn assignment() -> Assignment {
    let chunk = chunk();
    let inputs = check(&chunk).expect("an honest chunk");
    shape().assign(Statement::C1(&inputs, &chunk)).expect("a chunk of the shape")
}

fn chunk() -> Chunk {
    let registrar = SecretKey::from_bytes(&[2; 32]);
    let window = public_file().header.window;
    let t_op = window.t0().plus(2_000);
    let signed = signed(&registrar);
    let context = Context {
        sig_domain: Fr::from(SIG_DOMAIN),
        registrar_key_hash: registrar.public().hash(),
        t0: window.t0(),
        last_time: window.t0(),
        t_op,
        t1: Some(window.t1()),
    };
    let mut tree = Tree::new();
    tree.set(9, Fr::from(9));
    let (root_in, path) = (tree.root(), tree.path(INDEX));
    tree.set(INDEX, record::leaf(&apply(None, &signed, &context).expect("an enrolment")));
    let row = Row { signed, t_op, old: None, path, root_out: tree.root(), op_salt: Fr::from(41) };
    Chunk {
        root_in,
        time_in: window.t0(),
        window,
        domain: Fr::from(55),
        sig_domain: context.sig_domain,
        registrar_key_hash: context.registrar_key_hash,
        capacity: 1,
        rows: vec![row],
    }
}

/// An empty batch over the window, read from its canonical bytes.
fn public_file() -> PublicFile {
    let mut words = [[0; 32]; 26];
    for (word, number) in [(0, 2), (3, T0), (4, T0 + WINDOW_MS)] {
        words[word][24..].copy_from_slice(&number.to_be_bytes());
    }
    let no_entries = [0; 4 * 4];
    let bytes = [b"VTLBPUB\x02".as_slice(), words.as_flattened(), &no_entries].concat();
    PublicFile::from_bytes(&bytes).expect("canonical bytes")
}

/// The enrolment as a wallet sends it, signed for this contract.
fn signed(registrar: &SecretKey) -> SignedOperation {
    let patient = SecretKey::from_bytes(&[1; 32]);
    let mut bytes = vec![1, 1, 0];
    bytes.extend(INDEX.to_be_bytes());
    bytes.extend(0u32.to_be_bytes());
    bytes.extend((T0 - 50).to_be_bytes());
    bytes.extend((T0 + 30_000).to_be_bytes());
    for word in [patient.public().hash(), Fr::from(31), Fr::from(32)] {
        bytes.extend(field::to_word(&word).to_bytes());
    }
    bytes.extend(registrar.public().encode());
    bytes.extend(eddsa::sign(registrar, Fr::from(0)).encode());
    let unsigned = SignedOperation::from_bytes(&bytes).expect("canonical bytes");
    SignedOperation::sign(unsigned.operation, Fr::from(SIG_DOMAIN), registrar)
}
