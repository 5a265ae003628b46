//! What kind of file it is, by its name and its first bytes.

use thiserror::Error;

/// A kind of file that is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Format {
    /// Lines of text ([`crate::text`]).
    Text,
    /// A header of PhysioNet's WFDB, with files of samples beside it ([`crate::wfdb`]).
    Wfdb,
    /// European Data Format, EDF or EDF+ ([`crate::edf`]).
    Edf,
    /// The same with 24 bits, BioSemi's ([`crate::edf`]).
    Bdf,
    /// Garmin's Flexible and Interoperable Data Transfer ([`crate::fit`]).
    Fit,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Format::Text => "text",
            Format::Wfdb => "WFDB",
            Format::Edf => "EDF",
            Format::Bdf => "BDF",
            Format::Fit => "FIT",
        })
    }
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        let all = [Format::Text, Format::Wfdb, Format::Edf, Format::Bdf, Format::Fit];
        let found = all.into_iter().find(|one| one.to_string().eq_ignore_ascii_case(text));
        found.ok_or_else(|| "expected text, wfdb, edf, bdf or fit".to_owned())
    }
}

/// A file of a kind that is not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum UnknownFormat {
    /// Samples of WFDB, which only their header explains.
    #[error("found samples or annotations of WFDB: name the header (.hea) that belongs to them")]
    Samples,
    /// A workbook of a spreadsheet.
    #[error("found a workbook of a spreadsheet: save its sheet as CSV")]
    Workbook,
    /// JSON or XML, as FHIR and web services have it.
    #[error("found JSON or XML, which is not read: export the readings as rows of time and value")]
    Document,
    /// Packed.
    #[error("found a compressed file: unpack it first")]
    Compressed,
    /// Anything else.
    #[error("expected text, a WFDB header (.hea), EDF, BDF or FIT, found none of them")]
    Other,
}

/// Bytes of a file that [`Format::detect`] wants to see, if it has so many.
pub const DETECT_BYTES: usize = 512;

impl Format {
    /// The kind of a file, from its name and up to [`DETECT_BYTES`] of its first bytes. Without a
    /// dot in the name and without bytes, since no such file is there, it is a WFDB record, whose
    /// header has that name and `.hea` behind it.
    ///
    /// ```
    /// use recordings::Format;
    ///
    /// assert_eq!(Format::detect("100.hea", b"100 2 360 650000"), Ok(Format::Wfdb));
    /// assert_eq!(Format::detect("night.edf", b"0       X X X X"), Ok(Format::Edf));
    /// assert_eq!(Format::detect("night.csv", b"time,hr\n"), Ok(Format::Text));
    /// assert!(Format::detect("100.dat", &[0xe3, 0x33, 0xf3]).is_err());
    /// ```
    ///
    /// # Errors
    /// [`UnknownFormat`] that says what to name instead.
    pub fn detect(name: &str, first: &[u8]) -> Result<Format, UnknownFormat> {
        let end = name.rsplit_once('.').map_or("", |(_, end)| end).to_ascii_lowercase();
        // What a file holds before what it is called: names are changed by whoever saves it.
        if first.get(8..12) == Some(b".FIT") {
            return Ok(Format::Fit);
        }
        // A table with a zero in its first column begins the same, and has lines.
        let head = &first[..first.len().min(256)];
        if first.starts_with(b"0       ") && !head.contains(&b'\n') {
            return Ok(Format::Edf);
        }
        if first.starts_with(b"\xffBIOSEMI") {
            return Ok(Format::Bdf);
        }
        if end == "hea" || !name.contains('.') && first.is_empty() {
            return Ok(Format::Wfdb);
        }
        // Some programs call their tables `.dat`, too: then they hold letters and nothing else.
        let is_table = is_text(first) && first.is_ascii();
        if matches!(end.as_str(), "dat" | "mat" | "atr" | "qrs") && !is_table {
            return Err(UnknownFormat::Samples);
        }
        let is_workbook = matches!(end.as_str(), "xlsx" | "xlsm" | "ods" | "xls");
        if is_workbook && !is_text(first) {
            return Err(UnknownFormat::Workbook);
        }
        if first.starts_with(b"\x1f\x8b") || first.starts_with(b"PK\x03\x04") {
            return Err(UnknownFormat::Compressed);
        }
        match is_text(first) {
            true if is_document(first) => Err(UnknownFormat::Document),
            true => Ok(Format::Text),
            false => Err(UnknownFormat::Other),
        }
    }
}

/// Whether a text begins as JSON or XML does, and no table.
fn is_document(first: &[u8]) -> bool {
    let text = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first).trim_ascii_start();
    let is_list = text.strip_prefix(b"[").is_some_and(|rest| {
        // A log may begin its lines with a time in brackets.
        rest.trim_ascii_start().starts_with(b"{") || rest.starts_with(b"\n")
    });
    is_list || text.starts_with(b"{") || text.starts_with(b"<")
}

/// Whether bytes are text in any encoding that the reader of lines names: UTF-16 among them, so
/// that it can say what is wrong.
fn is_text(first: &[u8]) -> bool {
    let is_wide = first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff");
    let is_odd = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c);
    is_wide || !first.iter().any(is_odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_called_by_their_names() {
        assert_eq!("wfdb".parse(), Ok(Format::Wfdb));
        assert_eq!(Format::Fit.to_string().parse(), Ok(Format::Fit));
        assert!("csv".parse::<Format>().unwrap_err().starts_with("expected text"));
    }

    #[test]
    fn a_file_is_known_by_its_bytes_before_its_name() {
        let fit = b"\x0e\x10\x64\x00\x9c\x00\x00\x00.FIT";
        for (name, first, expected) in [
            ("a.csv", &fit[..], Ok(Format::Fit)),
            ("a", b"\xffBIOSEMIx", Ok(Format::Bdf)),
            ("a.txt", b"0       patient", Ok(Format::Edf)),
            ("a.csv", b"0,72\n", Ok(Format::Text)),
            ("a.txt", b"0       72\n1       73\n", Ok(Format::Text)),
            ("a.dat", b"time\tvalue\r\n", Ok(Format::Text)),
            ("a.csv", b"\xff\xfet\x00", Ok(Format::Text)),
            ("a.csv", b"\xef\xbb\xbftime", Ok(Format::Text)),
            ("a.csv", b"", Ok(Format::Text)),
            ("A.HEA", b"a 1", Ok(Format::Wfdb)),
            ("100", b"", Ok(Format::Wfdb)),
            ("a103l.mat", b"\x3c\x00\x00", Err(UnknownFormat::Samples)),
            ("a.gz", b"\x1f\x8b\x08\x00", Err(UnknownFormat::Compressed)),
            ("a.xlsx", b"PK\x03\x04", Err(UnknownFormat::Workbook)),
            ("bundle.json", b"\xef\xbb\xbf {\n", Err(UnknownFormat::Document)),
            ("a.json", b"[ {\"t\":1}]", Err(UnknownFormat::Document)),
            ("export.xml", b"<?xml version", Err(UnknownFormat::Document)),
            ("a.log", b"[2026-05-01T08:30:00Z] 72\n", Ok(Format::Text)),
            ("a.png", b"\x89PNG\r\n\x1a\n", Err(UnknownFormat::Other)),
        ] {
            assert_eq!(Format::detect(name, first), expected, "{name} {first:?}");
        }
    }
}
