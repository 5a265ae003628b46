//! Who may ask: whoever has the link, once, and then the page that it opened.
//!
//! The link holds a token that is exchanged for two secrets. The cookie is kept from scripts and
//! never goes to another site; but cookies know no ports, so that every server of this machine
//! that the browser visits is shown it. The word is kept by the page for its own address, port and
//! all, and no page of another site can send the header that it travels in.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

use super::request::{Head, Method};

/// A secret of 32 bytes as 64 hexadecimal digits.
pub(crate) struct Secret(Zeroizing<String>);

/// Prints nothing of it.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    pub(crate) fn of(bytes: [u8; 32]) -> Secret {
        let bytes = Zeroizing::new(bytes);
        Secret(Zeroizing::new(hex::encode(bytes.as_slice())))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// In the same time whatever was given, as long as it has the length.
    fn is(&self, given: &str) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), given.as_bytes()).is_ok()
    }
}

/// Where secrets come from.
pub(crate) type Draw = fn() -> Option<[u8; 32]>;

/// The one who opened the page.
struct Session {
    cookie: Secret,
    word: Secret,
}

/// What the link is exchanged for.
pub(crate) struct Opened {
    /// The value of the header that sets the cookie.
    pub(crate) cookie: String,
    /// What the page keeps.
    pub(crate) word: String,
}

/// Who may ask.
pub(crate) struct Gate {
    /// Host and port, as a browser names them.
    authority: String,
    cookie_name: String,
    draw: Draw,
    /// The token until it is used, and then the session.
    held: Mutex<Held>,
}

struct Held {
    token: Option<Secret>,
    session: Option<Session>,
}

/// Why somebody is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stranger {
    /// Somebody's name for this machine: a site may have pointed its own name here.
    Host,
    /// Asked by a page of another site, or by none.
    Origin,
    /// Not as a page sends it.
    Type,
    /// Without the cookie or the word of the session.
    Session,
    /// With a token that is not the link's, or that was used.
    Token,
    /// The machine gives no randomness.
    Randomness,
}

impl Gate {
    /// A gate before a server that listens at this address, with the token of its link.
    pub(crate) fn new(at: SocketAddr, token: Secret, draw: Draw) -> Gate {
        // A browser leaves out the port that it would take by itself.
        let authority = at.to_string();
        let authority = authority.strip_suffix(":80").unwrap_or(&authority).to_owned();
        let cookie_name = format!("vitals-wallet-{}", at.port());
        let held = Mutex::new(Held { token: Some(token), session: None });
        Gate { authority, cookie_name, draw, held }
    }

    /// Whether a request may be answered at all: asked by the name of this address alone, and what
    /// is posted by a page of it alone.
    pub(crate) fn check(&self, head: &Head) -> Result<(), Stranger> {
        if head.host.as_deref() != Some(&self.authority) {
            return Err(Stranger::Host);
        }
        // What lived at this address before may ask for its own script; none of it is the page's.
        if head.service_worker.is_some() {
            return Err(Stranger::Origin);
        }
        if head.method != Some(Method::Post) {
            return Ok(());
        }
        let origin = head.origin.as_deref().and_then(|origin| origin.strip_prefix("http://"));
        if origin != Some(&self.authority) {
            return Err(Stranger::Origin);
        }
        if head.content_type.as_deref() != Some("application/json") {
            return Err(Stranger::Type);
        }
        Ok(())
    }

