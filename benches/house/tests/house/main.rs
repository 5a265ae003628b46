//! Repository rules. `edges`: which crate may know which. `manifests`: one feature set.
//! `weight`: what client and auditor must not link. `tidy`: what the text of a file must not hold.

mod edges;
mod manifests;
mod source;
mod tidy;
mod weight;
