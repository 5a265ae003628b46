//! Browsers at the desk: whoever gives the token is let in by a cookie from then on.
//!
//! The cookie is an end and its signature under a key of this run, so that nothing is kept of a
//! browser and a restart lets nobody in. It is not the token: browsers send cookies to every port
//! of a host, and whoever else listens on one may read it. Whoever signs out ends every session,
//! a copied one, too: which of them it is nobody keeps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, header};
use model::whole_number;

use super::http::is_own_host;

/// How long a browser is let in.
const SESSION: Duration = Duration::from_secs(12 * 60 * 60);

/// Bytes of a signature, and of what tells two runs apart in a cookie's name.
const SIGNATURE_BYTES: usize = 32;
const NAME_BYTES: usize = 4;

/// What the sessions of one run are made with.
pub(super) struct Sessions {
    key: [u8; blake3::KEY_LEN],
    /// Its own: of two nodes on one host each has its cookie.
    name: String,
    begun: Instant,
    /// How often somebody signed out: part of what is signed.
    ended: AtomicU64,
}

impl Sessions {
    /// Of a run that begins now, under a key that nobody else knows.
    pub(super) fn new(key: [u8; blake3::KEY_LEN], now: Instant) -> Sessions {
        let of_key = blake3::derive_key("vitals desk 2026-11-30 name of the session cookie", &key);
        let name = format!("vitals-desk-{}", hex::encode(&of_key[..NAME_BYTES]));
        Sessions { key, name, begun: now, ended: AtomicU64::new(0) }
    }

    /// A cookie that lets in from now on, for whoever asks with these headers.
    pub(super) fn begin(&self, now: Instant, headers: &HeaderMap) -> HeaderValue {
        // Seconds of this run, which no clock that somebody sets moves.
        let end = (self.age(now) + SESSION).as_secs();
        let signature = hex::encode(self.sign(end));
        self.cookie(&format!("{end}.{signature}"), SESSION.as_secs(), headers)
    }

    /// Ends all sessions, if whoever asks has one; what has a browser forget its cookie.
    pub(super) fn end(&self, now: Instant, headers: &HeaderMap) -> HeaderValue {
        // A stranger signs nobody out.
        if self.holds(headers, now) {
            self.ended.fetch_add(1, Ordering::SeqCst);
        }
        self.cookie("", 0, headers)
    }

    /// Whether a request comes from a browser that was let in.
    pub(super) fn holds(&self, headers: &HeaderMap, now: Instant) -> bool {
        let cookies = headers.get_all(header::COOKIE).iter();
        let mut pairs = cookies.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(';'));
        pairs.any(|pair| {
            let value = pair.trim().strip_prefix(&*self.name);
            value.and_then(|value| value.strip_prefix('=')).is_some_and(|it| self.is_good(it, now))
        })
    }

    fn is_good(&self, value: &str, now: Instant) -> bool {
        let read = |(end, signature): (&str, &str)| {
            let mut bytes = [0; SIGNATURE_BYTES];
            hex::decode_to_slice(signature, &mut bytes).ok()?;
            Some((whole_number(end)?, blake3::Hash::from(bytes)))
        };
        value.split_once('.').and_then(read).is_some_and(|(end, signature)| {
            // Compared in constant time.
            blake3::Hash::from(self.sign(end)) == signature && self.age(now).as_secs() < end
        })
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun)
    }

    fn sign(&self, end: u64) -> [u8; SIGNATURE_BYTES] {
        let ended = self.ended.load(Ordering::SeqCst);
        let signed = [end.to_be_bytes(), ended.to_be_bytes()].concat();
        *blake3::keyed_hash(&self.key, &signed).as_bytes()
    }

    /// No script reads it, no other site's request carries it, and nothing but the desk is sent it.
    fn cookie(&self, value: &str, seconds: u64, headers: &HeaderMap) -> HeaderValue {
        let secure = if is_of_own_page(headers) { "" } else { "; Secure" };
        let name = &self.name;
        let text = format!(
            "{name}={value}; Path=/desk; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
        );
        let mut cookie =
            HeaderValue::try_from(text).expect("letters, digits and signs are a header's value");
        cookie.set_sensitive(true);
        cookie
    }
}

/// Whether the browser's page was reached on the machine itself without TLS: it says so in a header
/// that neither a page nor a proxy writes for it. From anywhere else, and where nothing is said, a
/// cookie travels over TLS alone.
fn is_of_own_page(headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    origin.and_then(|origin| origin.strip_prefix("http://")).is_some_and(is_own_host)
}

