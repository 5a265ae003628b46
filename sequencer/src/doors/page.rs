//! The operator's page: the batches of this node, shown by whoever runs it.
//!
//! It is the page that an auditor serves, and says less: who serves a page could change it, so here
//! nothing is *verified*. It shows what the HTTP service and the chain tell anybody.
//!
//! Beside it stands the desk, for whoever has the token ([`Access`]), and without one for nobody: a
//! proxy that passes the page on to everybody may well ask for it by a name of this machine, and
//! say nothing of whom it asks for.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderMap, HeaderValue, Uri};
use files::Audience;
use l1_contracts::{HttpUrl, HttpUrlError};
use model::{BatchNumber, with_causes};
use page_server::{
    Admitted, Closed, Desk, Files, Found, PageError, PageServer, Reach, Shown, Trust,
};
use thiserror::Error;

use crate::doors::codes::{self, Unserved};
use crate::doors::desk_session::Sessions;
use crate::doors::http::{Access, TellDesk, since};
use crate::doors::reach::{TellWindows, reach};
use crate::folder::store::{Store, StoreError};
use crate::guard::panic_of_task;

/// Longest deployment file that is shown.
const DEPLOYMENT_BYTES_MAX: u64 = 1 << 20;

/// The page is not served.
#[derive(Debug, Error)]
pub enum OperatorPageError {
    /// The deployment file is not there.
    #[error("expected the deployment file, for the page")]
    Deployment(#[source] std::io::Error),
    /// The chain's address is none.
    #[error("expected the address of the base chain, for the page")]
    Chain(#[source] HttpUrlError),
    /// The system gives no randomness.
    #[error("the key of sessions at the desk cannot be drawn")]
    Entropy(#[from] getrandom::Error),
    /// The server does not start.
    #[error("the page is not served")]
    Server(#[from] PageError),
}

/// What a node has for its page.
pub struct Behind {
    /// Batch files.
    pub store: Arc<Store>,
    /// What is under way behind them.
    pub windows: Arc<dyn TellWindows>,
    /// The figures of the last hours.
    pub desk: Arc<dyn TellDesk>,
    /// Who may see these.
    pub access: Access,
}

/// Binds the page of a node.
///
/// # Errors
/// [`OperatorPageError`].
pub async fn bind(
    listen: SocketAddr,
    deployment: &Path,
    chain: HttpUrl,
    behind: Behind,
) -> Result<PageServer, OperatorPageError> {
    let deployment = files::read(deployment, DEPLOYMENT_BYTES_MAX, Audience::Public)
        .map_err(OperatorPageError::Deployment)?;
    let Behind { store, windows, desk, access } = behind;
    let mut key = [0; blake3::KEY_LEN];
    getrandom::fill(&mut key)?;
    let sessions = Sessions::new(key, Instant::now());
    let shown = Shown {
        trust: Trust::Operator,
        deployment,
        chains: vec![chain],
        files: Box::new(OfNode { store, windows }),
        desk: Some(Arc::new(OfDesk { desk, access, sessions })),
    };
    Ok(PageServer::bind(listen, shown).await?)
}

/// The desk, for whoever sends the token, and in a browser by the cookie that it got for it.
struct OfDesk {
    desk: Arc<dyn TellDesk>,
    access: Access,
    sessions: Sessions,
}

impl Desk for OfDesk {
    fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Result<Admitted, Closed> {
        self.expect_token()?;
        let is_session = self.sessions.holds(headers, Instant::now());
        if !is_session {
            self.access.check(headers).map_err(closed)?;
        }
        Ok(Admitted { since_unix_ms: since(uri).map_err(closed)?, is_session })
    }

    fn tell(&self, Admitted { since_unix_ms, is_session }: Admitted) -> String {
        let mut told = self.desk.desk(since_unix_ms);
        told["erasures"] = self.desk.erasures();
        // The page cannot see its cookie, and offers to give it back.
        if is_session {
            told["access"] = "session".into();
        }
        told.to_string()
    }

    fn begin(&self, token: &str, headers: &HeaderMap) -> Result<HeaderValue, Closed> {
        self.expect_token()?;
        match self.access.is_token(token.as_bytes()) {
            true => Ok(self.sessions.begin(Instant::now(), headers)),
            false => Err(closed(&codes::DESK_TOKEN)),
        }
    }

    fn end(&self, headers: &HeaderMap) -> HeaderValue {
        self.sessions.end(Instant::now(), headers)
    }
}

impl OfDesk {
    /// Whatever a request says of where it comes from: only that there is a token keeps others out.
    fn expect_token(&self) -> Result<(), Closed> {
        if self.access.has_token() { Ok(()) } else { Err(closed(&codes::DESK_UNSET)) }
    }
}

fn closed(&Unserved { status, code, .. }: &'static Unserved) -> Closed {
    Closed { status, code }
}

/// Batch files of the node's store, and what is under way behind them.
struct OfNode {
    store: Arc<Store>,
    windows: Arc<dyn TellWindows>,
}

impl OfNode {
    /// Reads off the runtime's threads. The cause is for the operator: it names paths.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, String> {
        let store = Arc::clone(&self.store);
        let why = "the node's store cannot answer".to_owned();
        match tokio::task::spawn_blocking(move || read(&store)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::error!(error = with_causes(&error), "the store cannot answer the page");
                Err(why)
            }
            Err(error) => {
                let panic = panic_of_task(error);
                tracing::error!(panic, "an answer to the page ended early");
                Err(why)
            }
        }
    }
}

impl Files for OfNode {
    fn reach(&self) -> Found<'_, Reach> {
        // Memory first: what was stored since is told as that.
        let windows = self.windows.windows();
        Box::pin(self.read(move |store| reach(store, &windows)))
    }

    fn public_file(&self, number: BatchNumber) -> Found<'_, Option<Vec<u8>>> {
        Box::pin(self.read(move |store| store.public_bytes(number)))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use model::{Millis, Window, Word};

    use super::*;
    use crate::doors::http::WrongTokens;
    use crate::doors::reach::{OpenWindow, Windows};
    use crate::folder::store::tests::empty_batch;
    use crate::metrics::Metrics;

    /// A node with a window open behind its batches, whose desk shows which points are asked for.
    struct Told;

    impl TellWindows for Told {
        fn windows(&self) -> Windows {
            let open = Some(OpenWindow { number: 2, since_unix_ms: 7 });
            Windows { closed: 1, open, ..Windows::default() }
        }
    }

    impl TellDesk for Told {
        fn desk(&self, since_unix_ms: u64) -> serde_json::Value {
            serde_json::json!({ "since": since_unix_ms })
        }

        fn erasures(&self) -> serde_json::Value {
            serde_json::json!({ "waiting": 1 })
        }
    }

    fn wrong_tokens() -> WrongTokens {
        WrongTokens::new(Metrics::new().desk_tokens_wrong_total.clone())
    }

    fn behind(store: &Arc<Store>) -> Behind {
        let (windows, desk, store) = (Arc::new(Told), Arc::new(Told), Arc::clone(store));
        Behind { store, windows, desk, access: Access::read(None, wrong_tokens()).unwrap() }
    }

    #[tokio::test]
    async fn the_page_shows_what_the_store_has() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path()).unwrap());
        let at = |ms| Millis::new(ms).unwrap();
        let window = Window::new(at(1000), at(2000)).unwrap();
        let batch = empty_batch(1, [0; 32], Word::from_u64(7), window);
        store.save_batch(&batch, at(2000)).unwrap();
        let files = OfNode { store: store.clone(), windows: Arc::new(Told) };
        let reach = files.reach().await.unwrap();
        assert_eq!((reach.assembled, reach.settled), (BatchNumber(1), BatchNumber(0)));
        let states: Vec<_> = reach.under_way.iter().map(|one| one.state.name()).collect();
        assert_eq!(states, ["assembled", "open"]);
        let found = files.public_file(BatchNumber(1)).await.unwrap();
        assert_eq!(found, Some(batch.public.to_bytes()));
        assert_eq!(files.public_file(BatchNumber(2)).await.unwrap(), None);
        // Damaged: told without the path, and not shown.
        std::fs::write(folder.path().join("batches/000001/public.bin"), b"x").unwrap();
        let why = files.public_file(BatchNumber(1)).await.unwrap_err();
        assert!(!why.contains('/'), "{why}");
        let missing = folder.path().join("deployment.json");
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let chain: HttpUrl = "http://127.0.0.1:1".parse().unwrap();
        let refused = bind(listen, &missing, chain.clone(), behind(&store)).await.unwrap_err();
        assert!(matches!(refused, OperatorPageError::Deployment(_)), "{refused}");
        std::fs::write(&missing, r#"{"settlement":"0x00"}"#).unwrap();
        assert!(bind(listen, &missing, chain, behind(&store)).await.is_ok());
    }

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    /// A desk with this token's file, or without one.
    fn desk(token: Option<&str>) -> OfDesk {
        let folder = tempfile::tempdir().unwrap();
        let path = token.map(|token| {
            let path = folder.path().join("token");
            files::replace(&path, &[token.as_bytes()], Audience::Owner).unwrap();
            path
        });
        let access = Access::read(path.as_deref(), wrong_tokens()).unwrap();
        OfDesk { desk: Arc::new(Told), access, sessions: Sessions::new([7; 32], Instant::now()) }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_browser_gives_the_token_once_and_is_let_in_by_its_cookie() {
        let desk = desk(Some(TOKEN));
        let uri = Uri::from_static("/desk?since=5");
        let host = ("host", "node.example.org");
        let tell = |pairs: &[_]| {
            let admitted = desk.admit(&uri, &headers(pairs)).map_err(|why| why.code);
            admitted.map(|admitted| desk.tell(admitted))
        };
        assert_eq!(tell(&[host]), Err("desk-token"));
        assert_eq!(tell(&[("host", "127.0.0.1:9090")]), Err("desk-token"));
        for wrong in ["", "0123456789abcdef0123456789abcdeF", &format!("{TOKEN} ")] {
            let refused = desk.begin(wrong, &headers(&[host])).unwrap_err();
            assert_eq!((refused.status, refused.code), (401, "desk-token"), "{wrong}");
        }
        let set = desk.begin(TOKEN, &headers(&[host])).unwrap();
        let set = set.to_str().unwrap();
        assert!(set.ends_with("; Secure") && !set.contains(TOKEN), "{set}");
        let cookie = ("cookie", set.split(';').next().unwrap());
        let seen = r#"{"access":"session","erasures":{"waiting":1},"since":5}"#;
        assert_eq!(tell(&[host, cookie]).as_deref(), Ok(seen));
        let bearer = format!("Bearer {TOKEN}");
        let told = tell(&[host, ("authorization", &bearer)]);
        assert_eq!(told.as_deref(), Ok(r#"{"erasures":{"waiting":1},"since":5}"#));
        // By an ssh tunnel there is no TLS, and none is asked for.
        let near = desk.begin(TOKEN, &headers(&[("origin", "http://localhost:9090")])).unwrap();
        assert!(!near.to_str().unwrap().contains("Secure"));
        let odd = desk.admit(&Uri::from_static("/desk?since=x"), &headers(&[host, cookie]));
        assert_eq!(odd.unwrap_err().code, "since-malformed");
        desk.end(&headers(&[cookie]));
        assert_eq!(tell(&[host, cookie]), Err("desk-token"));
    }

    #[test]
    fn without_a_token_the_desk_beside_the_page_is_for_nobody_and_no_word_opens_it() {
        let desk = desk(None);
        let uri = Uri::from_static("/desk");
        // As a proxy passes a stranger's request on that writes the host and nothing else.
        for host in ["127.0.0.1:9090", "localhost", "node.example.org"] {
            let headers = headers(&[("host", host)]);
            let refused = desk.admit(&uri, &headers).unwrap_err();
            assert_eq!((refused.status, refused.code), (403, "desk-unset"), "{host}");
            for word in ["", TOKEN] {
                assert_eq!(desk.begin(word, &headers).unwrap_err().code, "desk-unset");
            }
        }
    }
}
