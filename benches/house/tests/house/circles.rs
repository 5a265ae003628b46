//! Within a crate the graph of modules is one-way.
//!
//! A module is a file. It uses another if a path in it leads to an item that the other defines;
//! re-exports are followed to the definition, so that `mod.rs` may show what its children make, and
//! compose them. A child that uses an item defined in its parent while the parent uses the child
//! is a circle like any other: what two share belongs below both. Code of tests is exempt.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

use crate::cargo::{self, ROOT};

/// Longest chain of re-exports that is followed; a longer one is a circle of `use` itself.
const HOPS_MAX: usize = 16;

#[test]
fn modules_of_a_crate_form_no_circle() {
    let mut wrong = Vec::new();
    for member in cargo::members() {
        let roots = member.targets.iter().filter(|(kind, _)| kind == "lib" || kind == "bin");
        for (_, root) in roots {
            let graph = Graph::read(Path::new(root));
            wrong.extend(graph.circles().iter().map(|circle| graph.explain(circle)));
        }
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "expected modules that use only those below them, found:\n{wrong}");
}

/// The name of a module from the root of its crate; empty for the root.
type Name = Vec<String>;

/// One file.
#[derive(Default)]
struct Module {
    file: PathBuf,
    /// What it defines, child modules aside.
    defined: BTreeSet<String>,
    children: BTreeSet<String>,
    /// Names that a `use` brings in, with the path that they stand for.
    imported: BTreeMap<String, Name>,
    globs: Vec<Name>,
    /// Every path in the code.
    paths: BTreeSet<Name>,
}

struct Graph {
    modules: BTreeMap<Name, Module>,
}

impl Graph {
    fn read(root: &Path) -> Graph {
        let mut modules = BTreeMap::new();
        let folder = root.parent().expect("a root file in a folder");
        read_module(root, folder, Vec::new(), &mut modules);
        Graph { modules }
    }

    /// Modules that this one uses, each with a path that leads there.
    fn uses(&self, name: &Name) -> BTreeMap<Name, Name> {
        let module = &self.modules[name];
        let imported = module.imported.values();
        let mut found = BTreeMap::new();
        for path in module.paths.iter().chain(imported).chain(&module.globs) {
            if let Some(used) = self.resolve(name, path, 0).filter(|used| used != name) {
                found.entry(used).or_insert_with(|| path.clone());
            }
        }
        found
    }

    /// The module that defines what `path` stands for in module `from`; `None` for other crates.
    fn resolve(&self, from: &Name, path: &[String], hops: usize) -> Option<Name> {
        assert!(hops < HOPS_MAX, "re-exports go round at {from:?}: {path:?}");
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.walk(Vec::new(), rest, hops),
            "self" => self.walk(from.clone(), rest, hops),
            "super" => self.walk(from[..from.len().checked_sub(1)?].to_vec(), rest, hops),
            _ if self.is_known(from, first) => self.walk(from.clone(), path, hops),
            _ => None,
        }
    }

    fn is_known(&self, module: &Name, name: &str) -> bool {
        let module = &self.modules[module];
        // `use anyhow::anyhow;` names another crate, whatever it brings in.
        let own = module.imported.get(name).is_some_and(|path| path[0] != name);
        module.children.contains(name) || own
    }

    /// Follows `rest` from a module downwards.
    fn walk(&self, mut at: Name, rest: &[String], hops: usize) -> Option<Name> {
        for (place, part) in rest.iter().enumerate() {
            let module = &self.modules[&at];
            if part == "super" {
                at.pop();
            } else if module.children.contains(part) {
                at.push(part.clone());
            } else if module.defined.contains(part) {
                return Some(at);
            } else if let Some(path) = module.imported.get(part) {
                let path: Name = path.iter().chain(&rest[place + 1..]).cloned().collect();
                return self.resolve(&at, &path, hops + 1);
            } else {
                let part = std::slice::from_ref(part);
                let open = module.globs.iter().find_map(|glob| {
                    let path = [glob.as_slice(), part].concat();
                    self.resolve(&at, &path, hops + 1).filter(|found| *found != at)
                });
                return open.or(Some(at));
            }
        }
        Some(at)
    }

    /// Sets of modules of which each reaches every other.
    fn circles(&self) -> Vec<Vec<Name>> {
        let uses: BTreeMap<_, BTreeSet<Name>> =
            self.modules.keys().map(|name| (name, self.uses(name).into_keys().collect())).collect();
        let reach: BTreeMap<_, _> = uses.keys().map(|name| (*name, reached(name, &uses))).collect();
        let mut circles = BTreeSet::new();
        for (name, far) in &reach {
            let mut circle: Vec<Name> =
                far.iter().filter(|other| reach[other].contains(*name)).cloned().collect();
            circle.sort();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    /// The edges of a circle, one a line.
    fn explain(&self, circle: &[Name]) -> String {
        let mut lines = Vec::new();
        for name in circle {
            let file = self.modules[name].file.display().to_string();
            let root = std::fs::canonicalize(ROOT).expect("the repository's root");
            let file = file.trim_start_matches(&*root.to_string_lossy()).to_owned();
            for (used, path) in self.uses(name) {
                if circle.contains(&used) {
                    let used = used.last().map_or("the crate's root", String::as_str);
                    lines.push(format!("  {file} -> {used} by {}", path.join("::")));
                }
            }
        }
        format!("a circle of {}:\n{}", circle.len(), lines.join("\n"))
    }
}

fn reached(from: &Name, uses: &BTreeMap<&Name, BTreeSet<Name>>) -> BTreeSet<Name> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&Name> = uses[from].iter().collect();
    while let Some(name) = open.pop() {
        if found.insert(name.clone()) {
            open.extend(&uses[name]);
        }
    }
    found
}

