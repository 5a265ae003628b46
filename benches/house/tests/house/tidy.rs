//! What the text of a file must not hold.

use crate::source::{self, File};

/// Longest function in lines, its signature included.
const FUNCTION_LINES_MAX: usize = 70;

/// Text that must not stand in a file, where it may all the same, and why it is banned.
const BANNED: &[(&str, &[&str], &str)] = &[
    (concat!("TO", "DO"), &[], "write the limitation in the docs"),
    (concat!("FIX", "ME"), &[], "fix it"),
    (concat!("to", "do!("), &[], "no stubs"),
    (concat!("unimple", "mented!("), &[], "no stubs"),
    (concat!("#[ig", "nore"), &[], "a test runs or is not there"),
    (concat!("dbg", "!("), &[], "left from debugging"),
    (concat!("set_", "var("), &[], "the environment is an input"),
    (concat!("thread::", "sleep"), &[], "wait for an event or drive the clock"),
    (concat!("SystemTime::", "now"), &["/circuits/model/src/time.rs"], "time comes from a Clock"),
    (concat!("/", "work/"), &[], "a path of one machine"),
    (concat!("/", "root/"), &[], "a path of one machine"),
    (concat!("/home", "/"), &[], "a path of one machine"),
];

#[test]
fn no_file_holds_banned_text() {
    let mut wrong = Vec::new();
    for file in source::files(&["rs", "sol", "mjs", "sh", "md", "toml"]) {
        for (text, allowed, why) in BANNED {
            if allowed.contains(&file.path.as_str()) || file.path.ends_with("/tidy.rs") {
                continue;
            }
            for (n, line) in file.text.lines().enumerate().filter(|(_, l)| l.contains(text)) {
                wrong.push(format!("{}:{}: `{text}` ({why}): {}", file.path, n + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "found banned text:\n{}", wrong.join("\n"));
}

#[test]
fn functions_fit_on_a_screen() {
    let mut wrong = Vec::new();
    for file in source::files(&["rs"]) {
        for (line, name, length) in functions(&file) {
            if length > FUNCTION_LINES_MAX {
                wrong.push(format!("{}:{line}: {name} has {length} lines", file.path));
            }
        }
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "expected at most {FUNCTION_LINES_MAX} lines a function:\n{wrong}");
}

#[test]
fn source_text_is_ascii_and_at_most_a_hundred_columns() {
    let mut wrong = Vec::new();
    for file in source::files(&["rs"]) {
        for (n, line) in file.text.lines().enumerate() {
            if !line.is_ascii() {
                wrong.push(format!("{}:{}: another character than ASCII", file.path, n + 1));
            }
            if line.len() > 100 && !line.contains("\"") && !line.contains("http") {
                wrong.push(format!("{}:{}: {} columns", file.path, n + 1, line.len()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// First line, name and length of every function: from `fn` to the brace that closes its indent.
fn functions(file: &File) -> Vec<(usize, String, usize)> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        let length = lines[at..].iter().position(|l| *l == closing || l.ends_with(';') && at == 0);
        let one_line = line.trim_end().ends_with('}') || line.trim_end().ends_with(';');
        found.push((at + 1, name, if one_line { 1 } else { length.map_or(1, |n| n + 1) }));
    }
    found
}

fn function_name(line: &str) -> Option<String> {
    let text = line.trim_start();
    let start = ["pub ", "pub(crate) ", "pub(super) ", "const ", "async ", "extern ", ""];
    let mut rest = text;
    for _ in 0..3 {
        rest = start.iter().find_map(|s| rest.strip_prefix(s)).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    Some(name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}

#[test]
fn the_length_of_a_function_is_measured() {
    let text = "fn a() {\n    1\n}\n\nimpl X {\n    pub fn b() {\n    }\n}\n".to_owned();
    let found = functions(&File { path: "/x.rs".into(), text });
    assert_eq!(found, [(1, "a".into(), 3), (6, "b".into(), 2)]);
}
