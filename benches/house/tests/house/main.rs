//! Repository rules. `edges`: which crate may know which. `circles`: which module may know which.
//! `manifests`: one list of versions and features, nothing declared in vain. `weight`: what a
//! program must not link. `tidy`: what a text must not hold. `functions`: what the code must not
//! do. `disk`: who opens files. `signatures`: what a function takes and gives. `links`: what pages
//! point at. `index`: one list of all pages. `words`: one word, one thing. `spawns`: who starts
//! what runs beside its caller. `pauses`: what a test waits for. `numbers`: how a number from
//! outside is read.

mod cargo;
mod circles;
mod code;
mod disk;
mod edges;
mod functions;
mod index;
mod links;
mod manifests;
mod numbers;
mod pauses;
mod signatures;
mod source;
mod spawns;
mod tidy;
mod weight;
mod words;
