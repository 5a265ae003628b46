//! Files are made and opened for writing by the crate `files` alone, and every program closes what
//! it makes to others.
//!
//! Names are followed through imports, renamed ones too, types that stand for another, and the
//! tokens of macros. What nobody can follow without a compiler (a function that is handed around)
//! is left to the tests of what a node writes.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree};

use crate::functions::production_files;
use crate::{cargo, code, source};

/// Names that make or open a file for writing, or change who may open it, whoever's they are.
const NAMES: &[&str] = &[
    "OpenOptions",
    "DirBuilder",
    "create_dir",
    "create_dir_all",
    "hard_link",
    "set_permissions",
    "set_mode",
];

/// Methods that make a file, whatever they are called on.
const METHODS: &[&str] = &["create", "create_new"];

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
    // Of rustix: neither the standard library nor tokio has functions of these names there.
    ("fs", "open"),
    ("fs", "openat"),
    ("fs", "chmod"),
    ("fs", "chmodat"),
    ("fs", "fchmod"),
    // Every name of it, and none that could be read here.
    ("fs", "*"),
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
        let opened = Opened::of(&syn::parse_file(&file.text).expect("Rust"));
        wrong.extend(opened.iter().map(|call| format!("{}: {call}", file.path)));
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

/// Longest path that is followed, names: two imports that name each other would go on for ever.
const NAMES_MAX: usize = 16;

/// What a file's names stand for. Each has all its meanings of the whole file: which one is meant
/// where, the compiler knows, and one that opens files is enough.
#[derive(Default)]
struct Aliases(BTreeMap<String, BTreeSet<Vec<String>>>);

impl Aliases {
    /// A path, and it with each of what its first name stands for, the furthest last.
    fn expand(&self, path: &[String]) -> Vec<Vec<String>> {
        let mut all = vec![path.to_vec()];
        let mut at = 0;
        while let Some(path) = all.get(at).cloned() {
            let meanings = path.first().and_then(|first| self.0.get(first));
            for meant in meanings.into_iter().flatten() {
                let longer = [meant.as_slice(), &path[1..]].concat();
                if longer.len() <= NAMES_MAX && !all.contains(&longer) {
                    all.push(longer);
                }
            }
            at += 1;
        }
        all
    }

    fn add(&mut self, name: String, path: Vec<String>) {
        // What stands for itself leads nowhere.
        if path.first() != Some(&name) {
            self.0.entry(name).or_default().insert(path);
        }
    }

    fn import(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| match name.to_string().as_str() {
            "self" => before.to_vec(),
            name => [before, &[name.to_owned()]].concat(),
        };
        let called = |path: &[String]| path.last().cloned().unwrap_or_default();
        match tree {
            UseTree::Path(path) => self.import(&with(&path.ident), &path.tree),
            UseTree::Name(name) => {
                let path = with(&name.ident);
                self.add(called(&path), path);
            }
            UseTree::Rename(renamed) => {
                self.add(renamed.rename.to_string(), with(&renamed.ident));
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.import(before, tree));
            }
            UseTree::Glob(_) => {}
        }
    }
}

impl<'ast> Visit<'ast> for Aliases {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        self.import(&[], &import.tree);
    }

    fn visit_item_type(&mut self, alias: &'ast syn::ItemType) {
        if let syn::Type::Path(meant) = &*alias.ty {
            self.add(alias.ident.to_string(), names(&meant.path));
        }
    }

    fn visit_item_extern_crate(&mut self, import: &'ast syn::ItemExternCrate) {
        if let Some((_, rename)) = &import.rename {
            self.add(rename.to_string(), vec![import.ident.to_string()]);
        }
    }
}

/// What of a file's production code makes or opens files.
#[derive(Default)]
struct Opened {
    aliases: Aliases,
    found: Vec<String>,
}

impl Opened {
    fn of(file: &syn::File) -> Vec<String> {
        let mut opened = Opened::default();
        opened.aliases.visit_file(file);
        opened.visit_file(file);
        opened.found
    }

    /// Looks at a path by its names.
    fn look(&mut self, path: &[String]) {
        let opens = |path: &Vec<String>| {
            let named = path.iter().any(|name| NAMES.contains(&name.as_str()));
            named || path.windows(2).any(|pair| CALLS.contains(&(&*pair[0], &*pair[1])))
        };
        let meant = self.aliases.expand(path).into_iter().rfind(opens);
        self.found.extend(meant.map(|path| path.join("::")));
    }

    fn look_at_method(&mut self, name: &str) {
        if METHODS.contains(&name) || NAMES.contains(&name) {
            self.found.push(format!(".{name}"));
        }
    }

    /// Looks at every path that an import names.
    fn look_at_import(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &str| [before, &[name.to_owned()]].concat();
        match tree {
            UseTree::Path(path) => {
                self.look_at_import(&with(&path.ident.to_string()), &path.tree);
            }
            UseTree::Name(name) => self.look(&with(&name.ident.to_string())),
            UseTree::Rename(renamed) => self.look(&with(&renamed.ident.to_string())),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.look_at_import(before, tree));
            }
            UseTree::Glob(_) => self.look(&with("*")),
        }
    }

    /// Looks at the paths and methods among a macro's tokens: what they become nobody knows here.
    fn look_at_tokens(&mut self, tokens: &str) {
        let blank = code::blanked(tokens).replace(" :: ", "::").replace(". ", ".");
        let is_in_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let mut rest = blank.as_str();
        while let Some(begin) = rest.find(is_in_path) {
            let is_method = rest[..begin].ends_with('.') && !rest[..begin].ends_with("..");
            let text = &rest[begin..];
            let end = text.find(|c| !is_in_path(c)).unwrap_or(text.len());
            let path = text[..end].split("::").filter(|name| !name.is_empty());
            let path: Vec<_> = path.map(str::to_owned).collect();
            match (is_method, path.as_slice()) {
                (true, [name, ..]) => self.look_at_method(name),
                _ => self.look(&path),
            }
            rest = &text[end..];
        }
    }
}

