//! What columns a file of text has, without asking anything of it.

use model::signals;

use super::columns;
use super::lines::{self, Delimiter, Line};
use super::times;
use crate::Decimal;

/// A column as it is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PreviewColumn {
    /// Its name in the header, if there is one.
    pub name: Option<String>,
    /// What it is read as, in words; `None` if only `--column` could say.
    pub role: Option<String>,
}

/// Looks at lines and remembers the first row.
#[derive(Debug)]
pub struct Preview {
    delimiter: Option<Delimiter>,
    columns: Vec<PreviewColumn>,
    /// Lines so far.
    pub lines: u64,
    /// Of them, neither blank nor comments nor a header.
    pub rows: u64,
}

impl Preview {
    /// Before the first line.
    pub fn new(delimiter: Option<Delimiter>) -> Preview {
        Preview { delimiter, columns: Vec::new(), lines: 0, rows: 0 }
    }

    /// Looks at the next line.
    pub fn read(&mut self, line: &Line) {
        self.lines = line.number;
        let text = line.text.trim();
        if text.is_empty() || text.starts_with('#') {
            return;
        }
        if !self.columns.is_empty() {
            self.rows += 1;
            return;
        }
        // With a comma as decimal mark a line has another delimiter, too.
        let delimiter = self.delimiter.unwrap_or_else(|| Delimiter::guess(text, false));
        let fields = lines::split(text, delimiter).unwrap_or_default();
        let is_data = |field: &String| {
            field.bytes().any(|byte| byte.is_ascii_digit())
                && (field.parse::<Decimal>().is_ok() || times::is_time(field))
        };
        let has_header = !fields.iter().any(is_data);
        self.rows += u64::from(!has_header);
        self.columns = fields.into_iter().map(|field| column(field, has_header)).collect();
    }

    /// The columns of the first row.
    pub fn columns(&self) -> &[PreviewColumn] {
        &self.columns
    }
}

fn column(field: String, is_name: bool) -> PreviewColumn {
    if !is_name {
        let role = times::is_time(&field).then(|| "time".to_owned());
        return PreviewColumn { name: None, role };
    }
    let named = columns::known_role(&field).map(str::to_owned);
    let signal = signals().iter().find(|signal| columns::is_named(&field, signal));
    let role = named.or_else(|| signal.map(|signal| format!("--signal {}", signal.name)));
    PreviewColumn { name: Some(field), role }
}
