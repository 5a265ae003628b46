//! Files are made and opened for writing by the crate `files` alone, and every program closes what
//! it makes to others.

use syn::visit::{self, Visit};
use syn::{Attribute, ItemMod, ItemUse, UseTree};

use crate::functions::production_files;
use crate::{cargo, source};

/// Names that make or open a file for writing, whoever's they are.
const NAMES: &[&str] = &["OpenOptions", "DirBuilder", "create_dir", "create_dir_all", "hard_link"];

/// The same by the two last parts of a path.
const CALLS: &[(&str, &str)] = &[
    ("File", "create"),
    ("File", "create_new"),
    ("File", "options"),
    ("Database", "create"),
    ("fs", "write"),
    ("fs", "copy"),
    ("fs", "rename"),
    ("fs", "symlink"),
];

/// The crate that may.
const OPENER: &str = "/sequencer/files/";
/// Repository rules and measurements write none of a patient's bytes.
const OBSERVERS: &str = "/benches/";

#[test]
fn files_are_opened_in_one_place() {
    let mut wrong = Vec::new();
    for file in production_files() {
        if file.path.starts_with(OPENER) || file.path.starts_with(OBSERVERS) {
            continue;
        }
        let parsed = syn::parse_file(&file.text).expect("Rust");
        let mut opened = Opened::default();
        opened.visit_file(&parsed);
        wrong.extend(opened.0.iter().map(|call| format!("{}: {call}", file.path)));
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "expected functions of the crate `files` for:\n{wrong}");
}

#[test]
fn every_program_closes_its_files_to_others_first() {
    let mut wrong = Vec::new();
    for member in cargo::members().iter().filter(|member| member.folder != "benches") {
        let programs = member.targets.iter().filter(|(kind, _)| kind == "bin");
        for (_, root) in programs {
            let text = std::fs::read_to_string(root).expect("a program's root file");
            let main = text.split_once("fn main()").map_or("", |(_, behind)| behind);
            let first = main.lines().nth(1).unwrap_or_default().trim();
            if first != "files::close_to_others();" {
                wrong.push(format!("{root}: {first}"));
            }
        }
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "expected `files::close_to_others();` first, found:\n{wrong}");
}

/// What of a file's production code makes or opens files.
#[derive(Default)]
struct Opened(Vec<String>);

impl Opened {
    /// Looks at a path by its names.
    fn look(&mut self, path: &[String]) {
        let named = path.iter().any(|name| NAMES.contains(&name.as_str()));
        let called = path.windows(2).any(|pair| CALLS.contains(&(&*pair[0], &*pair[1])));
        if named || called {
            self.0.push(path.join("::"));
        }
    }

    /// Looks at every path that an import names.
    fn look_at_import(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.look_at_import(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.look(&with(&name.ident)),
            UseTree::Rename(renamed) => self.look(&with(&renamed.ident)),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.look_at_import(before, tree));
            }
            UseTree::Glob(_) => {}
        }
    }
}

impl<'ast> Visit<'ast> for Opened {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        if !is_test(&import.attrs) {
            self.look_at_import(&[], &import.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.look(&names);
        visit::visit_path(self, path);
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    let test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    };
    attributes.iter().any(test)
}

#[test]
fn the_walk_finds_imports_calls_and_nothing_of_tests() {
    let text = "use std::fs::{self, File as F, OpenOptions};\nuse std::fs::write as put;\n\
                fn a() { fs::write(p, b); std::fs::File::create(p); fs::read(p); }\n\
                #[cfg(test)]\nmod tests { fn b() { fs::write(p, b); } }\n\
                #[cfg(test)]\nfn c() { fs::create_dir(p); }";
    let mut opened = Opened::default();
    opened.visit_file(&syn::parse_file(text).expect("Rust"));
    let expected = ["std::fs::OpenOptions", "std::fs::write", "fs::write", "std::fs::File::create"];
    assert_eq!(opened.0, expected);
    assert!(source::files(&["rs"]).iter().any(|file| file.path.starts_with(OPENER)));
}
