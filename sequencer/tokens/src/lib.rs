//! Bearer tokens as SMART backend services and SMART apps carry them: a JWT, signed with RS384 or
//! ES384, is checked against a JWKS, an issuer, an audience and the time, and says who asks and
//! what may be asked.
//!
//! It is pure: no network, no file, no clock. Whoever runs a node brings the keys of the issuer as
//! a file; a node that fetched them would believe whoever answers, and would have one more way out
//! of the hospital's network.
//!
//! A token says who asks and what of the *interface* may be used. It decides nothing about consent:
//! that is a rule that the patient signed, and `statement::c2` alone reads it.
//!
//! ```
//! use model::Millis;
//! use tokens::{Expected, JwksError, Keys, TokenError, Verifier, bearer_of};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let jwks = br#"{"keys": []}"#;
//! assert_eq!(Keys::from_jwks(jwks).err(), Some(JwksError::NoKey));
//!
//! assert_eq!(bearer_of("Bearer abc.def.ghi"), Ok("abc.def.ghi"));
//! assert_eq!(bearer_of("Basic YTpi"), Err(TokenError::NotBearer));
//! # Ok(())
//! # }
//! ```
//!
//! [SMART App Launch 2.2](https://hl7.org/fhir/smart-app-launch/), RFC 6750 (how it travels), RFC
//! 7515, 7517, 7518 and 7519 (how it is written).

mod base64url;
mod bearer;
mod jwks;
mod scopes;
mod token;

pub use bearer::{Bearer, User, UserKind};
pub use jwks::{Algorithm, JWKS_BYTES_MAX, JwksError, Keys};
pub use scopes::{Context, Needed, Scope, Scopes, Verb};
pub use token::{Expected, LIFETIME_MS_MAX, SKEW_MS, TokenError, Verifier, bearer_of};
