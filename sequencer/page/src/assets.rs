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

/// Every asset of the page of batches: the page, the contract's artefact, and the files that the
/// page takes in.
pub fn assets() -> impl Iterator<Item = &'static Asset> {
    [&PAGE, &CONTRACT, &SAVED].into_iter().chain(SHARED).chain(FILES)
}

/// The asset of the page of batches at a path, if there is one.
pub fn find(path: &str) -> Option<&'static Asset> {
    assets().find(|asset| asset.path == path)
}

/// Every asset of the patient's page, which no server but the wallet's hands out: on another's it
/// would ask for what only the wallet has.
pub fn assets_of_wallet() -> impl Iterator<Item = &'static Asset> {
    [&WALLET_PAGE].into_iter().chain(SHARED).chain(WALLET_FILES)
}

/// The asset of the patient's page at a path, if there is one.
pub fn find_of_wallet(path: &str) -> Option<&'static Asset> {
    assets_of_wallet().find(|asset| asset.path == path)
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

/// The patient's page at `/`.
const WALLET_PAGE: Asset =
    Asset { path: "/", content_type: HTML, bytes: include_bytes!("../assets/wallet/index.html") };

/// What both pages take in.
const SHARED: &[Asset] = files![
    "/dom.js": JS,
    "/fetch.js": JS,
    "/icon.svg": SVG,
    "/offer.js": JS,
    "/statement/escape.js": JS,
    "/style.css": CSS,
    "/theme.js": JS,
];

/// What the patient's page takes in besides.
const WALLET_FILES: &[Asset] = files![
    "/wallet/api.js": JS,
    "/wallet/app.js": JS,
    "/wallet/log.js": JS,
    "/wallet/rules.js": JS,
    "/wallet/sign.js": JS,
    "/wallet/style.css": CSS,
    "/wallet/text.js": JS,
];

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
    "/download.js": JS,
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
    "/text.js": JS,
    "/vendor/LICENSE-noble-curves.txt": TEXT,
    "/vendor/LICENSE-noble-hashes.txt": TEXT,
    "/vendor/LICENSE-uplot.txt": TEXT,
    "/vendor/SHA256SUMS": TEXT,
    "/vendor/noble.js": JS,
    "/vendor/uplot.css": CSS,
    "/vendor/uplot.js": JS,
    "/worker.js": JS,
];
