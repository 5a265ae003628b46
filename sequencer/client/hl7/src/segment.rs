//! Segments, fields, repetitions and components, borrowed from the message's text.

use std::borrow::Cow;

use bridge::{Cause, Charset, is_foreign};

/// Most segments that are read.
pub const SEGMENTS_MAX: usize = 10_000;

/// The characters that divide a message, as its header says, and in which set it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Separators {
    /// Between fields: MSH-1.
    pub field: char,
    /// Between components.
    pub component: char,
    /// Between repetitions.
    pub repetition: char,
    /// Around escapes; none where the header has none.
    pub escape: Option<char>,
    /// Between subcomponents; none where the header has none.
    pub subcomponent: Option<char>,
    /// As it was decoded: of ASCII alone some signs [stand for no text](is_foreign), which are a
    /// sender's own in UTF-8.
    pub charset: Charset,
}

impl Default for Separators {
    fn default() -> Separators {
        Separators {
            field: '|',
            component: '^',
            repetition: '~',
            escape: Some('\\'),
            subcomponent: Some('&'),
            charset: Charset::Ascii,
        }
    }
}

impl Separators {
    /// Of a text that begins with the header.
    ///
    /// # Errors
    /// [`Cause::Malformed`] unless it does, and unless they are distinct ASCII signs.
    pub fn read(text: &str) -> Result<Separators, Cause> {
        let form = Cause::Malformed { expected: "MSH and its separators, as MSH|^~\\&|" };
        let rest = text.strip_prefix("MSH").ok_or(form.clone())?;
        let mut rest = rest.chars();
        let field = rest.next().ok_or(form.clone())?;
        let signs: Vec<char> = rest.take_while(|sign| *sign != field).take(6).collect();
        let all = [&[field], &signs[..]].concat();
        let is_sign = |sign: &char| sign.is_ascii_punctuation();
        let is_once = |sign: &char| all.iter().filter(|other| *other == sign).count() == 1;
        // Five of version 2.7 on: the fifth cuts texts, which none of these fields is.
        if !(2..=5).contains(&signs.len()) || !all.iter().all(|sign| is_sign(sign) && is_once(sign))
        {
            return Err(form);
        }
        Ok(Separators {
            field,
            component: signs[0],
            repetition: signs[1],
            escape: signs.get(2).copied(),
            subcomponent: signs.get(3).copied(),
            charset: Charset::Ascii,
        })
    }

    /// MSH-2.
    pub fn encoding(&self) -> String {
        let optional = self.escape.iter().chain(&self.subcomponent);
        [self.component, self.repetition].iter().chain(optional).collect()
    }

    /// A text of this side, so that it is one field wherever it stands. Where the header has no
    /// escape, what divides becomes a blank.
    pub fn escape(&self, text: &str) -> String {
        let letter = |sign: char| {
            let known = [
                (Some(self.field), 'F'),
                (Some(self.component), 'S'),
                (Some(self.repetition), 'R'),
                (self.escape, 'E'),
                (self.subcomponent, 'T'),
            ];
            known.into_iter().find(|(one, _)| *one == Some(sign)).map(|(_, letter)| letter)
        };
        let mut escaped = String::with_capacity(text.len());
        for sign in text.chars() {
            match (letter(sign), self.escape) {
                (Some(letter), Some(escape)) => escaped.extend([escape, letter, escape]),
                (Some(_), None) => escaped.push(' '),
                // Nothing that ends a segment or a frame stands in what is answered.
                (None, _) if sign.is_control() => escaped.push(' '),
                (None, _) => escaped.push(sign),
            }
        }
        escaped
    }
}

/// The segments of a text, whatever its lines end with.
pub fn segments(text: &str, separators: Separators) -> impl Iterator<Item = Segment<'_>> {
    let lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
    lines.map(move |text| Segment { text, separators })
}

/// One segment.
#[derive(Clone, Copy)]
pub struct Segment<'m> {
    text: &'m str,
    separators: Separators,
}

impl<'m> Segment<'m> {
    /// Its name.
    pub fn name(&self) -> &'m str {
        self.text.split(self.separators.field).next().unwrap_or_default()
    }

    /// A field, counted from 1 as the standard does; an absent one is empty.
    pub fn field(&self, number: usize) -> Field<'m> {
        // MSH-1 is the separator itself, so that MSH-2 follows the name.
        let number = if self.name() == "MSH" { number.saturating_sub(1) } else { number };
        let text = self.text.split(self.separators.field).nth(number).unwrap_or_default();
        Field { text, separators: self.separators }
    }
}

/// A field, one of its repetitions, or a component.
#[derive(Clone, Copy)]
pub struct Field<'m> {
    text: &'m str,
    separators: Separators,
}

impl<'m> Field<'m> {
    /// Of a text that holds one.
    pub(crate) fn new(text: &'m str, separators: Separators) -> Field<'m> {
        Field { text, separators }
    }

    /// As it stands there, escapes included.
    pub fn raw(&self) -> &'m str {
        self.text
    }

    /// Whether it says nothing: it is empty, or HL7's null, two quotation marks.
    pub fn is_empty(&self) -> bool {
        matches!(self.text, "" | "\"\"")
    }

    /// Its repetitions; an empty field has none.
    pub fn repetitions(&self) -> impl Iterator<Item = Field<'m>> + use<'m> {
        let separators = self.separators;
        let parts = self.text.split(separators.repetition);
        parts.map(move |text| Field { text, separators }).filter(|one| !one.is_empty())
    }

    /// Its components.
    pub fn components(&self) -> impl Iterator<Item = Field<'m>> + use<'m> {
        let separators = self.separators;
        self.text.split(separators.component).map(move |text| Field { text, separators })
    }

