//! The files of the page.

/// A file as it is served.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// Path of its address, beginning with a slash; of the page itself `/` alone.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
}

/// Prints no content.
impl std::fmt::Debug for Asset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asset({}, {} bytes)", self.path, self.bytes.len())
    }
}

impl Asset {
    /// What tells this content from every other: the first half of its blake3, quoted. A few
    /// microseconds for each 10 kB.
    pub fn etag(&self) -> String {
        let hash = blake3::hash(self.bytes).to_hex();
        format!("\"{}\"", &hash[..32])
    }

    /// Whether a browser that sends this `If-None-Match` has the content already: answer 304.
    ///
    /// ```
    /// let page = page::find("/").expect("the page itself");
    /// assert!(page.is_current(&format!("\"old\", W/{}", page.etag())));
    /// assert!(!page.is_current("\"old\""));
    /// ```
    pub fn is_current(&self, if_none_match: &str) -> bool {
        let own = self.etag();
        let mut tags = if_none_match.split(',').map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == own)
    }
}

/// Every asset: the page, the contract's artefact, and the files that the page takes in.
pub fn assets() -> impl Iterator<Item = &'static Asset> {
    [&PAGE, &CONTRACT, &SAVED].into_iter().chain(FILES)
}

/// The asset at a path, if there is one.
pub fn find(path: &str) -> Option<&'static Asset> {
    assets().find(|asset| asset.path == path)
}

const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Files below `assets`, each at its own path.
macro_rules! files {
    ($($path:literal: $content_type:ident,)*) => {
        &[$(Asset {
            path: $path,
            content_type: $content_type,
            bytes: include_bytes!(concat!("../assets", $path)),
        }),*]
    };
}

/// The page at `/`.
const PAGE: Asset =
    Asset { path: "/", content_type: HTML, bytes: include_bytes!("../assets/index.html") };

/// The contract's artefact, which auditors are built with, too: the page compares the code on chain
/// with it.
const CONTRACT: Asset = Asset {
    path: "/contract.json",
    content_type: JSON,
    bytes: include_bytes!("../../../l1-contracts/artifacts/Settlement.json"),
};

/// The page that a saved batch is put into: data follow its last line.
pub const SAVED: Asset = Asset {
    path: "/saved.html",
    content_type: HTML,
    bytes: include_bytes!("../assets/saved.html"),
};

const FILES: &[Asset] = files![
    "/answering.js": JS,
    "/app.js": JS,
    "/ask.js": JS,
    "/chain.js": JS,
    "/chart.js": JS,
    "/checks.js": JS,
    "/desk.html": HTML,
    "/desk/app.js": JS,
    "/desk/charts.js": JS,
    "/desk/desk.css": CSS,
    "/desk/model.js": JS,
    "/desk/text.js": JS,
    "/desk/view.js": JS,
    "/detail.js": JS,
    "/dom.js": JS,
    "/download.js": JS,
    "/fetch.js": JS,
    "/icon.svg": SVG,
    "/list.js": JS,
    "/node.js": JS,
    "/peers.js": JS,
    "/ranges.js": JS,
    "/saving.js": JS,
    "/session.js": JS,
    "/statement/abi.js": JS,
    "/statement/batch.js": JS,
    "/statement/broken.js": JS,
    "/statement/bytes.js": JS,
    "/statement/deployment.js": JS,
    "/statement/escape.js": JS,
    "/statement/field.js": JS,
    "/statement/file.js": JS,
    "/statement/fingerprint.js": JS,
    "/statement/hashes.js": JS,
    "/statement/header.js": JS,
    "/statement/headers.js": JS,
    "/statement/inputs.js": JS,
    "/statement/journal.js": JS,
    "/statement/layout.js": JS,
    "/statement/leaves.js": JS,
    "/statement/limits.js": JS,
    "/statement/lists.js": JS,
    "/statement/poseidon.js": JS,
    "/statement/proof.js": JS,
    "/statement/scope.js": JS,
    "/statement/spelling.js": JS,
    "/statement/steps.js": JS,
    "/statement/strict.js": JS,
    "/style.css": CSS,
    "/text.js": JS,
    "/theme.js": JS,
    "/vendor/LICENSE-noble-curves.txt": TEXT,
    "/vendor/LICENSE-noble-hashes.txt": TEXT,
    "/vendor/LICENSE-uplot.txt": TEXT,
    "/vendor/SHA256SUMS": TEXT,
    "/vendor/noble.js": JS,
    "/vendor/uplot.css": CSS,
    "/vendor/uplot.js": JS,
    "/worker.js": JS,
];
