//! A document as bytes: CSV, JSON or one page of HTML. Each line of a table is a line of the file,
//! and so is each opening.

use serde_json::{Value, json};

use crate::document::{Document, ExportKind};
use crate::events;
use crate::layout::Table;

/// How a file is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// RFC 4180, for a spreadsheet.
    Csv,
    /// For programs.
    Json,
    /// One page with its style, without scripts and without anything from elsewhere: to be printed.
    Html,
}

/// A document and how it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Export {
    /// What stands in it.
    pub document: Document,
    /// How it is written. AuditEvents are JSON, whatever stands here.
    pub format: Format,
}

/// First cell of the row that says what a CSV file is about.
pub(crate) const CSV_ABOUT: &str = "about,";
/// First cell of a row with an opening.
pub(crate) const CSV_OPENING: &str = "opening,";
/// What stands before what an HTML file is about.
pub(crate) const HTML_ABOUT: &str = "<p class=\"about\">";
/// What stands before an opening.
pub(crate) const HTML_OPENING: &str = "<li>";

/// Everything about how it looks, on screen and on paper.
const STYLE: &str = "\
body{font:10pt/1.4 sans-serif;color:#000;margin:2em}table{border-collapse:collapse;width:100%}
th,td{border:1px solid #888;padding:.3em;text-align:left;vertical-align:top;\
overflow-wrap:anywhere}
.about,ol{font:6pt/1.2 monospace;overflow-wrap:anywhere}
@page{size:A4 landscape;margin:12mm}
@media print{body{margin:0}thead{display:table-header-group}tr{break-inside:avoid}}
";

impl Export {
    /// The bytes of the file.
    pub fn to_text(&self) -> String {
        let Export { document, format } = self;
        match (document.about().kind, format) {
            (ExportKind::AuditEvents, _) => bundle(document),
            (_, Format::Csv) => csv(document),
            (_, Format::Json) => json_file(document),
            (_, Format::Html) => html(document),
        }
    }
}

/// The openings of a document in hexadecimal.
fn openings(document: &Document) -> impl Iterator<Item = String> {
    document.entries().iter().map(|entry| hex::encode(entry.to_bytes()))
}

fn csv(document: &Document) -> String {
    let table = Table::of(document);
    let mut text = String::new();
    let mut row = |first: &str, cells: &[String]| {
        text.push_str(first);
        for cell in cells {
            text.push(',');
            text.push_str(&csv_cell(cell));
        }
        text.push_str("\r\n");
    };
    let columns: Vec<_> = table.columns.iter().map(|&column| column.to_owned()).collect();
    row("record", &columns);
    for cells in &table.rows {
        row("line", cells);
    }
    row("about", &[document.about().to_string()]);
    for note in &table.notes {
        row("note", std::slice::from_ref(note));
    }
    for opening in openings(document) {
        row("opening", &[opening]);
    }
    text
}

/// Quoted where it has to be. What a spreadsheet would take for a formula begins with an
/// apostrophe, which has it shown as text: a reader's reason is foreign, and opened in a hurry.
fn csv_cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    match text.contains([',', '"', '\n', '\r', '\'']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

fn json_file(document: &Document) -> String {
    let table = Table::of(document);
    let head = json!(document.about().to_string());
    let (title, notes) = (json!(table.title), json!(table.notes));
    let lines = table.rows.iter().map(|cells| {
        let cells = table.columns.iter().zip(cells);
        cells.map(|(name, cell)| ((*name).to_owned(), Value::from(cell.as_str()))).collect()
    });
    let lines: Vec<Value> = lines.map(Value::Object).collect();
    let openings: Vec<Value> = openings(document).map(Value::from).collect();
    format!(
        "{{\n\"schema\":\"vitals-accounting-1\",\n\"about\":{head},\n\"title\":{title},\n\
         \"notes\":{notes},\n\"lines\":[{}],\n\"openings\":[{}]\n}}\n",
        rows(&lines),
        rows(&openings)
    )
}

/// Values, each on a line of its own.
fn rows(values: &[Value]) -> String {
    let rows = values.iter().map(|value| format!("\n{value}"));
    let rows = rows.collect::<Vec<_>>().join(",");
    if rows.is_empty() { rows } else { rows + "\n" }
}

fn bundle(document: &Document) -> String {
    let scope = document.about().scope;
    let entries = document.entries().iter().flat_map(|entry| events::events(entry, scope));
    let entries = entries.map(|resource| json!({ "resource": resource }));
    let about = json!({ "system": events::ABOUT_SYSTEM, "value": document.about().to_string() });
    // An array without members is no FHIR.
    let entries: Vec<_> = entries.collect();
    let entries = match entries.is_empty() {
        true => String::new(),
        false => format!(",\n\"entry\":[{}]", rows(&entries)),
    };
    format!(
        "{{\n\"resourceType\":\"Bundle\",\n\"type\":\"collection\",\n\"identifier\":{about}\
         {entries}\n}}\n"
    )
}

fn html(document: &Document) -> String {
    let table = Table::of(document);
    let title = html_text(table.title);
    let head = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'unsafe-inline'\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n"
    );
    let notes = table.notes.iter().map(|note| format!("<p>{}</p>\n", html_text(note)));
    let columns = table.columns.iter().map(|name| format!("<th>{}</th>", name.replace('_', " ")));
    let columns: String = columns.collect();
    let body = table.rows.iter().map(|cells| {
        let cells = cells.iter().map(|cell| format!("<td>{}</td>", html_text(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    });
    let openings = openings(document).map(|opening| format!("{HTML_OPENING}{opening}</li>\n"));
    format!(
        "{head}{}<table>\n<thead><tr>{columns}</tr></thead>\n<tbody>\n{}</tbody>\n</table>\n\
         <h2>Openings</h2>\n{HTML_ABOUT}{}</p>\n<ol>\n{}</ol>\n</body>\n</html>\n",
        notes.collect::<String>(),
        body.collect::<String>(),
        document.about(),
        openings.collect::<String>()
    )
}

fn html_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
