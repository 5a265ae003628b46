//! The operator's page: the batches of this node, shown by whoever runs it.
//!
//! It is the page that an auditor serves, and says less: who serves a page could change it, so here
//! nothing is *verified*. It takes nothing, and shows what the HTTP service and the chain tell
//! anybody.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use files::Audience;
use l1_contracts::{HttpUrl, HttpUrlError};
use model::{BatchNumber, with_causes};
use page_server::{Files, Found, PageError, PageServer, Reach, Shown, Trust};
use thiserror::Error;

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
    /// The server does not start.
    #[error("the page is not served")]
    Server(#[from] PageError),
}

/// Binds the page of a node.
///
/// # Errors
/// [`OperatorPageError`].
pub async fn bind(
    listen: SocketAddr,
    deployment: &Path,
    chain: HttpUrl,
    store: Arc<Store>,
) -> Result<PageServer, OperatorPageError> {
    let deployment = files::read(deployment, DEPLOYMENT_BYTES_MAX, Audience::Public)
        .map_err(OperatorPageError::Deployment)?;
    let (chains, files) = (vec![chain], Box::new(OfStore(store)));
    let shown = Shown { trust: Trust::Operator, deployment, chains, files };
    Ok(PageServer::bind(listen, shown).await?)
}

/// Batch files of the node's store.
struct OfStore(Arc<Store>);

impl OfStore {
    /// Reads off the runtime's threads. The cause is for the operator: it names paths.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, String> {
        let store = Arc::clone(&self.0);
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

impl Files for OfStore {
    fn reach(&self) -> Found<'_, Reach> {
        Box::pin(self.read(|store| {
            let assembled = store.last_assembled()?.map_or(BatchNumber(0), |(number, _)| number);
            Ok(Reach { assembled, settled: store.last_settled()? })
        }))
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
    use crate::folder::store::tests::empty_batch;

    #[tokio::test]
    async fn the_page_shows_what_the_store_has() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path()).unwrap());
        let at = |ms| Millis::new(ms).unwrap();
        let window = Window::new(at(1000), at(2000)).unwrap();
        let batch = empty_batch(1, [0; 32], Word::from_u64(7), window);
        store.save_batch(&batch, at(2000)).unwrap();
        let files = OfStore(store.clone());
        let reach = files.reach().await.unwrap();
        assert_eq!(reach, Reach { assembled: BatchNumber(1), settled: BatchNumber(0) });
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
        let refused = bind(listen, &missing, chain.clone(), store.clone()).await.unwrap_err();
        assert!(matches!(refused, OperatorPageError::Deployment(_)), "{refused}");
        std::fs::write(&missing, r#"{"settlement":"0x00"}"#).unwrap();
        assert!(bind(listen, &missing, chain, store).await.is_ok());
    }
}
