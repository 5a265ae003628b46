//! The tables of limits in the pages of the bridges: each is made of the constants and options that
//! the program holds to, so that page and program cannot differ.

use std::path::Path;

use clap::{Args, Command};

/// A row of such a table.
pub(crate) struct Limit {
    pub(crate) what: &'static str,
    pub(crate) value: String,
    /// The option that says it; none of what is fixed.
    pub(crate) option: Option<&'static str>,
    pub(crate) reached: &'static str,
    pub(crate) memory: String,
}

impl Limit {
    /// One that no option changes, and whose memory another row has.
    pub(crate) fn fixed(what: &'static str, value: String, reached: &'static str) -> Limit {
        Limit { what, value, option: None, reached, memory: String::new() }
    }

    /// One that an option says.
    pub(crate) fn of(
        option: &'static str,
        what: &'static str,
        value: String,
        reached: &'static str,
    ) -> Limit {
        Limit { what, value, option: Some(option), reached, memory: String::new() }
    }

    /// What it takes at most.
    pub(crate) fn with_memory(self, memory: impl Into<String>) -> Limit {
        Limit { memory: memory.into(), ..self }
    }

    fn row(&self) -> String {
        let Limit { what, value, option, reached, memory } = self;
        let by = option.map_or_else(|| "fixed".to_owned(), |option| format!("`--{option}`"));
        format!("| {what} | {value} | {by} | {reached} | {memory} |")
    }
}

/// What an option is where nobody says it.
pub(crate) fn default_of<A: Args>(option: &str) -> String {
    let command = A::augment_args(Command::new("vitals"));
    let mut options = command.get_arguments();
    let found = options.find(|one| one.get_long() == Some(option)).expect("an option");
    found.get_default_values()[0].to_str().expect("ASCII").to_owned()
}

/// The same as a number.
pub(crate) fn number_of<A: Args>(option: &str) -> u64 {
    default_of::<A>(option).parse().expect("a number")
}

/// A number by its thousands.
pub(crate) fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().ok().expect("no limit is negative").to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest unit that has a whole number of them.
pub(crate) fn bytes(number: impl TryInto<u64>) -> String {
    let number: u64 = number.try_into().ok().expect("no limit is negative");
    match number {
        _ if number.is_multiple_of(1 << 30) => format!("{} GiB", number >> 30),
        _ if number.is_multiple_of(1 << 20) => format!("{} MiB", number >> 20),
        _ if number.is_multiple_of(1 << 10) => format!("{} KiB", number >> 10),
        _ => format!("{} bytes", count(number)),
    }
}

const HEADING: &str = "| limit | value | by | reached | memory at most |\n|---|---|---|---|---|\n";

/// That the table of a page says these.
pub(crate) fn check(page: &str, limits: &[Limit]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = std::fs::read_to_string(&path).expect("a page");
    let (before, rest) = text.split_once(HEADING).expect("the heading of its table");
    let rows: usize =
        rest.split_inclusive('\n').take_while(|line| line.starts_with('|')).map(str::len).sum();
    let expected: String = limits.iter().map(|limit| limit.row() + "\n").collect();
    if std::env::var_os("UPDATE").is_some() {
        let text = [before, HEADING, &expected, &rest[rows..]].concat();
        std::fs::write(&path, text).expect("a page that can be written");
    } else {
        assert_eq!(&rest[..rows], expected, "{}; run with UPDATE=1", path.display());
    }
}

#[test]
fn numbers_and_bytes_are_written_as_people_read_them() {
    assert_eq!(
        [0, 999, 1000, 65_536, 1_000_000].map(count),
        ["0", "999", "1,000", "65,536", "1,000,000"]
    );
    assert_eq!(
        [1u64, 1 << 10, 80 << 10, 1 << 20, 3 << 30].map(bytes),
        ["1 bytes", "1 KiB", "80 KiB", "1 MiB", "3 GiB"]
    );
}
