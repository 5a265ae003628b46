//! Who may see the desk: whoever has the token, or, without one, whoever is on this machine.
//!
//! The service listens on loopback alone; but a proxy before it, or a page in somebody's browser,
//! asks from there as well. So without a token a request that says that it was passed on is
//! refused, and one that was made for another name than this machine's own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use files::Audience;
use model::whole_number;
use prometheus::IntCounter;
use serde_json::Value;
use thiserror::Error;

use crate::doors::codes::{self, Unserved};

/// Points that are kept: three hours of one every five seconds.
pub const DESK_POINTS_MAX: usize = 2160;

/// Characters of a token.
const TOKEN_LEAST: usize = 32;
const TOKEN_MOST: usize = 512;

/// What a request on the machine itself is made for.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Headers of requests that somebody passed on.
pub(super) const PASSED_ON: [&str; 5] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// Who tells the figures.
pub trait TellDesk: Send + Sync {
    /// The last point and those later than this, milliseconds since 1970.
    fn desk(&self, since_unix_ms: u64) -> Value;

    /// Requests to erase, with numbers of patients: for those alone who have a token.
    fn erasures(&self) -> Value;
}

/// A token's file that gives none.
#[derive(Debug, Error)]
pub enum TokenError {
    /// It cannot be read, or is open to others.
    #[error("the token of the desk cannot be read from {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What stands there is no token.
    #[error(
        "expected one line of {TOKEN_LEAST} to {TOKEN_MOST} letters, digits and signs without \
         spaces in {path}, as `openssl rand -hex 32` prints"
    )]
    Malformed {
        /// Which.
        path: PathBuf,
    },
}

/// Between two lines of the log about wrong tokens: whoever guesses must not fill it.
const WRONG_SAID_EVERY: Duration = Duration::from_secs(60);

/// Whoever gave another token than the desk's: counted each time, said in the log now and then.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct WrongTokens {
    total: IntCounter,
    said: Arc<Mutex<Said>>,
}

/// What was said of them.
#[derive(Debug, Default)]
struct Said {
    at: Option<Instant>,
    /// How many there were since.
    since: u64,
}

impl WrongTokens {
    /// Counted here.
    pub fn new(total: IntCounter) -> WrongTokens {
        WrongTokens { total, said: Arc::default() }
    }

    /// One more at this moment; how many are to be said now, if any are.
    fn count(&self, now: Instant) -> Option<u64> {
        self.total.inc();
        // Two plain values: a panic under the lock leaves them whole.
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.since += 1;
        let is_early = |at| now.saturating_duration_since(at) < WRONG_SAID_EVERY;
        if said.at.is_some_and(is_early) {
            return None;
        }
        said.at = Some(now);
        Some(std::mem::take(&mut said.since))
    }

    /// One more: nothing of it is logged but that it was wrong.
    fn tell(&self) {
        if let Some(requests) = self.count(Instant::now()) {
            tracing::warn!(
                requests,
                "a token was given for the desk that is not the one of web.token_file"
            );
        }
    }
}

/// Who is let in.
#[derive(Clone)]
pub struct Access {
    /// Hash of the token, which is compared in constant time; none: this machine.
    token: Option<blake3::Hash>,
    wrong: WrongTokens,
}

impl Access {
    /// By the token in this file, if there is one.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn read(path: Option<&Path>, wrong: WrongTokens) -> Result<Access, TokenError> {
        let token = path.map(read_token).transpose()?;
        Ok(Access { token, wrong })
    }

    /// Whether this request is let in; the answer if not.
    pub(in crate::doors) fn check(&self, headers: &HeaderMap) -> Result<(), &'static Unserved> {
        let Some(token) = self.token else { return check_here(headers) };
        let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let given = given.and_then(|given| given.strip_prefix(b"Bearer "));
        match given {
            Some(given) if blake3::hash(given) == token => Ok(()),
            _ => {
                // A page asks without one first, and then for one.
                if headers.contains_key(header::AUTHORIZATION) {
                    self.wrong.tell();
                }
                Err(&codes::DESK_TOKEN)
            }
        }
    }

    /// Whether there is a token at all.
    pub(in crate::doors) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether this is the token; false where there is none, and nobody is let in by one.
    pub(in crate::doors) fn is_token(&self, given: &[u8]) -> bool {
        // Hashes are compared in constant time.
        let is_it = self.token.is_some_and(|token| blake3::hash(given) == token);
        if !is_it {
            self.wrong.tell();
        }
        is_it
    }
}

/// Whether a host, with its port or without, is this machine by a name that only it has.
pub(in crate::doors) fn is_own_host(host: &str) -> bool {
    // Without the port, which a name in brackets stands before.
    let name = host.rsplit_once(':').map_or(host, |(name, port)| match port.contains(']') {
        true => host,
        false => name,
    });
    OWN_NAMES.iter().any(|own| own.eq_ignore_ascii_case(name))
}

fn read_token(path: &Path) -> Result<blake3::Hash, TokenError> {
    let file = |source| TokenError::File { path: path.into(), source };
    // A line break at the end is no part of it.
    let bytes = files::read(path, TOKEN_MOST as u64 + 2, Audience::Owner).map_err(file)?;
    let token = bytes.trim_ascii_end();
    let is_token = (TOKEN_LEAST..=TOKEN_MOST).contains(&token.len());
    match is_token && token.iter().all(u8::is_ascii_graphic) {
        true => Ok(blake3::hash(token)),
        false => Err(TokenError::Malformed { path: path.into() }),
    }
}

