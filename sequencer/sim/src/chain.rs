//! The base chain of a run: the embedded one with the real contract, behind a node of it that does
//! not answer for a while, loses what it took, or has blocks taken back.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use alloy::network::EthereumWallet;
use alloy::primitives::{Address, B256, keccak256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{
    ErrorPayload, RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest,
};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use devchain::{DevChain, Genesis, Limits};
use l1_contracts::{DeployConfig, Deployment, Edge, EdgeError, SettledBatch, SetupKind, deploy};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use statement::proof::PointError;
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use wire::signer_address;

use crate::clock::{BEGIN_UNIX_MS, elapsed_ms};
use crate::keys::{contract, genesis_time, key_hash, receipt_key, registrar, settling_key};
use crate::lock::lock;
use crate::stub::StubKeys;

/// How often a receipt of the deployment is asked for.
const POLL: Duration = Duration::from_millis(1);

/// Blocks upon one until it is final.
const FINALITY: u64 = 4;

/// A chain that cannot be had.
#[derive(Debug, Error)]
pub enum ChainError {
    /// The program has no shapes.
    #[error("expected the shapes of a node with its defaults, found one missing")]
    Shapes,
    /// A stub of a key.
    #[error("a key cannot be made")]
    Key(#[from] PointError),
    /// What asks it runs on.
    #[error("no runtime for questions to the chain")]
    Runtime(#[from] std::io::Error),
    /// The chain.
    #[error("the chain does not answer as expected")]
    Edge(#[from] EdgeError),
    /// The contract is elsewhere than the cast believes.
    #[error("expected the contract at {expected}, found it at {found}")]
    Elsewhere {
        /// Where everybody believes it to be.
        expected: Address,
        /// Where it is.
        found: Address,
    },
}

/// The chain, which nobody of a run can crash.
pub(crate) struct ChainSite {
    node: ChainNode,
    deployment: Deployment,
    pub(crate) keys: StubKeys,
    /// For questions from outside of the network.
    runtime: Runtime,
    /// Blocks of the deployment.
    deployed: u64,
    /// The most blocks that there were: what is far enough below is final.
    longest: Mutex<u64>,
}

impl ChainSite {
    /// A chain with the contract on it.
    pub(crate) fn new() -> Result<ChainSite, ChainError> {
        let keys = StubKeys::new().ok_or(ChainError::Shapes)??;
        let genesis = Genesis::funding([settling_key().address()]);
        let seconds = Arc::new(|| (BEGIN_UNIX_MS + elapsed_ms()) / 1_000);
        let chain = DevChain::in_memory(genesis, Limits::default(), seconds);
        let node = ChainNode { chain, sky: Arc::default() };
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let config = DeployConfig {
            sequencer: settling_key().address(),
            registrar: key_hash(&registrar()),
            receipt_signer: Address::from(signer_address(&receipt_key()).0),
            genesis_time: genesis_time(),
            setup: SetupKind::DevInsecure,
            keys: keys.words(),
        };
        let provider = node.provider();
        let deployment = runtime.block_on(deploy(&provider, config))?;
        let (expected, found) = (contract(), deployment.settlement);
        if expected != found {
            return Err(ChainError::Elsewhere { expected, found });
        }
        node.chain.set_finality(FINALITY);
        let deployed = deployment.block;
        let longest = Mutex::new(deployed);
        Ok(ChainSite { node, deployment, keys, runtime, deployed, longest })
    }

    /// The contract, as a node asks for it.
    pub(crate) fn edge(&self) -> Edge {
        Edge::unchecked(self.node.provider(), self.deployment.clone())
    }

    /// Whether it answers.
    pub(crate) fn answer(&self, answers: bool) {
        lock(&self.node.sky).silent = !answers;
    }

    /// Takes so many more transactions, and loses them.
    pub(crate) fn lose(&self, transactions: u32) {
        lock(&self.node.sky).loses = transactions;
    }

    /// Takes back the last blocks, as far as they are not final; how many. Nobody gives their
    /// transactions in again but who sent them.
    pub(crate) fn take_back(&self, blocks: u64) -> Result<u64, ChainError> {
        let head = self.head()?;
        let mut longest = lock(&self.longest);
        *longest = head.max(*longest);
        let least = self.deployed.max(longest.saturating_sub(FINALITY));
        Ok(self.remove(blocks.min(head.saturating_sub(least))))
    }

    /// Takes back the last block, final or not: no chain does.
    pub(crate) fn break_finality(&self) -> u64 {
        self.remove(1)
    }

    fn remove(&self, blocks: u64) -> u64 {
        match self.node.chain.remove_blocks(blocks) {
            Ok(_) => blocks,
            Err(_) => 0,
        }
    }

    fn head(&self) -> Result<u64, ChainError> {
        let provider = self.node.provider();
        let head = self.runtime.block_on(async { provider.get_block_number().await });
        Ok(head.map_err(EdgeError::from)?)
    }

    /// Every batch that it settled, in order.
    ///
    /// # Errors
    /// [`ChainError`] if it does not answer.
    pub(crate) fn settled(&self) -> Result<Vec<SettledBatch>, ChainError> {
        let edge = self.edge();
        Ok(self.runtime.block_on(edge.settled_batches())?)
    }
}

/// What the chain's node does to what it is asked.
#[derive(Debug, Default)]
struct Sky {
    silent: bool,
    loses: u32,
}

/// A transport to the chain within this process: it answers at once, on the thread of who asks,
/// because threads come in no order that a seed decides.
#[derive(Clone)]
struct ChainNode {
    chain: DevChain,
    sky: Arc<Mutex<Sky>>,
}

impl ChainNode {
    fn provider(&self) -> DynProvider {
        let client = RpcClient::new(self.clone(), true).with_poll_interval(POLL);
        let fillers = ProviderBuilder::default()
            .with_gas_estimation()
            .with_simple_nonce_management()
            .fetch_chain_id();
        fillers.wallet(EthereumWallet::from(settling_key())).connect_client(client).erased()
    }

    /// The answer to a transaction that is lost.
    fn lost(&self, method: &str, params: &[Value]) -> Option<Value> {
        let mut sky = lock(&self.sky);
        if method != "eth_sendRawTransaction" || sky.loses == 0 {
            return None;
        }
        sky.loses -= 1;
        let raw = params.first()?.as_str()?.trim_start_matches("0x");
        let hash: B256 = keccak256(hex::decode(raw).ok()?);
        Some(json!(hash))
    }

    fn answer(&self, request: &SerializedRequest) -> Response {
        let params = request.params().map_or("[]", RawValue::get);
        let refused =
            |words: String| ErrorPayload { code: -32_602, message: words.into(), data: None };
        let answer = serde_json::from_str::<Vec<Value>>(params)
            .map_err(|error| refused(error.to_string()))
            .and_then(|params| match self.lost(request.method(), &params) {
                Some(hash) => Ok(hash),
                None => self.chain.handle(request.method(), &params).map_err(ErrorPayload::from),
            })
            .and_then(|value| to_raw_value(&value).map_err(|error| refused(error.to_string())));
        let payload = match answer {
            Ok(value) => ResponsePayload::Success(value),
            Err(error) => ResponsePayload::Failure(error),
        };
        Response { id: request.id().clone(), payload }
    }
}

impl tower::Service<RequestPacket> for ChainNode {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let node = self.clone();
        Box::pin(async move {
            if lock(&node.sky).silent {
                return Err(TransportErrorKind::custom_str("the chain's node does not answer"));
            }
            Ok(match &packet {
                RequestPacket::Single(request) => ResponsePacket::Single(node.answer(request)),
                RequestPacket::Batch(requests) => {
                    let answers = requests.iter().map(|request| node.answer(request));
                    ResponsePacket::Batch(answers.collect())
                }
            })
        })
    }
}
