//! Checks everything from the base chain and public batch files alone.
