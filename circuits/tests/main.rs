//! The statements as a whole: native check and circuit on the same chunks.

mod c1;
mod c2;
mod nullity;
mod repair;
mod shapes;
mod trial;