fn check_here(headers: &HeaderMap) -> Result<(), &'static Unserved> {
    let is_passed_on = PASSED_ON.iter().any(|name| headers.contains_key(*name));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match host.is_some_and(is_own_host) && !is_passed_on {
        true => Ok(()),
        false => Err(&codes::DESK_ELSEWHERE),
    }
}

/// The number behind `since=`; everything without one.
pub(in crate::doors) fn since(uri: &Uri) -> Result<u64, &'static Unserved> {
    let mut pairs = uri.query().into_iter().flat_map(|query| query.split('&'));
    match pairs.find_map(|pair| pair.strip_prefix("since=")) {
        None => Ok(0),
        Some(number) => whole_number(number).ok_or(&codes::SINCE_MALFORMED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Metrics, alerts};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn wrong_tokens() -> WrongTokens {
        WrongTokens::new(Metrics::new().desk_tokens_wrong_total.clone())
    }

    #[test]
    fn without_a_token_only_this_machine_is_let_in() {
        let access = Access::read(None, wrong_tokens()).unwrap();
        let refused = |pairs: &[_]| access.check(&headers(pairs)).err().map(|why| why.code);
        for host in ["localhost:8080", "LocalHost", "127.0.0.1:1", "[::1]:8080", "[::1]"] {
            assert_eq!(refused(&[("host", host)]), None, "{host}");
        }
        for host in ["example.org", "localhost.example.org:8080", "127.0.0.1.nip.io", "", "::1"] {
            assert_eq!(refused(&[("host", host)]), Some("desk-elsewhere"), "{host}");
        }
        assert_eq!(refused(&[]), Some("desk-elsewhere"));
        for name in PASSED_ON {
            let found = refused(&[("host", "localhost"), (name, "10.0.0.1")]);
            assert_eq!(found, Some("desk-elsewhere"), "{name}");
        }
    }

    /// Access by a file with this text.
    fn access(text: &str) -> Result<Access, TokenError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        files::replace(&path, &[text.as_bytes()], Audience::Owner).unwrap();
        Access::read(Some(&path), wrong_tokens())
    }

    #[test]
    fn with_a_token_it_alone_counts() {
        let token = "0123456789abcdef0123456789abcdef";
        let access = access(&format!("{token}\n")).unwrap();
        let check = |pairs: &[_]| access.check(&headers(pairs)).map_err(|why| why.code);
        let bearer = format!("Bearer {token}");
        let elsewhere = [("host", "node.example.org"), ("x-forwarded-for", "10.0.0.1")];
        assert_eq!(check(&[&elsewhere[..], &[("authorization", &bearer)]].concat()), Ok(()));
        for wrong in ["", token, "Bearer ", "bearer 0", &bearer[..bearer.len() - 1], "Basic eA=="] {
            let found = check(&[("host", "localhost"), ("authorization", wrong)]);
            assert_eq!(found, Err("desk-token"), "{wrong}");
        }
        assert_eq!(check(&[("host", "localhost")]), Err("desk-token"));
    }

    #[test]
    fn wrong_tokens_are_counted_and_said_once_a_minute_and_whoever_has_none_is_asked_for_it() {
        let token = "0123456789abcdef0123456789abcdef";
        let access = access(token).unwrap();
        let ask = |pairs: &[_]| access.check(&headers(pairs)).is_ok();
        let right = format!("Bearer {token}");
        assert!(!ask(&[("host", "localhost")]));
        assert!(ask(&[("authorization", &right)]) && access.is_token(token.as_bytes()));
        assert_eq!(access.wrong.total.get(), 0);
        let alert = alerts::named("VitalsDeskTokensWrong").unwrap();
        for guess in 1..=6 {
            assert!(!ask(&[("authorization", "Bearer 00")]) && !access.is_token(b"00"));
            let found = access.wrong.total.get();
            assert_eq!((found, alert.limit.is_passed(found as f64)), (2 * guess, guess > 5));
        }
        let (wrong, now) = (wrong_tokens(), Instant::now());
        let said = [0, 1, 59, 60, 61, 500].map(|at| wrong.count(now + Duration::from_secs(at)));
        assert_eq!(said, [Some(1), None, None, Some(3), None, Some(2)]);
    }

    #[test]
    fn a_file_that_holds_no_token_is_refused_and_not_shown() {
        for text in ["", "short", &"x".repeat(513), &format!("{} {}", "a".repeat(20), "geheim")] {
            let Err(error) = access(text) else { panic!("{text} is no token") };
            let said = format!("{error} {error:?}");
            assert!(!said.contains("geheim") && !said.contains("xxx"), "{said}");
        }
        let missing = Access::read(Some(Path::new("nowhere/token")), wrong_tokens());
        assert!(matches!(missing, Err(TokenError::File { .. })));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        files::replace(&path, &["a".repeat(40).as_bytes()], Audience::Owner).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Access::read(Some(&path), wrong_tokens());
        assert!(matches!(refused, Err(TokenError::File { .. })));
    }

    #[test]
    fn since_is_a_number_or_everything() {
        let since = |path: &'static str| since(&Uri::from_static(path)).map_err(|why| why.code);
        assert_eq!(since("/desk"), Ok(0));
        assert_eq!(since("/desk?a=1&since=77"), Ok(77));
        for wrong in ["/desk?since=", "/desk?since=-1", "/desk?since=%2B1", "/desk?since=+1"] {
            assert_eq!(since(wrong), Err("since-malformed"), "{wrong}");
        }
    }
}
