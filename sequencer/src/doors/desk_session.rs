//! Browsers at the desk: whoever gives the token is let in by a cookie from then on.
//!
//! The cookie is an end and its signature under a key of this run, so that nothing is kept of a
//! browser and a restart lets nobody in. It is not the token: browsers send cookies to every port
//! of a host, and whoever else listens on one may read it.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, header};

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
}

impl Sessions {
    /// Of a run that begins now, under a key that nobody else knows.
    pub(super) fn new(key: [u8; blake3::KEY_LEN], now: Instant) -> Sessions {
        let of_key = blake3::derive_key("vitals desk 2026-11-30 name of the session cookie", &key);
        let name = format!("vitals-desk-{}", hex::encode(&of_key[..NAME_BYTES]));
        Sessions { key, name, begun: now }
    }

    /// A cookie that lets in from now on. `is_elsewhere`: it was asked for under another name than
    /// this machine's own, where it travels over TLS alone.
    pub(super) fn begin(&self, now: Instant, is_elsewhere: bool) -> HeaderValue {
        // Seconds of this run, which no clock that somebody sets moves.
        let end = (self.age(now) + SESSION).as_secs();
        let signature = hex::encode(self.sign(end));
        self.cookie(&format!("{end}.{signature}"), SESSION.as_secs(), is_elsewhere)
    }

    /// What has a browser forget it.
    pub(super) fn end(&self, is_elsewhere: bool) -> HeaderValue {
        self.cookie("", 0, is_elsewhere)
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
            Some((end.parse().ok()?, blake3::Hash::from(bytes)))
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
        *blake3::keyed_hash(&self.key, &end.to_be_bytes()).as_bytes()
    }

    /// No script reads it, no other site's request carries it, and nothing but the desk is sent it.
    fn cookie(&self, value: &str, seconds: u64, is_elsewhere: bool) -> HeaderValue {
        let secure = if is_elsewhere { "; Secure" } else { "" };
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

    #[test]
    fn a_browser_is_let_in_until_its_session_is_over() {
        let begun = Instant::now();
        let sessions = Sessions::new([1; 32], begun);
        let at = begun + 100 * SECOND;
        let cookie = request(&sessions.begin(at, false));
        for (seconds, expected) in [(0, true), (43_199, true), (43_200, false), (u32::MAX, false)] {
            assert_eq!(sessions.holds(&cookie, at + seconds * SECOND), expected, "{seconds} s");
        }
        let ended = request(&sessions.end(false));
        assert!(!sessions.holds(&ended, at) && !sessions.holds(&HeaderMap::new(), at));
    }

    #[test]
    fn nothing_but_what_this_run_signed_is_a_session() {
        let now = Instant::now();
        let [own, other] = [[1; 32], [2; 32]].map(|key| Sessions::new(key, now));
        assert!(!own.holds(&request(&other.begin(now, false)), now));
        let good = own.begin(now, false);
        let good = good.to_str().unwrap().split(';').next().unwrap();
        let (name, value) = good.split_once('=').unwrap();
        let (end, signature) = value.split_once('.').unwrap();
        let later = end.parse::<u64>().unwrap() + 1;
        let longer = format!("{later}.{signature}");
        let foreign = format!("{end}.{}", hex::encode([0; 32]));
        for value in ["", ".", "9", end, &longer, &foreign, &format!("{value}00"), &value[1..]] {
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
        for (is_elsewhere, expected) in [(false, false), (true, true)] {
            let set = sessions.begin(now, is_elsewhere);
            let text = set.to_str().unwrap().to_owned();
            for part in ["; Path=/desk;", "; HttpOnly;", "; SameSite=Strict", "; Max-Age=43200;"] {
                assert!(text.contains(part), "{text}");
            }
            assert_eq!(text.ends_with("; Secure"), expected, "{text}");
            assert!(set.is_sensitive() && !text.contains(&hex::encode(key)));
        }
        assert!(!format!("{sessions:?}").contains(&hex::encode(key)));
    }
}
