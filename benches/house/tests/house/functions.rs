//! What the code must not do, comments and strings aside.

use crate::code;
use crate::source::{self, File};

/// Longest function in lines, its signature included.
const FUNCTION_LINES_MAX: usize = 70;

/// Fewest letters that say why an `expect` cannot fail.
const REASON_MIN: usize = 7;

#[test]
fn functions_fit_on_a_screen() {
    let mut wrong = Vec::new();
    for file in source::files(&["rs"]) {
        for function in code::functions(&code::blanked(&file.text)) {
            if function.length > FUNCTION_LINES_MAX {
                let code::Function { line, name, length } = function;
                wrong.push(format!("{}:{line}: {name} has {length} lines", file.path));
            }
        }
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "expected at most {FUNCTION_LINES_MAX} lines a function:\n{wrong}");
}

#[test]
fn production_code_gives_a_reason_where_it_unwraps() {
    let mut wrong = Vec::new();
    for file in production_files() {
        for (n, line) in unexplained(&file.text) {
            wrong.push(format!("{}:{n}: {line}", file.path));
        }
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "expected a comment that proves it, or its words:\n{wrong}");
}

#[test]
fn points_are_read_unchecked_by_the_key_reader_alone() {
    let mut wrong = Vec::new();
    for file in source::files(&["rs"]) {
        if file.path.starts_with("/prover/src/keys") {
            continue;
        }
        for (n, line) in code::blanked(&file.text).lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.any(|word| word.starts_with("deserialize") && word.ends_with("_unchecked")) {
                wrong.push(format!("{}:{}: {}", file.path, n + 1, line.trim()));
            }
        }
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "expected checked points from anywhere else:\n{wrong}");
}

/// Source files of crates, without test modules, integration tests, examples and benches.
pub(crate) fn production_files() -> Vec<File> {
    let mut files = source::files(&["rs"]);
    files.retain(|file| file.path.contains("/src/"));
    let tests: Vec<String> = files.iter().flat_map(test_modules).collect();
    files.retain(|file| !tests.iter().any(|module| file.path.starts_with(module)));
    files
}

/// What the paths of this file's test modules begin with, for modules in files of their own.
fn test_modules(file: &File) -> Vec<String> {
    let stem = file.path.trim_end_matches(".rs");
    let folder = ["/lib", "/main", "/mod"].iter().find_map(|root| stem.strip_suffix(root));
    let folder = folder.unwrap_or(stem);
    let code = code::blanked(&file.text);
    let names = code::test_modules(&code);
    names.iter().flat_map(|name| [".rs", "/"].map(|end| format!("{folder}/{name}{end}"))).collect()
}

/// Number and text of the lines of production code that unwrap without a reason.
fn unexplained(text: &str) -> Vec<(usize, &str)> {
    let code = code::production(&code::blanked(text));
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (n, line) in code.lines().enumerate() {
        let explained = is_comment_behind(lines[n]) || n > 0 && is_comment(lines[n - 1]);
        let wordless = line.contains(".expect(") && reason(&lines[n..]).len() < REASON_MIN;
        if wordless || line.contains(".unwrap()") && !explained {
            found.push((n + 1, lines[n].trim()));
        }
    }
    found
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("// ")
}

fn is_comment_behind(line: &str) -> bool {
    line.contains("; // ") || line.contains(", // ") || line.contains(") // ")
}

/// The words of the first `expect` in these lines; an expression counts in full.
fn reason<'a>(lines: &[&'a str]) -> &'a str {
    let (_, own) = lines[0].split_once(".expect(").expect("asked for lines with one");
    let own = if own.is_empty() { lines.get(1).copied().unwrap_or_default() } else { own };
    own.trim().trim_start_matches('"').split('"').next().unwrap_or_default()
}

#[test]
fn an_unwrap_needs_a_comment_and_an_expect_its_words() {
    let text = "a.unwrap();\n// Never empty.\nb.unwrap();\nc.unwrap(); // Never empty.\n\
                d.expect(\"hex\");\ne.expect(\n    \"levels end in a root\");\n// f.unwrap()\n\
                #[cfg(test)]\nmod tests {\n    fn g() { g.unwrap() }\n}\n";
    let found: Vec<_> = unexplained(text).iter().map(|(n, _)| *n).collect();
    assert_eq!(found, [1, 5]);
}
