//! Load through the public client only.
