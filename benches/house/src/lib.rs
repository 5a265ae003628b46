//! Repository rules as ordinary tests.