    /// Whether a request is the session's.
    pub(crate) fn check_session(&self, head: &Head) -> Result<(), Stranger> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Session { cookie, word }) = &held.session else { return Err(Stranger::Session) };
        // Another server of this machine can set one of the same name beside it. All are looked at,
        // and the word as well, so that the time says nothing of any.
        let shown = head.cookies(&self.cookie_name);
        let has_cookie = shown.fold(false, |found, one| found | cookie.is(one));
        let has_word = head.word.as_deref().is_some_and(|shown| word.is(shown));
        match has_cookie & has_word {
            true => Ok(()),
            false => Err(Stranger::Session),
        }
    }

    /// Exchanges the token, once: whoever comes second is told, and so finds out about the first.
    pub(crate) fn open(&self, token: &str) -> Result<Opened, Stranger> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.token.as_ref().is_some_and(|expected| expected.is(token)) {
            return Err(Stranger::Token);
        }
        let draw = || (self.draw)().map(Secret::of).ok_or(Stranger::Randomness);
        let (cookie, word) = (draw()?, draw()?);
        let name = &self.cookie_name;
        // Without an end, so that it goes with the browser's window.
        let set = format!("{name}={}; HttpOnly; SameSite=Strict; Path=/", cookie.text());
        let opened = Opened { cookie: set, word: word.text().to_owned() };
        *held = Held { token: None, session: Some(Session { cookie, word }) };
        Ok(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw() -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).ok()?;
        Some(bytes)
    }

    fn gate(draw: Draw) -> Gate {
        Gate::new("127.0.0.1:4040".parse().unwrap(), Secret::of([5; 32]), draw)
    }

    fn head(text: &str) -> Head {
        Head::parse(text.as_bytes()).unwrap()
    }

    const POST: &str = "POST /a HTTP/1.1\r\nHost: 127.0.0.1:4040";
    const OURS: &str = "Origin: http://127.0.0.1:4040\r\nContent-Type: application/json";

    #[test]
    fn only_the_name_of_this_address_is_answered() {
        let gate = gate(draw);
        let get = |host: &str| gate.check(&head(&format!("GET / HTTP/1.1{host}")));
        assert_eq!(get("\r\nHost: 127.0.0.1:4040"), Ok(()));
        for host in ["evil.example", "localhost:4040", "127.0.0.1", "127.0.0.1:4041", ""] {
            assert_eq!(get(&format!("\r\nHost: {host}")), Err(Stranger::Host), "{host}");
        }
        assert_eq!(get(""), Err(Stranger::Host));
        let worker = get("\r\nHost: 127.0.0.1:4040\r\nService-Worker: script");
        assert_eq!(worker, Err(Stranger::Origin));
        let plain = Gate::new("127.0.0.1:80".parse().unwrap(), Secret::of([5; 32]), draw);
        assert_eq!(plain.check(&head("GET / HTTP/1.1\r\nHost: 127.0.0.1")), Ok(()));
        let six = Gate::new("[::1]:4040".parse().unwrap(), Secret::of([5; 32]), draw);
        assert_eq!(six.check(&head("GET / HTTP/1.1\r\nHost: [::1]:4040")), Ok(()));
    }

    #[test]
    fn only_a_page_of_this_address_posts() {
        let gate = gate(draw);
        assert_eq!(gate.check(&head(&format!("{POST}\r\n{OURS}"))), Ok(()));
        for origin in
            ["http://127.0.0.1:4041", "http://evil.example", "null", "https://127.0.0.1:4040"]
        {
            let other = OURS.replace("http://127.0.0.1:4040", origin);
            let found = gate.check(&head(&format!("{POST}\r\n{other}")));
            assert_eq!(found, Err(Stranger::Origin), "{origin}");
        }
        assert_eq!(gate.check(&head(POST)), Err(Stranger::Origin));
        let form = OURS.replace("application/json", "text/plain");
        assert_eq!(gate.check(&head(&format!("{POST}\r\n{form}"))), Err(Stranger::Type));
    }

    #[test]
    fn a_link_opens_the_page_once_and_then_cookie_and_word_do() {
        let gate = gate(draw);
        let ask = |cookie: &str, word: &str| {
            let lines = format!("GET /s HTTP/1.1\r\nCookie: {cookie}\r\nX-Vitals-Page: {word}");
            gate.check_session(&head(&lines))
        };
        assert_eq!(ask("vitals-wallet-4040=", ""), Err(Stranger::Session));
        let token = hex::encode([5; 32]);
        for wrong in ["", "05", &hex::encode([6; 32]), &token.to_uppercase()[1..]] {
            assert_eq!(gate.open(wrong).err(), Some(Stranger::Token), "{wrong}");
        }
        let opened = gate.open(&token).ok().unwrap();
        assert_eq!(gate.open(&token).err(), Some(Stranger::Token));
        let (cookie, rest) = opened.cookie.split_once(';').unwrap();
        assert_eq!(rest, " HttpOnly; SameSite=Strict; Path=/");
        assert_eq!(ask(cookie, &opened.word), Ok(()));
        assert_eq!(ask(&format!("other=1; {cookie}"), &opened.word), Ok(()));
        let name = cookie.split_once('=').unwrap().0;
        assert_eq!(ask(&format!("{name}=of-another; {cookie}"), &opened.word), Ok(()));
        // Neither alone, as another server of this machine and another page of this browser have.
        let secret = cookie.split_once('=').unwrap().1;
        for (cookie, word) in [(cookie, ""), (cookie, secret), ("a=b", &opened.word), ("a=b", "")] {
            assert_eq!(ask(cookie, word), Err(Stranger::Session), "{cookie}");
        }
        assert!(!format!("{:?}", Secret::of([5; 32])).contains("05"));
    }

    #[test]
    fn without_randomness_nothing_opens_and_the_link_stays_good() {
        let gate = gate(|| None);
        assert_eq!(gate.open(&hex::encode([5; 32])).err(), Some(Stranger::Randomness));
        assert_eq!(gate.open(&hex::encode([5; 32])).err(), Some(Stranger::Randomness));
    }
}
