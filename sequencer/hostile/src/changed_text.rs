//! A text that is changed as bytes say: in signs, in words, in lines. What is left is still nearly
//! what it was, so that a check comes as far as it can.

use std::ops::Range;

use crate::source::Source;

/// Most changes of one text.
const CHANGES_MAX: usize = 8;
/// Kinds of them.
const KINDS: u8 = 9;

/// The text after some changes; without any it is the same.
pub(crate) fn changed(text: &str, source: &mut Source<'_>) -> String {
    let mut text = text.to_owned();
    for _ in 0..CHANGES_MAX {
        let Some(kind) = source.step(KINDS) else { break };
        match kind {
            0 => put_sign(&mut text, source),
            1 => put_bytes(&mut text, source),
            2 => put_word(&mut text, source),
            3 => put_number(&mut text, source),
            4 => drop(pick_line(&text, source).map(|line| text.drain(line))),
            5 => repeat_line(&mut text, source),
            6 => swap_lines(&mut text, source),
            7 => drop(pick_word(&text, source).map(|word| text.drain(word))),
            _ => text.truncate(place(&text, source)),
        }
    }
    text
}

/// Another sign in place of one.
fn put_sign(text: &mut String, source: &mut Source<'_>) {
    let at = place(text, source);
    let Some(old) = text[at..].chars().next() else { return };
    let sign = char::from(source.below(u8::MAX));
    text.replace_range(at..at + old.len_utf8(), sign.encode_utf8(&mut [0; 4]));
}

/// Bytes as they stand, where they are text.
fn put_bytes(text: &mut String, source: &mut Source<'_>) {
    let at = place(text, source);
    if let Ok(more) = std::str::from_utf8(source.bytes(32)) {
        text.insert_str(at, more);
    }
}

/// A word of the text in place of another: what is well-formed elsewhere.
fn put_word(text: &mut String, source: &mut Source<'_>) {
    let (Some(to), Some(from)) = (pick_word(text, source), pick_word(text, source)) else { return };
    let word = text[from].to_owned();
    text.replace_range(to, &word);
}

/// A number in place of a word, also one at an edge.
fn put_number(text: &mut String, source: &mut Source<'_>) {
    if let Some(word) = pick_word(text, source) {
        text.replace_range(word, &source.number().to_string());
    }
}

fn repeat_line(text: &mut String, source: &mut Source<'_>) {
    let (Some(from), Some(to)) = (pick_line(text, source), pick_line(text, source)) else { return };
    let line = text[from].to_owned();
    text.insert_str(to.start, &line);
}

fn swap_lines(text: &mut String, source: &mut Source<'_>) {
    let (Some(one), Some(other)) = (pick_line(text, source), pick_line(text, source)) else {
        return;
    };
    let (first, last) = if one.start < other.start { (one, other) } else { (other, one) };
    let lines = [first.clone(), last.clone()].map(|line| text[line].to_owned());
    // The later one first: the earlier one's place stays where it is.
    text.replace_range(last, &lines[0]);
    text.replace_range(first, &lines[1]);
}

/// A place between two signs.
fn place(text: &str, source: &mut Source<'_>) -> usize {
    text.floor_char_boundary(source.place() % (text.len() + 1))
}

/// A line with its end.
fn pick_line(text: &str, source: &mut Source<'_>) -> Option<Range<usize>> {
    let mut start = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        let range = start..start + line.len();
        start = range.end;
        range
    });
    pick(lines.collect(), source)
}

/// A run of letters, digits and the signs of numbers and times.
fn pick_word(text: &str, source: &mut Source<'_>) -> Option<Range<usize>> {
    let is_of_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let (mut words, mut start) = (Vec::new(), None);
    for (at, byte) in text.bytes().chain([b' ']).enumerate() {
        match (is_of_word(byte), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                words.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    pick(words, source)
}

fn pick(ranges: Vec<Range<usize>>, source: &mut Source<'_>) -> Option<Range<usize>> {
    let count = ranges.len().max(1);
    ranges.into_iter().nth(source.place() % count)
}

#[cfg(test)]
mod tests {
    use super::changed;
    use crate::source::Source;

    #[test]
    fn a_text_is_changed_as_the_bytes_say() {
        let text = "{\"a\":12}\n{\"b\":-3}\n";
        let with = |bytes: &[u8]| changed(text, &mut Source::new(bytes));
        assert_eq!(with(&[]), text);
        assert_eq!(with(&[0, 0, 2, 99]), "{\"c\":12}\n{\"b\":-3}\n");
        assert_eq!(with(&[1, 0, 0, 2, 120, 121]), "xy{\"a\":12}\n{\"b\":-3}\n");
        assert_eq!(with(&[2, 0, 0, 0, 3]), "{\"-3\":12}\n{\"b\":-3}\n");
        assert_eq!(with(&[3, 0, 1, 254]), "{\"a\":18446744073709551615}\n{\"b\":-3}\n");
        assert_eq!(with(&[4, 0, 1]), "{\"a\":12}\n");
        assert_eq!(with(&[5, 0, 0, 0, 1]), "{\"a\":12}\n{\"a\":12}\n{\"b\":-3}\n");
        assert_eq!(with(&[6, 0, 1, 0, 0]), "{\"b\":-3}\n{\"a\":12}\n");
        assert_eq!(with(&[7, 0, 3]), "{\"a\":12}\n{\"b\":}\n");
        assert_eq!(with(&[8, 0, 3]), "{\"a");
        // Of nothing there is nothing to change.
        for kind in 0..9 {
            assert_eq!(changed("", &mut Source::new(&[kind])), "", "{kind}");
        }
    }
}
