//! What pages point at is there: files, items of files, headings of pages, and paths in backticks.
//!
//! A link to an item has the form `[text](path/to/file.rs#item)`: the item (function, type, field,
//! variant, constant, trait, macro, test) must be defined in that very file. A reader who follows
//! it on a page of a code host lands in the right file; the name finds the line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::{self, Visit};

use crate::cargo::ROOT;
use crate::source::{self, File};

/// Extensions of paths in backticks that are looked up. Others name what a program writes.
const LOOKED_UP: &[&str] = &["rs", "sol", "md"];

/// Words before a name that a Rust macro writes out.
const RUST: &[&str] = &["fn", "struct", "enum", "trait", "const", "type"];

/// Words before a name that Solidity defines.
const SOLIDITY: &[&str] =
    &["contract", "library", "interface", "function", "error", "event", "struct", "modifier"];

#[test]
fn links_of_pages_lead_to_a_file_an_item_or_a_heading() {
    let mut wrong = Vec::new();
    let mut known = Known::default();
    for page in source::files(&["md"]) {
        for link in links(&prose(&page.text)) {
            if let Err(why) = known.resolve(&page, &link) {
                wrong.push(format!("{}: ({link}): {why}", page.path));
            }
        }
    }
    assert!(wrong.is_empty(), "expected something behind these links:\n{}", wrong.join("\n"));
}

#[test]
fn paths_in_backticks_are_files() {
    let mut wrong = Vec::new();
    for page in source::files(&["md"]) {
        for path in paths(&page.text) {
            let found = bases(&page.path).any(|base| Path::new(&(base + &path)).exists());
            if !found {
                wrong.push(format!("{}: `{path}`", page.path));
            }
        }
    }
    let wrong = wrong.join("\n");
    assert!(
        wrong.is_empty(),
        "expected a file, from the root, the page's folder or its crate:\n{wrong}"
    );
}

/// What was read already: many links name the same file.
#[derive(Default)]
struct Known {
    items: BTreeMap<String, BTreeSet<String>>,
    headings: BTreeMap<String, BTreeSet<String>>,
}

impl Known {
    fn resolve(&mut self, page: &File, link: &str) -> Result<(), &'static str> {
        // A scheme: what lies outside of the repository is not asked for over the network.
        if link.contains(':') {
            return Ok(());
        }
        let (path, name) = link.split_once('#').unwrap_or((link, ""));
        let file = match path {
            "" => page.path.clone(),
            path => format!("{}/{path}", folder(&page.path)),
        };
        if !Path::new(&format!("{ROOT}{file}")).exists() {
            return Err("no such file");
        }
        match file.rsplit_once('.').map_or("", |(_, extension)| extension) {
            _ if name.is_empty() => Ok(()),
            "md" if self.headings_of(&file).contains(name) => Ok(()),
            "md" => Err("no such heading"),
            "rs" | "sol" if self.items_of(&file).contains(name) => Ok(()),
            "rs" | "sol" => Err("no such item is defined there"),
            _ => Err("items are looked up in Rust and Solidity alone"),
        }
    }

    fn headings_of(&mut self, file: &str) -> &BTreeSet<String> {
        self.headings.entry(file.to_owned()).or_insert_with(|| headings(&read(file)))
    }

    fn items_of(&mut self, file: &str) -> &BTreeSet<String> {
        self.items.entry(file.to_owned()).or_insert_with(|| match file.ends_with(".rs") {
            true => rust_items(&read(file)),
            false => solidity_items(&read(file)),
        })
    }
}

fn read(file: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}{file}")).expect("a text in UTF-8")
}

/// The folder of a page, without a slash at its end.
fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Where a path in backticks may begin: at the root, at the page's folder, at each folder above it,
/// since a page of a crate's `docs` names files of that crate, and at the `src` of these.
fn bases(page: &str) -> impl Iterator<Item = String> {
    let own = folder(page);
    let ends = own.match_indices('/').map(|(at, _)| at).chain([own.len()]);
    let folders = ends.map(|end| format!("{ROOT}{}/", &own[..end]));
    folders.flat_map(|folder| [folder.clone() + "src/", folder])
}

