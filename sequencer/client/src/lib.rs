//! The gateway, wallet and access client, and the vitals command line.