impl<'ast> Visit<'ast> for Opened {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        self.look_at_import(&[], &import.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.look(&names(path));
        visit::visit_path(self, path);
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        // `<File>::create` has its type beside the path.
        if let Some(syn::Type::Path(own)) = path.qself.as_ref().map(|own| &*own.ty) {
            self.look(&[names(&own.path), names(&path.path)].concat());
        }
        visit::visit_expr_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.look_at_method(&call.method.to_string());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.look_at_tokens(&call.tokens.to_string());
        visit::visit_macro(self, call);
    }
}

fn names(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|part| part.ident.to_string()).collect()
}

/// Those of an item; none of tokens that are no item yet.
fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    let test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    };
    attributes.iter().any(test)
}

/// What is found in a text.
fn found(text: &str) -> Vec<String> {
    Opened::of(&syn::parse_file(text).expect("Rust"))
}

#[test]
fn the_walk_finds_imports_calls_and_nothing_of_tests() {
    let text = "use std::fs::{self, File as F, OpenOptions};\nuse std::fs::write as put;\n\
                fn a() { fs::write(p, b); std::fs::File::create(p); fs::read(p); }\n\
                #[cfg(test)]\nmod tests { fn b() { fs::write(p, b); } }\n\
                #[cfg(test)]\nfn c() { fs::create_dir(p); }";
    let expected =
        ["std::fs::OpenOptions", "std::fs::write", "std::fs::write", "std::fs::File::create"];
    assert_eq!(found(text), expected);
    assert!(source::files(&["rs"]).iter().any(|file| file.path.starts_with(OPENER)));
}

#[test]
fn no_other_name_hides_what_opens_a_file() {
    for hidden in [
        "use std::fs as d; fn a() { d::write(p, b); }",
        "use std::fs::File as F; fn a() { F::create(p); }",
        "use std::fs::{self as d}; fn a() { d::copy(p, q); }",
        "use std as s; fn a() { s::fs::rename(p, q); }",
        "extern crate std as s; fn a() { s::fs::write(p, b); }",
        "use std::fs as d; use d::File as F; fn a() { F::create_new(p); }",
        "type F = std::fs::File; fn a() { F::create(p); }",
        "use std::fs::File; fn a() { <File>::create(p); }",
        "use std::fs::File; fn a() { let make = File::create; }",
        "use std::fs::*; fn a() { write(p, b); }",
        "use tokio::fs as t; fn a() { t::write(p, b); }",
        "fn a() { ready!(std::fs::write(p, b)); }",
        "use std::fs as d; fn a() { vec![d::write(p, b)]; }",
        "macro_rules! make { ($p:expr) => { std::fs::File::create($p) }; }",
        "fn a() { ready!(options.create(true)); }",
        "use redb::Database; fn a() { Database::builder().create(p); }",
        "fn a() { let b = redb::Database::builder(); b.set_cache_size(5).create(p); }",
        "use std::fs; fn a() { fs::set_permissions(p, m); }",
        "fn a(file: File) { file.set_permissions(m); }",
        "fn a() { let mut m = old; m.set_mode(0o644); }",
        "use std::fs as d; fn a() { d::write(p, b); } #[cfg(test)] mod t { use x::y as d; }",
        "use std::fs as d; fn a() { d::write(p, b); } fn b() { use x::y as d; d::get(); }",
        "fn b() { use x::y as d; d::get(); } fn a() { use std::fs as d; d::write(p, b); }",
        "use a::b as c; use c::a; use std::fs as a; fn f() { a::write(p, b); }",
        "use rustix::fs; fn a() { fs::open(p, f, m); fs::openat(d, p, f, m); }",
        "use rustix::fs::fchmod; fn a() { fchmod(file, m); }",
        "fn a() { rustix::fs::chmod(p, m); }",
    ] {
        assert!(!found(hidden).is_empty(), "{hidden}");
    }
}

#[test]
fn what_only_reads_or_only_sounds_like_it_is_left_alone() {
    for plain in [
        "use std::fs as d; fn a() { d::read(p); d::remove_file(p); }",
        "use std::fs::File as F; fn a() { F::open(p); }",
        "use x::y as d; fn a() { d::write(p, b); } #[cfg(test)] mod t { use std::fs as d; }",
        "#[cfg(test)] impl A { fn a() { std::fs::write(p, b); } }",
        "fn a() { info!(\"fs::write and .create\"); }",
        "use crate::store::write; fn a() { write(p, b); 0..create; }",
        "fn a() { Database::builder().create_with_backend(file); Authority::create(p); }",
    ] {
        assert!(found(plain).is_empty(), "{plain}: {:?}", found(plain));
    }
}
