//! Pages of one HTML file: what a program found, as tables and charts. They ask no network and run
//! no script; beside each chart stands a table with the same figures, and everything that comes
//! from outside is escaped.
//!
//! ```
//! use charts::{Bins, Chart, Line, Page, Scale};
//!
//! let mut page = Page::new("Waits");
//! page.heading("How long <anybody> waited");
//! page.totals([("machine".to_owned(), "two cores".to_owned())]);
//! page.chart(&Chart {
//!     title: "Wait",
//!     unit: "s",
//!     scale: Scale::Linear,
//!     bins: Bins::Numbered("candidate"),
//!     lines: vec![Line { name: "median", values: vec![Some(30.0), None] }],
//! });
//! let page = page.finish();
//! assert!(page.contains("How long &lt;anybody&gt; waited") && page.contains("<svg"));
//! ```

mod chart;

use std::fmt::Write as _;

pub use chart::{Bins, Chart, Line, Scale, escape};

/// A page that grows from its top.
#[derive(Clone, Debug)]
pub struct Page(String);

impl Page {
    /// A page with this title.
    pub fn new(title: &str) -> Page {
        Page([HEAD, "<title>", &escape(title), "</title>", STYLE].concat())
    }

    /// The line that says what the page is.
    pub fn title(&mut self, text: &str) {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(self.0, "<h1>{}</h1>", escape(text));
    }

    /// A line above a part of the page.
    pub fn heading(&mut self, text: &str) {
        let _ = writeln!(self.0, "<h2>{}</h2>", escape(text));
    }

    /// A sentence or some.
    pub fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.0, "<p>{}</p>", escape(text));
    }

    /// Names and values, one below the other.
    pub fn totals(&mut self, rows: impl IntoIterator<Item = (String, String)>) {
        self.0 += "<table class=\"totals\">\n<tbody>\n";
        for (name, value) in rows {
            let (name, value) = (escape(&name), escape(&value));
            let _ = writeln!(self.0, "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>");
        }
        self.0 += "</tbody>\n</table>\n";
    }

    /// A table with a name for each column; the first cell of a row names it.
    pub fn table(&mut self, heads: &[&str], rows: &[Vec<String>]) {
        self.0 += "<div class=\"wide\" tabindex=\"0\">\n<table>\n<thead><tr>";
        for head in heads {
            let _ = write!(self.0, "<th scope=\"col\">{}</th>", escape(head));
        }
        self.0 += "</tr></thead>\n<tbody>\n";
        for row in rows {
            self.0 += "<tr>";
            for (at, cell) in row.iter().enumerate() {
                let cell = escape(cell);
                let _ = match at {
                    0 => write!(self.0, "<th scope=\"row\">{cell}</th>"),
                    _ => write!(self.0, "<td>{cell}</td>"),
                };
            }
            self.0 += "</tr>\n";
        }
        self.0 += "</tbody>\n</table>\n</div>\n";
    }

    /// A chart with its table.
    pub fn chart(&mut self, chart: &Chart<'_>) {
        self.0 += &chart.figure();
    }

    /// The whole file.
    pub fn finish(self) -> String {
        self.0 + "</main>\n</body>\n</html>\n"
    }
}

/// No script, nothing from elsewhere.
const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
"#;

/// Colours differ in brightness and lines in their dashes, so that no one needs to see colours.
const STYLE: &str = r#"
<style>
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --faint: #d5d9de;
  --a: #0b5cad; --b: #b44a00; --c: #6b3fa0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --ink: #e6e9ec; --faint: #3a4047;
    --a: #6bb1ff; --b: #ffa564; --c: #c7a4ff; }
}
body { background: var(--paper); color: var(--ink); margin: 0;
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; vertical-align: top;
  border-bottom: 1px solid var(--faint); overflow-wrap: anywhere; }
figure { margin: 2rem 0; }
figcaption { font-weight: 600; }
svg { width: 100%; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
.grid { stroke: var(--faint); stroke-width: 1; }
.line { fill: none; stroke-width: 2; }
.l0 { stroke: var(--a); }
.l1 { stroke: var(--b); stroke-dasharray: 7 3; }
.l2 { stroke: var(--c); stroke-dasharray: 2 3; }
.figures { max-height: 20rem; overflow: auto; }
.wide { overflow-x: auto; }
.wide th, .wide td { overflow-wrap: break-word; }
</style>
</head>
<body>
<main>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_asks_no_network_and_text_from_outside_stays_text() {
        let mut page = Page::new("<script>");
        page.title("<img src=x>");
        page.paragraph("a & b");
        page.table(&["row", "<b>"], &[vec!["1".into(), "</td>".into()]]);
        let page = page.finish();
        assert!(page.contains("<title>&lt;script&gt;</title>"), "{page}");
        assert!(page.contains("<h1>&lt;img src=x&gt;</h1>") && page.contains("a &amp; b"));
        assert!(page.contains("<th scope=\"row\">1</th><td>&lt;/td&gt;</td>"));
        for asks in ["http:", "https:", "<script", "src=\"", "@import", "url("] {
            assert!(!page.contains(asks), "{asks}");
        }
        assert!(page.contains("default-src 'none'"));
    }
}
