//! Contracts, pinned artefacts, bindings and the base-chain edge.
