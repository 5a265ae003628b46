//! What a function takes and gives: few things, each with a name.

use syn::visit::{self, Visit};
use syn::{FnArg, Signature, Type};

use crate::functions::production_files;

/// Most arguments of a function; more are a struct, whose fields have names where it is called.
const ARGUMENTS_MAX: usize = 4;

/// Most members of a tuple in a signature or a field; more are a struct.
const TUPLE_MAX: usize = 2;

#[test]
fn functions_take_few_arguments_and_no_long_tuples() {
    let mut wrong = Vec::new();
    for file in production_files() {
        let parsed = syn::parse_file(&file.text).expect("Rust that compiles");
        let mut reader = Reader::default();
        reader.visit_file(&parsed);
        wrong.extend(reader.wrong.iter().map(|found| format!("{}: {found}", file.path)));
    }
    let count = wrong.len();
    let wrong = wrong.join("\n");
    assert!(
        wrong.is_empty(),
        "expected at most {ARGUMENTS_MAX} arguments and tuples of {TUPLE_MAX}, found {count} \
         longer ones:\n{wrong}"
    );
}

#[derive(Default)]
struct Reader {
    /// The item being read.
    at: String,
    wrong: Vec<String>,
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_signature(&mut self, signature: &'ast Signature) {
        self.at = signature.ident.to_string();
        let found = signature.inputs.iter().filter(|input| is_counted(input)).count();
        if found > ARGUMENTS_MAX {
            self.wrong.push(format!("{} takes {found}", self.at));
        }
        visit::visit_signature(self, signature);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.at = item.ident.to_string();
        visit::visit_item_struct(self, item);
    }

    fn visit_type_tuple(&mut self, tuple: &'ast syn::TypeTuple) {
        if tuple.elems.len() > TUPLE_MAX {
            self.wrong.push(format!("{} has a tuple of {}", self.at, tuple.elems.len()));
        }
        visit::visit_type_tuple(self, tuple);
    }

    /// An implementation of a trait has the trait's signatures, which are another's or read there.
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if item.trait_.is_none() {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }

    /// Bodies may pair values as they like.
    fn visit_block(&mut self, _: &'ast syn::Block) {}
}

/// The receiver does not count, nor the builder that every gadget writes its rows to.
fn is_counted(input: &FnArg) -> bool {
    let FnArg::Typed(input) = input else { return false };
    let Type::Reference(reference) = &*input.ty else { return true };
    let Type::Path(path) = &*reference.elem else { return true };
    path.path.segments.last().is_none_or(|last| last.ident != "Builder")
}
