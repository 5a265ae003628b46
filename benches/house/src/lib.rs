//! Repository rules as ordinary tests: crate edges, dependency features, weight, tidiness.
//!
//! Nothing is exported: see `tests/`. A rule that fails says what was expected and what was found.
//! Only text, manifests and `cargo tree` are read; nothing here needs another crate to be built.