/// Reads a file and the files of its child modules. `folder` holds the children of `file`.
fn read_module(file: &Path, folder: &Path, name: Name, modules: &mut BTreeMap<Name, Module>) {
    let text = std::fs::read_to_string(file).expect("a source file");
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let mut module = Module { file: file.to_path_buf(), ..Module::default() };
    let mut reader = Reader { module: &mut module, files: Vec::new() };
    parsed.items.iter().for_each(|item| reader.read(item));
    let files = reader.files;
    for child in files {
        let below = folder.join(&child);
        let beside = folder.join(format!("{child}.rs"));
        let file = if beside.exists() { beside } else { below.join("mod.rs") };
        let name = [name.as_slice(), std::slice::from_ref(&child)].concat();
        read_module(&file, &below, name, modules);
    }
    modules.insert(name, module);
}

struct Reader<'a> {
    module: &'a mut Module,
    /// Child modules that are files.
    files: Vec<String>,
}

impl Reader<'_> {
    fn read(&mut self, item: &Item) {
        if is_test(attributes(item)) {
            return;
        }
        match item {
            Item::Mod(child) if child.content.is_none() => {
                self.module.children.insert(child.ident.to_string());
                self.files.push(child.ident.to_string());
            }
            Item::Use(item) => self.read_use(&item.tree, &mut Vec::new()),
            item => {
                self.module.defined.extend(defined(item));
                self.visit_item(item);
            }
        }
    }

    fn read_use(&mut self, tree: &UseTree, path: &mut Name) {
        match tree {
            UseTree::Path(next) => {
                path.push(next.ident.to_string());
                self.read_use(&next.tree, path);
                path.pop();
            }
            UseTree::Name(name) if name.ident == "self" => self.import(path.last().cloned(), path),
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                self.import(Some(name.clone()), &[path.as_slice(), &[name]].concat());
            }
            UseTree::Rename(rename) => {
                let path = [path.as_slice(), &[rename.ident.to_string()]].concat();
                self.import(Some(rename.rename.to_string()), &path);
            }
            UseTree::Glob(_) => self.module.globs.push(path.clone()),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.read_use(tree, path));
            }
        }
    }

    fn import(&mut self, name: Option<String>, path: &[String]) {
        let name = name.expect("a name is imported from a path");
        // `use other_crate;` stands for itself.
        if path.len() > 1 {
            self.module.imported.insert(name, path.to_vec());
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            let parts = path.segments.iter().map(|part| part.ident.to_string());
            self.module.paths.insert(parts.collect());
        }
        visit::visit_path(self, path);
    }

    /// `pub(in crate::a)` says who may look, and uses nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            item if is_test(attributes(item)) => {}
            // A `use` within a function or an inline module counts as one of the file.
            Item::Use(item) => self.read_use(&item.tree, &mut Vec::new()),
            item => visit::visit_item(self, item),
        }
    }
}

fn defined(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Mod(item) => &item.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let named = attribute.path().is_ident("cfg");
        named && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
    })
}

#[test]
fn a_circle_through_a_re_export_and_one_with_a_parent_are_found() {
    let module = |imported: &[(&str, &str)], defined: &[&str], children: &[&str]| Module {
        imported: imported
            .iter()
            .map(|(name, path)| ((*name).into(), path.split("::").map(Into::into).collect()))
            .collect(),
        defined: defined.iter().map(|name| (*name).to_string()).collect(),
        children: children.iter().map(|name| (*name).to_string()).collect(),
        ..Module::default()
    };
    let graph = |a: Module, b: Module, root: Module| {
        let modules = [(vec![], root), (vec!["a".into()], a), (vec!["b".into()], b)].into();
        Graph { modules }.circles().iter().map(Vec::len).collect::<Vec<_>>()
    };
    let shows = || module(&[("A", "a::A"), ("B", "b::B")], &[], &["a", "b"]);
    let a = |imported| module(imported, &["A"], &[]);
    let b = |imported| module(imported, &["B"], &[]);
    assert_eq!(graph(a(&[]), b(&[("A", "super::A")]), shows()), Vec::<usize>::new());
    assert_eq!(graph(a(&[("B", "crate::B")]), b(&[("A", "super::A")]), shows()), vec![2]);
    let parent = || module(&[("A", "a::A")], &["Own"], &["a", "b"]);
    assert_eq!(graph(a(&[("Own", "super::Own")]), b(&[]), parent()), vec![2]);
}
