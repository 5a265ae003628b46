//! Lines as files have them: any line end, a byte order mark, quotes, and not only UTF-8.

use std::io::{self, BufRead};

/// Longest line, bytes.
pub const LINE_BYTES_MAX: usize = 4096;

/// A line of a file, without its end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Line {
    /// From 1.
    pub number: u64,
    /// What it says; of a longer one the first [`LINE_BYTES_MAX`] bytes.
    pub text: String,
    /// Whether its end was there: a last line without one may have been cut.
    pub is_ended: bool,
    /// Whether it is longer than may be.
    pub is_too_long: bool,
    /// Whether it is no UTF-8 and was read as Latin-1, in which every byte is a letter.
    pub is_latin1: bool,
}

/// Takes lines from a source, one at a time, as soon as each is whole.
#[derive(Debug)]
pub struct Lines<R> {
    source: R,
    number: u64,
    /// The last line ended with a carriage return: a line feed right behind it is the same end.
    /// Looked at with the next line and not at once, since a pipe may have nothing yet.
    after_return: bool,
}

impl<R: BufRead> Lines<R> {
    /// From the begin of a file or pipe.
    pub fn new(source: R) -> Lines<R> {
        Lines { source, number: 0, after_return: false }
    }

    /// The next line, `None` at the end.
    ///
    /// # Errors
    /// What the source says.
    pub fn read(&mut self) -> io::Result<Option<Line>> {
        let (mut bytes, mut line) = (Vec::new(), Line::default());
        let mut has_begun = false;
        while !line.is_ended {
            let buffer = self.source.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            if std::mem::take(&mut self.after_return) && buffer[0] == b'\n' {
                self.source.consume(1);
                continue;
            }
            has_begun = true;
            let end = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let part = &buffer[..end.unwrap_or(buffer.len())];
            // What is too long is passed over and not kept: a file may be one line of gigabytes.
            let room = LINE_BYTES_MAX - bytes.len();
            line.is_too_long |= part.len() > room;
            bytes.extend_from_slice(&part[..part.len().min(room)]);
            let taken = part.len() + usize::from(end.is_some());
            line.is_ended = end.is_some();
            self.after_return = end.is_some_and(|end| buffer[end] == b'\r');
            self.source.consume(taken);
        }
        if !has_begun {
            return Ok(None);
        }
        self.number += 1;
        line.number = self.number;
        (line.text, line.is_latin1) = decode(&bytes);
        if self.number == 1 {
            line.text = line.text.strip_prefix('\u{feff}').unwrap_or(&line.text).to_owned();
        }
        Ok(Some(line))
    }
}

/// UTF-8, or else Latin-1.
fn decode(bytes: &[u8]) -> (String, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (bytes.iter().map(|byte| char::from(*byte)).collect(), true),
    }
}

/// What stands between fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delimiter {
    /// One character.
    One(char),
    /// Any blanks, as in tables made to be looked at.
    Blanks,
}

impl Delimiter {
    /// The delimiter of a line that holds several fields: the first of tab, semicolon, comma and
    /// bar that it has outside of quotes; a comma where nothing else is, and it is no decimal mark.
    pub(crate) fn guess(text: &str, comma_is_decimal: bool) -> Delimiter {
        let mut quoted = false;
        let outside: String = text
            .chars()
            .filter(|one| {
                quoted ^= *one == '"';
                !quoted
            })
            .collect();
        let candidates = ['\t', ';', ',', '|'];
        let mut candidates = candidates.iter().filter(|one| !comma_is_decimal || **one != ',');
        let found = candidates.find(|one| outside.contains(**one));
        Delimiter::One(found.copied().unwrap_or(if comma_is_decimal { ';' } else { ',' }))
    }
}

impl std::str::FromStr for Delimiter {
    type Err = String;

    fn from_str(text: &str) -> Result<Delimiter, String> {
        let mut letters = text.chars();
        match (text, letters.next(), letters.next()) {
            ("tab" | "\\t", ..) => Ok(Delimiter::One('\t')),
            ("space" | "blank", ..) => Ok(Delimiter::Blanks),
            (_, Some(one), None) if !one.is_alphanumeric() && one != '"' => Ok(Delimiter::One(one)),
            _ => Err("expected one character, tab, or space".to_owned()),
        }
    }
}

