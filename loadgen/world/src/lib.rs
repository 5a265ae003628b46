//! One seeded generator of patients, grants, devices and readings, and the shipped recordings.
