//! The archive from outside: what is archived, what is read back, who is kept out, what fails.

mod broken;
mod reads;
mod s3;
mod support;
mod two_writers;