/// The fields of a line: quotes around one are taken off, two quotes within are one (RFC 4180).
/// `None` for quotes that do not close, as those of a field with a line end in it.
pub(crate) fn split(text: &str, delimiter: Delimiter) -> Option<Vec<String>> {
    let Delimiter::One(delimiter) = delimiter else {
        return Some(text.split_whitespace().map(str::to_owned).collect());
    };
    let (mut fields, mut rest) = (Vec::new(), text);
    loop {
        let blank = |one: char| one != delimiter && one.is_whitespace();
        let trimmed = rest.trim_start_matches(blank);
        if let Some(quoted) = trimmed.strip_prefix('"') {
            let (field, behind) = take_quoted(quoted)?;
            fields.push(field);
            let behind = behind.trim_start_matches(blank);
            match behind.strip_prefix(delimiter) {
                Some(next) => rest = next,
                None if behind.is_empty() => return Some(fields),
                None => return None,
            }
        } else {
            match rest.split_once(delimiter) {
                Some((field, next)) => {
                    fields.push(field.trim().to_owned());
                    rest = next;
                }
                None => {
                    fields.push(rest.trim().to_owned());
                    return Some(fields);
                }
            }
        }
    }
}

/// What stands before the closing quote, and what behind it.
fn take_quoted(text: &str) -> Option<(String, &str)> {
    let (mut field, mut rest) = (String::new(), text);
    loop {
        let (before, behind) = rest.split_once('"')?;
        field += before;
        match behind.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field.trim().to_owned(), behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Line> {
        // One byte at a time, as the slowest pipe gives them.
        let mut lines = Lines::new(io::BufReader::with_capacity(1, bytes));
        std::iter::from_fn(|| lines.read().unwrap()).collect()
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        lines(bytes).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn every_line_end_ends_a_line_once() {
        assert_eq!(texts(b"a\nb\r\nc\rd"), ["a", "b", "c", "d"]);
        assert_eq!(texts(b"a\n\nb\r\r\n\nc\n"), ["a", "", "b", "", "", "c"]);
        assert_eq!(texts(b""), [] as [&str; 0]);
        let ended: Vec<_> = lines(b"a\nb").iter().map(|line| line.is_ended).collect();
        assert_eq!(ended, [true, false]);
    }

    #[test]
    fn a_byte_order_mark_is_no_text_and_latin1_is_told() {
        assert_eq!(texts(b"\xef\xbb\xbftime\n"), ["time"]);
        let read = lines(b"72\nT (\xb0C)\n");
        assert_eq!((read[0].is_latin1, read[1].is_latin1), (false, true));
        assert_eq!(read[1].text, "T (\u{b0}C)");
    }

    #[test]
    fn a_long_line_is_cut_and_not_collected() {
        let mut long = vec![b'9'; 3 * LINE_BYTES_MAX];
        long.extend(b"\n97\n");
        let read = lines(&long);
        assert_eq!(read.len(), 2);
        assert!(read[0].is_too_long && read[0].text.len() == LINE_BYTES_MAX);
        assert_eq!((read[1].number, read[1].text.as_str()), (2, "97"));
    }

    #[test]
    fn fields_are_split_outside_of_quotes() {
        let comma = Delimiter::One(',');
        let fields = |text| split(text, comma).unwrap();
        assert_eq!(fields("a, b ,c"), ["a", "b", "c"]);
        assert_eq!(fields("\"2026-05-01, 08:30\" , \"97\""), ["2026-05-01, 08:30", "97"]);
        assert_eq!(fields("\"say \"\"72\"\"\",1"), ["say \"72\"", "1"]);
        assert_eq!(fields("a,,\"\""), ["a", "", ""]);
        assert_eq!(fields(""), [""]);
        assert_eq!(split("\"open,1", comma), None);
        assert_eq!(split("\"a\"b,1", comma), None);
        assert_eq!(split("  0.000   -0.145 ", Delimiter::Blanks).unwrap(), ["0.000", "-0.145"]);
        assert_eq!(split("1\t\t2", Delimiter::One('\t')).unwrap(), ["1", "", "2"]);
    }

    #[test]
    fn the_delimiter_is_the_first_that_a_line_has() {
        let guess = Delimiter::guess;
        assert_eq!(guess("a;b,c", false), Delimiter::One(';'));
        assert_eq!(guess("a\tb;c", false), Delimiter::One('\t'));
        assert_eq!(guess("\"a;b\",c", false), Delimiter::One(','));
        assert_eq!(guess("2026-05-01;97,5", true), Delimiter::One(';'));
        assert_eq!(guess("97,5", true), Delimiter::One(';'));
        assert_eq!("tab".parse(), Ok(Delimiter::One('\t')));
        assert!("ab".parse::<Delimiter>().is_err() && "\"".parse::<Delimiter>().is_err());
    }
}
