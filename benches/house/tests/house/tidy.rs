//! What the text of a file must not hold.

use crate::source;

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
    (concat!("SystemTime::", "now"), CLOCKS, "time comes from a Clock"),
    (concat!("/", "work/"), &[], "a path of one machine"),
    (concat!("/", "root/"), &[], "a path of one machine"),
    (concat!("/home", "/"), &[], "a path of one machine"),
];

/// Where the system's clock is made a `Clock`.
const CLOCKS: &[&str] = &["/circuits/model/src/time.rs", "/l1-contracts/devchain/src/devchain.rs"];

/// Extensions of the files that people write.
const WRITTEN: &[&str] = &["rs", "sol", "mjs", "js", "py", "sh", "md", "toml"];

#[test]
fn no_file_holds_banned_text() {
    let mut wrong = Vec::new();
    for file in source::files(WRITTEN) {
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
fn source_text_is_ascii_and_at_most_a_hundred_columns() {
    let mut wrong = Vec::new();
    for file in source::files(&["rs", "sol", "mjs", "js", "py", "sh"]) {
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

#[test]
fn lines_end_in_their_last_character_and_files_in_a_newline() {
    let mut wrong = Vec::new();
    for file in source::files(WRITTEN) {
        for (n, line) in file.text.lines().enumerate() {
            if line.ends_with([' ', '\t', '\r']) || line.starts_with('\t') {
                wrong.push(format!("{}:{}: white space at an end", file.path, n + 1));
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') || file.text.ends_with("\n\n") {
            wrong.push(format!("{}: expected one newline at the end", file.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
