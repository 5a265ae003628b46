//! What is wrong with a TOML file of patients' names, in words that repeat nothing of it.

/// A fault of a file, without the parser's message, which may repeat a word of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TomlFault {
    /// Line of the file, from 1.
    pub line: usize,
    /// What is wrong there.
    pub why: &'static str,
}

impl TomlFault {
    /// What the parser found in this text.
    ///
    /// ```
    /// use bridge::TomlFault;
    ///
    /// let text = "\nname = 4711 4712";
    /// let error = toml::from_str::<toml::Table>(text).expect_err("two values");
    /// assert_eq!(TomlFault::of(text, &error), TomlFault { line: 2, why: "it is no TOML" });
    /// ```
    pub fn of(text: &str, error: &toml::de::Error) -> TomlFault {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let message = error.message();
        let why = [
            ("unknown field", "a key is none that is read there"),
            ("missing field", "a key is missing"),
            ("unknown variant", "a word is none of those that are read there"),
            ("invalid type", "a value has another type"),
            ("invalid value", "a value is out of range"),
            ("duplicate", "a key stands twice"),
        ];
        let why = why.into_iter().find(|(word, _)| message.contains(word));
        TomlFault { line, why: why.map_or("it is no TOML", |(_, why)| why) }
    }
}
