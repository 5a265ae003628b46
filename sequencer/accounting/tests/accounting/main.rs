//! Files of settled claims: what stands in them, who reads it, and what is noticed.

mod claims;
mod events;
mod files;
mod kept;
mod search;
