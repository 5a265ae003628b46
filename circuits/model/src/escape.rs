//! Text from elsewhere, as it may be shown to a person.

/// Longest text shown, characters; what is behind it is counted and left out.
const SHOWN_MAX: usize = 2000;

/// Text that another program, file or host wrote, so that showing it can do nothing but show it.
///
/// Letters and digits of every script, spaces and ASCII punctuation stay. Everything else is
/// written as `\n`, `\u{1b}` and so on: a control character could move the cursor, colour a line or
/// erase one, a mark of direction could turn a sentence around, and a line break could begin a line
/// that looks like this program's own. What is longer than 2,000 characters is cut and says so.
///
/// Escaped text stays as it is when it is escaped again.
///
/// ```
/// let hostile = "\x1b[2J\x1b[32mverdict       holds";
/// assert_eq!(model::escape(hostile), "\\u{1b}[2J\\u{1b}[32mverdict       holds");
/// assert_eq!(model::escape("no such file: zo\u{eb}"), "no such file: zo\u{eb}");
/// ```
pub fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(SHOWN_MAX));
    for (at, character) in text.chars().enumerate() {
        if at == SHOWN_MAX {
            let more = text.chars().count() - SHOWN_MAX;
            shown.push_str(&format!(" ... ({more} more characters)"));
            break;
        }
        let plain = character == ' ' || character.is_ascii_graphic() || character.is_alphanumeric();
        if plain {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    shown
}

/// As [`escape`], for text of several lines that this program laid out itself: line breaks stay.
pub fn escape_lines(text: &str) -> String {
    text.split('\n').map(escape).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_act_on_a_terminal_or_forge_a_line_is_written_out() {
        // Escape, the one-byte CSI, bell, carriage return, line and paragraph separators,
        // right-to-left override, isolate, zero-width space, a tag, a byte order mark.
        for hostile in [
            '\x1b',
            '\u{9b}',
            '\x07',
            '\r',
            '\n',
            '\t',
            '\0',
            '\u{7f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202e}',
            '\u{2066}',
            '\u{200b}',
            '\u{e0041}',
            '\u{feff}',
        ] {
            let shown = escape(&format!("a{hostile}b"));
            assert!(!shown.contains(hostile) && shown.starts_with("a\\"), "{shown}");
            assert!(shown.is_ascii() && shown.ends_with('b'), "{shown}");
        }
    }

    #[test]
    fn ordinary_text_stays_and_escaped_text_is_not_escaped_again() {
        for text in
            ["", "expected 3, found 4: (C2.12)", "Zo\u{eb}, \u{6771}, \u{3a9} 5", "C:\\x \"y\""]
        {
            assert_eq!(escape(text), text);
        }
        let once = escape("\x1b[2J\u{202e}\n");
        assert_eq!(escape(&once), once);
        assert_eq!(escape_lines("one\x1b\ntwo"), "one\\u{1b}\ntwo");
    }

    #[test]
    fn endless_text_is_cut_and_says_by_how_much() {
        let shown = escape(&"x".repeat(SHOWN_MAX + 7));
        assert!(shown.ends_with("x ... (7 more characters)"), "{}", shown.len());
        assert_eq!(escape(&"x".repeat(SHOWN_MAX)).len(), SHOWN_MAX);
    }
}
