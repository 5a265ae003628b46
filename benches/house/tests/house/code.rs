//! Enough of Rust's syntax to know code from comments, strings and tests.

/// What marks an item that only tests compile.
const TEST: &str = "#[cfg(test)]";

/// A function in a source text.
#[derive(Debug, PartialEq)]
pub(crate) struct Function {
    /// Line of `fn`, counted from one.
    pub(crate) line: usize,
    pub(crate) name: String,
    /// Lines from `fn` to the brace that closes the body.
    pub(crate) length: usize,
}

/// The text with every character of a comment, string or character literal made a space. Lines and
/// columns stay what they were.
pub(crate) fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + literal(&bytes[at..], at.checked_sub(1).map(|before| bytes[before]));
        let blank = end > at;
        for byte in out[at..end].iter_mut().filter(|byte| **byte != b'\n') {
            *byte = b' ';
        }
        at = if blank { end } else { at + 1 };
    }
    String::from_utf8(out).expect("whole characters made spaces")
}

/// Length of the comment or literal that `rest` begins with; 0 if there is none.
fn literal(rest: &[u8], before: Option<u8>) -> usize {
    let in_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match rest {
        [b'/', b'/', ..] => find(rest, b"\n"),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => 1 + string(&rest[1..]),
        [b'r', b'"' | b'#', ..] if !in_word => raw_string(rest),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !in_word => 1 + raw_string(&rest[1..]),
        [b'\'', b'\\', _, ..] => 3 + find(&rest[3..], b"'") + 1,
        [b'\'', _, b'\'', ..] => 3,
        _ => 0,
    }
    .min(rest.len())
}

/// Length up to and with the closing quote.
fn string(rest: &[u8]) -> usize {
    let mut at = 0;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_string(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0; // a raw identifier
    }
    let closing = [b"\"", &b"#".repeat(hashes)[..]].concat();
    let start = 2 + hashes;
    start + find(&rest[start..], &closing) + closing.len()
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at + 1 < rest.len() {
        match &rest[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn find(rest: &[u8], what: &[u8]) -> usize {
    rest.windows(what.len()).position(|window| window == what).unwrap_or(rest.len())
}

/// Every function with a body in a blanked text.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let before = code[..start].chars().next_back();
        let name: String = code[start + 3..].chars().take_while(|c| is_word(*c)).collect();
        if name.is_empty() || before.is_some_and(is_word) {
            continue;
        }
        if let Some(end) = item_end(&code[start..]).filter(|end| code[..start + end].ends_with('}'))
        {
            let line = 1 + code[..start].matches('\n').count();
            let length = 1 + code[start..start + end].matches('\n').count();
            found.push(Function { line, name, length });
        }
    }
    found
}

/// Length of the item that a blanked text begins with: to its closing brace, or to the semicolon
/// of one without a body.
fn item_end(code: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' => depth -= 1,
            '}' if depth == 1 => return Some(at + 1),
            '}' => depth -= 1,
            ';' if depth == 0 => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Names of the modules behind `#[cfg(test)]` that stand in files of their own.
pub(crate) fn test_modules(code: &str) -> Vec<&str> {
    let behind = code.split(TEST).skip(1).map(str::trim_start);
    let items = behind.filter_map(|rest| rest.split_once([';', '{']));
    let modules = items.filter_map(|(item, _)| item.split_once("mod "));
    modules.map(|(_, name)| name).filter(|name| name.chars().all(is_word)).collect()
}

/// A blanked text without the items behind `#[cfg(test)]`, which are made spaces as well.
pub(crate) fn production(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some((before, behind)) = rest.split_once(TEST) {
        let end = item_end(behind).unwrap_or(behind.len());
        out.push_str(before);
        out.extend(behind[..end].chars().filter(|c| *c == '\n'));
        rest = &behind[end..];
    }
    out + rest
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[test]
fn comments_and_literals_are_blanked() {
    let text = "a // \"b\nc /* /* } */ { */ d \"e\\\"f\" g r#\"h\"i\"# '{' b'\\'' &'j k";
    let code = blanked(text);
    assert_eq!(code.len(), text.len());
    let words: Vec<_> = code.split_whitespace().collect();
    assert_eq!(words, ["a", "c", "d", "g", "b", "&'j", "k"]);
}

#[test]
fn the_length_of_a_function_is_measured() {
    let text = "fn a() {\n    \"}\"; // }\n}\ntrait T {\n    fn long(\n        x: [u8; 2],\n    );\n    \
                pub fn b(y: [u8; 2])\n    where\n        T: X,\n    {\n    }\n}\n";
    let found = functions(&blanked(text));
    let found: Vec<_> = found.iter().map(|f| (f.line, f.name.as_str(), f.length)).collect();
    assert_eq!(found, [(1, "a", 3), (8, "b", 5)]);
}

#[test]
fn production_is_what_no_test_attribute_covers() {
    let text = "a\n#[cfg(test)]\nmod tests;\nb\n#[cfg(test)]\nmod own {\n  c { }\n}\nd\n";
    let code = production(text);
    assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "b", "d"]);
    assert_eq!(code.matches('\n').count(), text.matches('\n').count());
    assert_eq!(test_modules(text), ["tests"]);
}
