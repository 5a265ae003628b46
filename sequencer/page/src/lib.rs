//! The page that shows batches and verifies them in a browser, and the patient's page, as files
//! that a server hands out.
//!
//! ```text
//!   assets/index.html, app.js, ..        this crate            a server
//!   (committed as they are served)  -->  path, type, ETag  --> mounts them beside /page.json,
//!                                        headers               /deployment.json, /batches,
//!                                                              /chain/1
//! ```
//! Nothing is made at build time: the files are what a reader of the repository reads, and no node
//! or npm is needed. What a page may say follows from who serves it ([`Trust`]); whoever serves a
//! page could change it, so *verified* stands on no page of an operator.
//!
//! It opens no socket and reads no file: a table of bytes, and two strings.

mod assets;
mod served;

pub use assets::{Asset, SAVED, assets, assets_of_wallet, find, find_of_wallet};
pub use served::{Served, Trust};

/// Headers of every answer of a server of this page, assets or not, in lower case.
///
/// The policy allows files of this server and nothing else: no inline script or style, no other
/// host, no frame around the page, no form that leaves it. Nothing that a file or a name says can
/// so become code, whatever escaping forgot.
pub const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types vitals",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

/// How long an asset may be kept without asking: never, since it belongs to the program's version,
/// and asking costs a few bytes with an [`Asset::etag`].
pub const CACHE_CONTROL: &str = "no-cache";
