//! `sequencer/docs/llms.txt`: every page of the repository with its first sentence, in the form of
//! <https://llmstxt.org>, for whoever reads by program and begins with one file.

use std::path::Path;

use crate::cargo::ROOT;
use crate::source::{self, File};

const INDEX: &str = "/sequencer/docs/llms.txt";

/// What stands above the lists.
const HEAD: &str = "\
# Vitals rollup

> A layer-2 rollup for medical vitals. Gateways stream readings over QUIC to a node, which
> journals them and gives signed receipts; a Groth16 prover shows that every declared collection and
> access was covered by the patient's live consent or is counted in public as excluded; proofs
> settle to an EVM base chain, and auditors verify there, trusting nobody.

Written by `UPDATE=1 cargo test --release -p house index` of the pages' own first sentences.
Programs: `sequencer` (node and operator), `vitals` (patients, practitioners, gateways), `auditor`,
`prover`, `prover-worker`, `loadgen`; each says what it is with `--help`. Words are those of
glossary.md.
";

/// Headings, and where the pages below each stand; a page is below the first that fits.
const GROUPS: &[(&str, &[&str])] = &[
    ("Begin here", &["/README.md", "/sequencer/docs/guides/"]),
    ("Run a node", &["/sequencer/docs/", "/sequencer/deploy/"]),
    ("Clients, and what travels", &["/sequencer/client/", "/sequencer/wire/"]),
    ("Statements and proofs", &["/circuits/", "/prover/"]),
    ("Base chain and audit", &["/l1-contracts/"]),
    ("Inside, and measured", &["/"]),
];

/// Shortest sentence that is a summary, characters.
const SENTENCE_MIN: usize = 20;

/// Longest summary, characters.
const SUMMARY_MAX: usize = 220;

#[test]
fn the_index_lists_every_page_with_its_first_sentence() {
    let mut pages = source::files(&["md"]);
    // Beside README.md nothing in the root is a page: a note that somebody left there is none.
    pages.retain(|page| page.path == "/README.md" || page.path[1..].contains('/'));
    let expected = index(&pages);
    let path = format!("{ROOT}{INDEX}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &expected).expect("a file that can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    for link in found.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let file = format!("{ROOT}/sequencer/docs/{link}");
        assert!(Path::new(&file).exists(), "{INDEX}: expected a file behind ({link})");
    }
    let missing: Vec<_> = expected.lines().filter(|line| !found.contains(line)).collect();
    let gone: Vec<_> = found.lines().filter(|line| !expected.contains(line)).collect();
    assert!(
        found == expected,
        "expected what UPDATE=1 writes to {INDEX}; missing:\n{}\nfound instead:\n{}",
        missing.join("\n"),
        gone.join("\n")
    );
}

fn index(pages: &[File]) -> String {
    let mut lists = vec![Vec::new(); GROUPS.len()];
    for page in pages {
        let fits = |(_, places): &(&str, &[&str])| {
            // A place is a page, or a folder with all below it.
            places.iter().any(|place| {
                page.path == *place || place.ends_with('/') && page.path.starts_with(place)
            })
        };
        let group = GROUPS.iter().position(fits).expect("the last one fits all");
        lists[group].push(line(page));
    }
    let sections = GROUPS.iter().zip(lists).filter(|(_, list)| !list.is_empty());
    let sections =
        sections.map(|((heading, _), list)| format!("## {heading}\n\n{}", list.concat()));
    format!("{HEAD}\n{}", sections.collect::<Vec<_>>().join("\n"))
}

/// `- [title](path from the index): first sentence`.
fn line(page: &File) -> String {
    let title = page.text.lines().next().unwrap_or_default().trim_start_matches("# ");
    let path = match page.path.strip_prefix("/sequencer/") {
        Some(below) => below.strip_prefix("docs/").map_or(format!("../{below}"), str::to_owned),
        None => format!("../..{}", page.path),
    };
    match first_sentence(&page.text) {
        Some(sentence) => format!("- [{title}]({path}): {sentence}\n"),
        None => format!("- [{title}]({path})\n"),
    }
}

/// The first sentence of the first paragraph of prose; none where a page is a table.
fn first_sentence(text: &str) -> Option<String> {
    let behind_title = text.split_once('\n')?.1;
    let is_prose = |part: &&str| {
        let is_word = |c: char| c.is_alphabetic() || "*`[".contains(c);
        part.starts_with(is_word) && !part.starts_with("```")
    };
    let paragraph = behind_title.split("\n\n").map(str::trim).find(is_prose)?;
    let paragraph = without_links(&paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut ends = paragraph.match_indices(". ").map(|(at, _)| at + 1);
    // One word, as *Normative*, says nothing of the page by itself.
    let end = ends.find(|end| *end >= SENTENCE_MIN).unwrap_or(paragraph.len());
    let sentence = &paragraph[..end];
    if sentence.len() <= SUMMARY_MAX {
        return Some(sentence.to_owned());
    }
    let cut = sentence[..sentence.floor_char_boundary(SUMMARY_MAX)].rfind(' ')?;
    Some(format!("{} ..", &sentence[..cut]))
}

/// The words of links without what they point at, which is relative to another page.
fn without_links(text: &str) -> String {
    let mut parts = text.split("](");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |said, part| {
        let behind = part.split_once(')').map_or("", |(_, behind)| behind);
        match said.rfind('[') {
            Some(at) => format!("{}{}{behind}", &said[..at], &said[at + 1..]),
            None => said + behind,
        }
    })
}

#[test]
fn a_first_sentence_is_prose_without_links_and_of_bounded_length() {
    let sentence = |text: &str| first_sentence(text);
    let linked = "# T\n\nSee [the\nnode](a.md#b) and [`x`](y). More.\n";
    assert_eq!(sentence(linked).as_deref(), Some("See the node and `x`."));
    assert_eq!(
        sentence("# T\n\n```\na\n```\n\n|a|\n\nWords: all\n").as_deref(),
        Some("Words: all")
    );
    assert_eq!(sentence("# T\n\n| a |\n|---|\n"), None);
    let short = sentence("# T\n\nShort. And what it is about. No more.\n");
    assert_eq!(short.as_deref(), Some("Short. And what it is about."));
    let long = format!("# T\n\n{}\n", "word ".repeat(100));
    let long = sentence(&long).expect("words");
    assert!(long.len() <= SUMMARY_MAX + 3 && long.ends_with("word .."), "{long}");
}