    /// A component, counted from 1; an absent one is empty.
    pub fn component(&self, number: usize) -> Field<'m> {
        let empty = Field { text: "", separators: self.separators };
        self.components().nth(number.saturating_sub(1)).unwrap_or(empty)
    }

    /// A subcomponent, counted from 1; an absent one is empty.
    pub fn subcomponent(&self, number: usize) -> Field<'m> {
        let separators = self.separators;
        let text = match separators.subcomponent {
            Some(sign) => self.text.split(sign).nth(number.saturating_sub(1)).unwrap_or_default(),
            None if number <= 1 => self.text,
            None => "",
        };
        Field { text, separators }
    }

    /// What it says, without blanks around and with its escapes resolved.
    ///
    /// # Errors
    /// [`Cause::Malformed`] for an escape that has no end or means no text, and for a byte of
    /// which nobody said what it means.
    pub fn text(&self) -> Result<Cow<'m, str>, Cause> {
        let text = if self.is_empty() { "" } else { self.text.trim_matches(' ') };
        if self.separators.charset == Charset::Ascii && text.contains(is_foreign) {
            let expected = "ASCII, where neither MSH-18 nor `charset` of the map names another set";
            return Err(Cause::Malformed { expected });
        }
        match self.separators.escape.filter(|sign| text.contains(*sign)) {
            None => Ok(Cow::Borrowed(text)),
            Some(sign) => self.unescape(text, sign).map(Cow::Owned),
        }
    }

    fn unescape(&self, text: &str, sign: char) -> Result<String, Cause> {
        let wrong = || Cause::Malformed {
            expected: "escapes of the forms \\F\\, \\S\\, \\R\\, \\T\\, \\E\\ and \\Xdd\\",
        };
        let mut plain = String::with_capacity(text.len());
        let mut parts = text.split(sign);
        plain.push_str(parts.next().unwrap_or_default());
        while let Some(escape) = parts.next() {
            let after = parts.next().ok_or_else(wrong)?;
            let Separators { field, component, repetition, subcomponent, .. } = self.separators;
            match escape {
                "F" => plain.push(field),
                "S" => plain.push(component),
                "R" => plain.push(repetition),
                "T" => plain.extend(subcomponent),
                "E" => plain.push(sign),
                // Emphasis is no text.
                "H" | "N" => {}
                ".br" => plain.push('\n'),
                hex => {
                    let digits = hex.strip_prefix('X').ok_or_else(wrong)?;
                    plain.push_str(&read_hex(digits).ok_or_else(wrong)?);
                }
            }
            plain.push_str(after);
        }
        Ok(plain)
    }
}

/// Bytes in pairs of hexadecimal digits. Above ASCII they would mean something else in each
/// character set, so only a text of UTF-8 is read.
fn read_hex(digits: &str) -> Option<String> {
    // Digits and nothing else: the parser below would take `+5` for a pair.
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !are_digits {
        return None;
    }
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(pair).collect();
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> Field<'_> {
        Field { text, separators: Separators::default() }
    }

    #[test]
    fn separators_are_what_the_header_says() {
        assert_eq!(Separators::read("MSH|^~\\&|A"), Ok(Separators::default()));
        let own = Separators::read("MSH#*+!%#A").unwrap();
        assert_eq!((own.field, own.component, own.encoding().as_str()), ('#', '*', "*+!%"));
        assert!(Separators::read("MSH|^~\\&#|A").is_ok(), "with the sign of version 2.7");
        assert_eq!(Separators::read("MSH|^~|A").unwrap().escape, None);
        for text in
            ["", "MSH", "MSH|", "MSH|^|A", "MSH|^^\\&|A", "MSH|^~\\&abc|", "MSHA^~\\&A", "PID|"]
        {
            assert!(Separators::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn fields_are_counted_as_the_standard_does() {
        let text = "MSH|^~\\&|APP|FAC\rOBX|1|NM|8867-4^HR^LN~x^^L||72";
        let all: Vec<_> = segments(text, Separators::default()).collect();
        assert_eq!((all[0].name(), all[0].field(3).raw()), ("MSH", "APP"));
        let code = all[1].field(3);
        assert_eq!((code.component(3).raw(), code.repetitions().count()), ("LN~x", 2));
        let first = code.repetitions().next().unwrap();
        assert_eq!((first.component(1).raw(), first.component(3).raw()), ("8867-4", "LN"));
        assert_eq!((all[1].field(5).raw(), all[1].field(50).raw()), ("72", ""));
        assert!(field("\"\"").is_empty() && field("").repetitions().next().is_none());
    }

    #[test]
    fn escapes_are_resolved_or_refused() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a\\F\\b\\S\\c\\R\\d\\T\\e\\E\\f", "a|b^c~d&e\\f"),
            ("\\X4d\\\\X48\\", "MH"),
            ("\\XC3A4\\", "\u{e4}"),
            ("\\H\\loud\\N\\", "loud"),
            ("one\\.br\\two", "one\ntwo"),
        ] {
            assert_eq!(field(text).text().unwrap(), expected, "{text}");
        }
        for text in [
            "\\",
            "a\\F",
            "\\Q\\",
            "\\X\\",
            "\\X4\\",
            "\\X+5\\",
            "\\XZZ\\",
            "\\XE4\\",
            "\\X\u{e4}\\",
        ] {
            assert!(field(text).text().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_answered_reads_back() {
        let separators = Separators::default();
        let text = "row 1 of [[patient]]: a|b^c~d\\e&f";
        let escaped = separators.escape(text);
        assert!(!escaped.contains(['|', '^', '~', '&']));
        assert_eq!(field(&escaped).text().unwrap(), text);
        assert_eq!(separators.escape("a\r\x1cb"), "a  b");
    }
}