/// Prints no key.
impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sessions({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A request with the cookie that an answer set, and others.
    fn request(set: &HeaderValue) -> HeaderMap {
        let pair = set.to_str().unwrap().split(';').next().unwrap();
        HeaderMap::from_iter([(header::COOKIE, format!("a=b; {pair}; c").parse().unwrap())])
    }

    fn origin(origin: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ORIGIN, origin.parse().unwrap())])
    }

    fn begin(sessions: &Sessions, now: Instant) -> HeaderValue {
        sessions.begin(now, &HeaderMap::new())
    }

    #[test]
    fn a_browser_is_let_in_until_its_session_is_over() {
        let begun = Instant::now();
        let sessions = Sessions::new([1; 32], begun);
        let at = begun + 100 * SECOND;
        let cookie = request(&begin(&sessions, at));
        for (seconds, expected) in [(0, true), (43_199, true), (43_200, false), (u32::MAX, false)] {
            assert_eq!(sessions.holds(&cookie, at + seconds * SECOND), expected, "{seconds} s");
        }
        assert!(!sessions.holds(&HeaderMap::new(), at));
    }

    #[test]
    fn whoever_signs_out_ends_every_session_and_a_stranger_none() {
        let now = Instant::now();
        let sessions = Sessions::new([1; 32], now);
        let [one, other] = [now, now + SECOND].map(|at| request(&begin(&sessions, at)));
        sessions.end(now, &HeaderMap::new());
        assert!(sessions.holds(&one, now) && sessions.holds(&other, now));
        let forgotten = request(&sessions.end(now, &one));
        for cookie in [&one, &other, &forgotten] {
            assert!(!sessions.holds(cookie, now));
        }
        // An ended one ends no later one.
        let later = request(&begin(&sessions, now));
        sessions.end(now, &one);
        assert!(sessions.holds(&later, now));
    }

    #[test]
    fn nothing_but_what_this_run_signed_is_a_session() {
        let now = Instant::now();
        let [own, other] = [[1; 32], [2; 32]].map(|key| Sessions::new(key, now));
        assert!(!own.holds(&request(&begin(&other, now)), now));
        let good = begin(&own, now);
        let good = good.to_str().unwrap().split(';').next().unwrap();
        let (name, value) = good.split_once('=').unwrap();
        let (end, signature) = value.split_once('.').unwrap();
        let later = end.parse::<u64>().unwrap() + 1;
        let longer = format!("{later}.{signature}");
        let foreign = format!("{end}.{}", hex::encode([0; 32]));
        // Another text of the same end was not signed.
        let [signed, padded] = ["+", "0"].map(|before| format!("{before}{value}"));
        let behind = format!("{value}00");
        let others = [end, &longer, &foreign, &behind, &value[1..], &signed, &padded];
        for value in ["", ".", "9"].into_iter().chain(others) {
            let cookie = format!("{name}={value}").parse().unwrap();
            let headers = HeaderMap::from_iter([(header::COOKIE, cookie)]);
            assert!(!own.holds(&headers, now), "{value}");
        }
        // Under the other one's name it is nobody's.
        let renamed = format!("{}={value}", other.name).parse().unwrap();
        assert!(!own.holds(&HeaderMap::from_iter([(header::COOKIE, renamed)]), now));
    }

    #[test]
    fn a_cookie_is_for_the_desk_of_this_page_alone_and_travels_over_tls_from_elsewhere() {
        let (now, key) = (Instant::now(), [1; 32]);
        let sessions = Sessions::new(key, now);
        let near = ["http://127.0.0.1:9090", "http://localhost", "http://[::1]:9090"];
        // A proxy writes `Host`, and that is not asked.
        let far = [
            "https://node.example",
            "http://node.example",
            "https://localhost",
            "http://localhost.node.example:9090",
            "http://127.0.0.1.node.example",
            "null",
            "",
        ];
        let near = near.iter().map(|origin| (origin, false));
        for (origin_, expected) in near.chain(far.iter().map(|origin| (origin, true))) {
            let mut headers = origin(origin_);
            headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:9090"));
            let set = sessions.begin(now, &headers);
            let text = set.to_str().unwrap().to_owned();
            for part in ["; Path=/desk;", "; HttpOnly;", "; SameSite=Strict", "; Max-Age=43200;"] {
                assert!(text.contains(part), "{text}");
            }
            assert_eq!(text.ends_with("; Secure"), expected, "{origin_}: {text}");
            assert!(set.is_sensitive() && !text.contains(&hex::encode(key)));
        }
        let unsaid = begin(&sessions, now);
        assert!(unsaid.to_str().unwrap().ends_with("; Secure"));
        assert!(!format!("{sessions:?}").contains(&hex::encode(key)));
    }
}