/// The text without fenced blocks: what stands there is shown, not said.
fn outside_of_fences(text: &str) -> String {
    text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

/// The text without code, so that the form of a link can be shown in backticks.
fn prose(text: &str) -> String {
    outside_of_fences(text).split('`').step_by(2).collect()
}

fn links(prose: &str) -> Vec<String> {
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(str::to_owned).collect()
}

/// Paths with a folder and an extension that is looked up, alone in their backticks.
fn paths(text: &str) -> Vec<String> {
    let text = outside_of_fences(text);
    let spans = text.split('`').skip(1).step_by(2);
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let named = spans.filter(|span| span.contains('/') && span.chars().all(plain));
    let looked_up = named.filter(|span| {
        span.rsplit_once('.').is_some_and(|(_, extension)| LOOKED_UP.contains(&extension))
    });
    looked_up.map(str::to_owned).collect()
}

/// The anchors that a code host makes of a page's headings.
fn headings(text: &str) -> BTreeSet<String> {
    let text = outside_of_fences(text);
    let lines = text.lines().filter(|line| line.starts_with('#'));
    let titles = lines.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    titles.map(|title| title.chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

fn rust_items(text: &str) -> BTreeSet<String> {
    let mut names = Names::default();
    names.visit_file(&syn::parse_file(text).expect("a Rust file that compiles"));
    names.0
}

/// Every name that a file defines.
#[derive(Default)]
struct Names(BTreeSet<String>);

/// Notes the name of a node before its children are visited.
macro_rules! note {
    ($($visit:ident $node:ident $field:ident,)*) => {
        $(fn $visit(&mut self, node: &'ast syn::$node) {
            self.0.insert(node.$field.to_string());
            visit::$visit(self, node);
        })*
    };
}

impl<'ast> Visit<'ast> for Names {
    note! {
        visit_item_struct ItemStruct ident,
        visit_item_enum ItemEnum ident,
        visit_item_trait ItemTrait ident,
        visit_item_type ItemType ident,
        visit_item_const ItemConst ident,
        visit_item_static ItemStatic ident,
        visit_item_mod ItemMod ident,
        visit_impl_item_const ImplItemConst ident,
        visit_variant Variant ident,
        visit_signature Signature ident,
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        self.0.extend(field.ident.iter().map(ToString::to_string));
        visit::visit_field(self, field);
    }

    /// A table in a macro (`codes!`, `metrics!`, `table!`) defines whatever it names; the macro
    /// itself defines what it writes out.
    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        let tokens = item.mac.tokens.to_string();
        match &item.ident {
            None => self.0.extend(words(&tokens).map(str::to_owned)),
            Some(name) => {
                self.0.insert(name.to_string());
                self.0.extend(defined(&tokens, RUST));
            }
        }
    }
}

fn solidity_items(text: &str) -> BTreeSet<String> {
    defined(text, SOLIDITY).into_iter().collect()
}

/// Every word behind one of these.
fn defined(text: &str, keywords: &[&str]) -> Vec<String> {
    let all: Vec<&str> = words(text).collect();
    let pairs = all.windows(2).filter(|pair| keywords.contains(&pair[0]));
    pairs.map(|pair| pair[1].to_owned()).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    parts.filter(|word| !word.is_empty())
}

#[test]
fn links_paths_headings_and_items_are_found() {
    let page = "# Who's *who*: `a_b`\n[`x`](a.rs#b) and `[y](z)`\n```\n[n](o) `p/q.rs`\n```\n\
                see `c/d.rs`, `e.rs`, `f/*.rs` and `g/h.bin`\n";
    assert_eq!(links(&prose(page)), ["a.rs#b"]);
    assert_eq!(paths(page), ["c/d.rs"]);
    assert_eq!(headings(page), BTreeSet::from(["whos-who-a_b".to_owned()]));
    let code = "macro_rules! codes { () => { pub enum Code {} } } codes! { Busy = 12; } struct S { field: u8 } impl S { fn new() {} }
                enum E { One } #[test] fn it_holds() { let local = 1; }";
    let items = rust_items(code);
    for name in ["codes", "Code", "Busy", "S", "field", "new", "E", "One", "it_holds"] {
        assert!(items.contains(name), "{name}");
    }
    assert!(!items.contains("local"), "a local is no item");
    assert!(solidity_items("error A(uint b);").contains("A"));
}
