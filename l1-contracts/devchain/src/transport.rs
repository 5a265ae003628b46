use crate::{
    devchain::DevChain,
    error::RpcError,
    limits::{BATCH_MAX, REQUEST_BYTES_MAX},
};
use alloy::{
    network::EthereumWallet,
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::{
        client::RpcClient,
        json_rpc::{
            ErrorPayload, RequestPacket, Response, ResponsePacket, ResponsePayload,
            SerializedRequest,
        },
    },
    signers::local::PrivateKeySigner,
    transports::{TransportError, TransportErrorKind, TransportFut},
};
use serde_json::{Value, value::RawValue, value::to_raw_value};
use std::{
    task::{Context, Poll},
    time::Duration,
};

/// How often a provider asks for a receipt.
const POLL: Duration = Duration::from_millis(5);

/// The chain as programs speak to it. These verbs stand beside the transport and not beside the
/// chain, which answers requests and knows none of its doors.
impl DevChain {
    /// The transport of this chain, for clients that need other settings than
    /// [`provider`](Self::provider).
    pub fn transport(&self) -> EvmTransport {
        EvmTransport { chain: self.clone() }
    }

    /// The ordinary provider, with the wallet of `signer`, that polls every 5 ms. Its type is that
    /// of a provider for any other chain after `.erased()`. It asks the chain for each nonce, so
    /// that a refused transaction leaves no gap; one account sends one transaction after another.
    pub fn provider(&self, signer: PrivateKeySigner) -> DynProvider {
        let client = RpcClient::new(self.transport(), true).with_poll_interval(POLL);
        let fillers = ProviderBuilder::default()
            .with_gas_estimation()
            .with_simple_nonce_management()
            .fetch_chain_id();
        fillers.wallet(EthereumWallet::from(signer)).connect_client(client).erased()
    }
}

/// alloy's transport to a chain of this process: no socket, the same requests and answers.
/// Requests run on the blocking threads of the tokio runtime that polls them.
#[derive(Clone)]
pub struct EvmTransport {
    chain: DevChain,
}

impl EvmTransport {
    fn answer(&self, request: &SerializedRequest) -> Response {
        let payload = match self.result(request) {
            Ok(value) => ResponsePayload::Success(value),
            Err(error) => ResponsePayload::Failure(ErrorPayload::from(error)),
        };
        Response { id: request.id().clone(), payload }
    }

    fn result(&self, request: &SerializedRequest) -> Result<Box<RawValue>, RpcError> {
        let params = request.params().map_or("[]", RawValue::get);
        // The same limit as over HTTP, so that a program that works here works there.
        if params.len() > REQUEST_BYTES_MAX {
            let (max, found) = (REQUEST_BYTES_MAX as u64, params.len() as u64);
            return Err(RpcError::Limit { what: "bytes in one request", max, found });
        }
        let params: Vec<Value> =
            serde_json::from_str(params).map_err(|error| RpcError::Params(error.to_string()))?;
        let value = self.chain.handle(request.method(), &params)?;
        to_raw_value(&value).map_err(|error| RpcError::Internal(error.to_string()))
    }

    fn answer_all(&self, packet: &RequestPacket) -> Result<ResponsePacket, TransportError> {
        match packet {
            RequestPacket::Single(request) => Ok(ResponsePacket::Single(self.answer(request))),
            // There is no answer to a batch as a whole in JSON-RPC: the transport must fail.
            RequestPacket::Batch(requests) if requests.len() > BATCH_MAX => {
                let found = requests.len();
                let reason = format!("expected at most {BATCH_MAX} requests, found {found}");
                Err(TransportErrorKind::custom_str(&reason))
            }
            RequestPacket::Batch(requests) => {
                let answers = requests.iter().map(|request| self.answer(request));
                Ok(ResponsePacket::Batch(answers.collect()))
            }
        }
    }
}

impl tower::Service<RequestPacket> for EvmTransport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        // Always ready: the chain has no queue, and its callers are this program's own.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move {
            let running = transport.chain.begin_request().await;
            // The EVM and the disk would hold up every other task of this thread.
            let answer = tokio::task::spawn_blocking(move || {
                let answer = transport.answer_all(&packet);
                // In this order, so that who waits for the request finds the chain free.
                drop(transport);
                drop(running);
                answer
            });
            answer.await.map_err(TransportErrorKind::custom)?
        })
    }
}
