//! Reading and writing the settlement contract through a provider.

use std::sync::{Arc, Mutex};

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::network::Ethereum;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::sol_types::SolCall;
use alloy::transports::{RpcError, TransportErrorKind};
use model::{BatchHeader, ChainScope, HeaderError, Millis, Position, Word, escape};
use statement::batch::PublicFile;
use statement::fingerprint::Fingerprint;
use statement::proof::{PointError, VerifyingKey};
use thiserror::Error;

use crate::batch::{from_abi, to_abi};
use crate::bindings::{DEVELOPMENT_CHAINS, ISettlement, KeyCode, Settlement, bytecode_hash};
use crate::deployment::{Deployment, KeyRecord, SetupKind};
use crate::log_range::LogRange;

/// What went wrong on the way to the chain, or there.
#[derive(Debug, Error)]
pub enum EdgeError {
    /// The node did not answer, or not as expected: try again.
    #[error("the base chain did not answer as expected")]
    Transport(#[from] RpcError<TransportErrorKind>),
    /// The contract refused: trying the same again cannot help.
    #[error("the settlement contract refused: {reason}")]
    Refused {
        /// The decoded custom error, or the node's words.
        reason: String,
    },
    /// A transaction was mined but failed.
    #[error("expected transaction {hash} to succeed, it was reverted")]
    Reverted {
        /// Which.
        hash: B256,
    },
    /// Another chain answers.
    #[error("expected chain id {expected}, found {found}")]
    WrongChain {
        /// From the deployment file.
        expected: u64,
        /// From the node.
        found: u64,
    },
    /// There is no contract at all.
    #[error("expected a settlement contract at {address} on chain {chain_id}, found no code")]
    NoContract {
        /// Where.
        address: Address,
        /// On which chain.
        chain_id: u64,
    },
    /// There is another contract, or no key.
    #[error("expected {what} at {address}, found none or another")]
    WrongCode {
        /// What.
        what: &'static str,
        /// Where.
        address: Address,
    },
    /// A verifying key on chain is malformed.
    #[error("the verifying key at {address} is malformed")]
    Key {
        /// Where.
        address: Address,
        /// Why.
        source: PointError,
    },
    /// A key that is to be deployed is a development key. Found here, before anything is sent: the
    /// contract refuses it too, but only once the chain was paid for the code of every key.
    #[error(
        "expected no development key on chain {chain_id}, found one of {shape}: anybody can forge \
         its proofs; deploy keys of a ceremony (prover.setup = \"ceremony\"), or on a development \
         chain ({})",
        DEVELOPMENT_CHAINS.map(|id| id.to_string()).join(", ")
    )]
    DevelopmentKey {
        /// Shape of the key.
        shape: String,
        /// Which chain.
        chain_id: u64,
    },
    /// A value on chain is out of range.
    #[error("the settlement contract holds a value out of range: {0}")]
    Value(String),
    /// The header of an event is malformed.
    #[error("an event holds a malformed header")]
    Header(#[from] HeaderError),
    /// The node names more than can be read.
    #[error("expected at most {most} {what}, and the node of the base chain names more")]
    Beyond {
        /// Of what.
        what: &'static str,
        /// How many are read.
        most: u64,
    },
    /// The node says two things of one place.
    #[error("the chain's node gives two different logs at index {index} of block {block}")]
    TwoLogs {
        /// Number of the block.
        block: u64,
        /// Index of the log in the block.
        index: u64,
    },
    /// The chain's node lacks what it should have: try again.
    #[error("the base chain does not have yet, or no longer, what was asked for: {0}")]
    Pending(String),
}

impl EdgeError {
    /// Whether chain or contract are others than the deployment file says.
    pub fn contradicts_deployment(&self) -> bool {
        use EdgeError::{NoContract, WrongChain, WrongCode};
        matches!(self, WrongChain { .. } | WrongCode { .. } | NoContract { .. })
    }
}

/// What the contract stores.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettlementState {
    /// Number of the last settled batch; 0 before the first.
    pub number: u64,
    /// Consent root after it.
    pub root: Word,
    /// Hash of its header; the genesis hash before the first.
    pub head_hash: [u8; 32],
    /// End of its window.
    pub last_t1: Millis,
    /// Journal position of its close.
    pub journal_position: Position,
    /// Largest lateness of any batch, milliseconds.
    pub lateness_max_ms: u64,
}

/// Values that a deployment fixes for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Constants {
    /// Hash of the registrar's key.
    pub registrar: Word,
    /// Who signs receipts.
    pub receipt_signer: Address,
    /// Begin of the first window, milliseconds since 1900, as the contract has it: whether it is a
    /// time of 44 bits is the reader's to check.
    pub genesis_time: u64,
}

/// The code at a contract's address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Runtime {
    /// Whether it is that of the committed artefact, with any constants.
    pub is_ours: bool,
    /// keccak256 of it, constants included.
    pub hash: [u8; 32],
}

/// The settlement contract behind a provider.
#[derive(Clone, Debug)]
pub struct Edge {
    provider: DynProvider<Ethereum>,
    deployment: Deployment,
    log_range: Arc<Mutex<LogRange>>,
}

impl Edge {
    /// Checks that the provider's chain and contract are those of the deployment.
    ///
    /// # Errors
    /// [`EdgeError`] if they are not, or nobody answers.
    pub async fn connect(
        provider: DynProvider<Ethereum>,
        deployment: Deployment,
    ) -> Result<Edge, EdgeError> {
        let edge = Edge::unchecked(provider, deployment);
        edge.check().await?;
        Ok(edge)
    }

    /// Asks nobody: for whoever goes on without the chain, and [checks](Edge::check) before it
    /// believes what the provider says.
    pub fn unchecked(provider: DynProvider<Ethereum>, deployment: Deployment) -> Edge {
        Edge { provider, deployment, log_range: Arc::default() }
    }

    /// Checks that the provider's chain and contract are those of the deployment.
    ///
    /// # Errors
    /// [`EdgeError::WrongChain`] or [`EdgeError::WrongCode`] if they are not; any other if that
    /// cannot be told yet.
    pub async fn check(&self) -> Result<(), EdgeError> {
        // The chain before the contract: on another chain the address means nothing.
        let (expected, found) = (self.deployment.chain_id, self.provider.get_chain_id().await?);
        if expected != found {
            return Err(EdgeError::WrongChain { expected, found });
        }
        let address = self.deployment.settlement;
        // A call to an account without code succeeds with an empty answer: later errors would blame
        // the node.
        let code = self.provider.get_code_at(address).await?;
        if code.is_empty() {
            // A node that still reads the chain has no contract yet, and will have it.
            let (head, block) = (self.provider.get_block_number().await?, self.deployment.block);
            if head < block {
                let behind = format!("its node is at block {head}, the contract in block {block}");
                return Err(EdgeError::Pending(behind));
            }
            return Err(EdgeError::NoContract { address, chain_id: found });
        }
        // Another contract could begin with another root, take other keys, or be of the first
        // version: whatever it answers is not what the file is about.
        if keccak256(&code) != self.deployment.runtime_hash {
            return Err(EdgeError::WrongCode { what: "the code that was deployed", address });
        }
        Ok(())
    }

    /// The deployment.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Chain and contract.
    pub fn scope(&self) -> ChainScope {
        self.deployment.scope()
    }

    /// The provider.
    pub fn provider(&self) -> &DynProvider<Ethereum> {
        &self.provider
    }

    /// How many blocks of logs the provider serves at once, as far as is known.
    pub(crate) fn log_range(&self) -> &Mutex<LogRange> {
        &self.log_range
    }

    fn contract(&self) -> Settlement::SettlementInstance<DynProvider<Ethereum>> {
        Settlement::new(self.deployment.settlement, self.provider.clone())
    }

    /// What the contract stores now. A batch that settles between the calls gives a mixture:
    /// whoever needs one moment asks for [`Edge::state_of_head`], or until two answers are the
    /// same.
    ///
    /// # Errors
    /// [`EdgeError`] if nobody answers.
    pub async fn state(&self) -> Result<SettlementState, EdgeError> {
        self.state_at(BlockId::latest()).await
    }

    /// What the contract stores after one block, the head of the chain.
    ///
    /// # Errors
    /// [`EdgeError`] if nobody answers.
    pub async fn state_of_head(&self) -> Result<SettlementState, EdgeError> {
        let head = self.provider.get_block_by_number(BlockNumberOrTag::Latest).await?;
        let head = head.ok_or_else(|| EdgeError::Pending("the chain names no head".into()))?;
        // By its hash: a number may mean another block by the next call.
        self.state_at(BlockId::hash(head.header.hash)).await
    }

    /// Number of the last batch that is settled after this block.
    ///
    /// # Errors
    /// [`EdgeError`] if nobody answers.
    pub async fn settled_at(&self, block: BlockId) -> Result<u64, EdgeError> {
        small(self.contract().number().block(block).call().await.map_err(contract_error)?)
    }

    pub(crate) async fn state_at(&self, block: BlockId) -> Result<SettlementState, EdgeError> {
        let contract = self.contract();
        let root = contract.root().block(block).call().await.map_err(contract_error)?;
        let number = contract.number().block(block).call().await.map_err(contract_error)?;
        let head: B256 = contract.headHash().block(block).call().await.map_err(contract_error)?;
        let last_t1 = contract.lastT1().block(block).call().await.map_err(contract_error)?;
        let position = contract.journalPosition().block(block);
        let position = position.call().await.map_err(contract_error)?;
        let lateness = contract.latenessMax().block(block).call().await.map_err(contract_error)?;
        Ok(SettlementState {
            number: small(number)?,
            root: word(root)?,
            head_hash: head.0,
            last_t1: Millis::new(small(last_t1)?).map_err(|e| EdgeError::Value(e.to_string()))?,
            journal_position: Position(small(position)?),
            lateness_max_ms: small(lateness)?,
        })
    }

    /// Immutable values of the contract.
    ///
    /// # Errors
    /// [`EdgeError`] if nobody answers.
    pub async fn constants(&self) -> Result<Constants, EdgeError> {
        let contract = self.contract();
        let registrar: U256 = contract.registrar().call().await.map_err(contract_error)?;
        let signer: Address = contract.receiptSigner().call().await.map_err(contract_error)?;
        let time: U256 = contract.genesisTime().call().await.map_err(contract_error)?;
        Ok(Constants {
            registrar: word(registrar)?,
            receipt_signer: signer,
            genesis_time: small(time)?,
        })
    }

    /// Who may settle.
    ///
    /// # Errors
    /// [`EdgeError`] if nobody answers.
    pub async fn sequencer(&self) -> Result<Address, EdgeError> {
        self.contract().sequencer().call().await.map_err(contract_error)
    }

    /// The code at the contract's address.
    ///
    /// # Errors
    /// [`EdgeError`] if nobody answers.
    pub async fn runtime(&self) -> Result<Runtime, EdgeError> {
        let code = self.provider.get_code_at(self.deployment.settlement).await?;
        let is_ours = is_instance(&code, &Settlement::DEPLOYED_BYTECODE);
        Ok(Runtime { is_ours, hash: keccak256(&code).0 })
    }

    /// Where the contract finds the words of the verifying key with this id; zero if it knows none.
    ///
    /// # Errors
    /// [`EdgeError`] if nobody answers.
    pub async fn key_code(&self, id: [u8; 32]) -> Result<Address, EdgeError> {
        Ok(self.contract().keys(B256::from(id)).call().await.map_err(contract_error)?.code)
    }

    /// The verifying key with this id as the chain holds it, and its circuit number.
    ///
    /// # Errors
    /// [`EdgeError`] if the contract knows no such key or its words are malformed.
    pub async fn verifying_key(&self, id: [u8; 32]) -> Result<(VerifyingKey, u8), EdgeError> {
        let found = self.contract().keys(B256::from(id)).call().await.map_err(contract_error)?;
        let address = found.code;
        // An id that the contract does not know has address zero, where there is no code.
        let code = self.provider.get_code_at(address).await?;
        let missing = EdgeError::WrongCode { what: "a verifying key", address };
        // A STOP byte stands before the words, so that nobody can call the key's account.
        let words = code.strip_prefix(&[0]).filter(|words| words.len().is_multiple_of(32));
        let Some(words) = words.filter(|words| !words.is_empty()) else { return Err(missing) };
        let words: Vec<[u8; 32]> = words.as_chunks::<32>().0.to_vec();
        let key = VerifyingKey::from_words(&words);
        let key = key.map_err(|source| EdgeError::Key { address, source })?;
        Ok((key, found.circuit))
    }

    /// The calldata that settles these batches in one transaction.
    pub fn calldata(&self, files: &[PublicFile]) -> Bytes {
        let batches = files.iter().map(to_abi).collect();
        Settlement::settleCall { batches }.abi_encode().into()
    }

    /// The transaction that settles these batches, without sender, nonce, fees and gas.
    pub fn transaction(&self, files: &[PublicFile]) -> TransactionRequest {
        TransactionRequest::default()
            .to(self.deployment.settlement)
            .input(self.calldata(files).into())
    }

    /// Runs `settle` without sending it: what it would cost in gas.
    ///
    /// # Errors
    /// [`EdgeError::Refused`] with the contract's reason, or a transport error.
    pub async fn simulate(&self, files: &[PublicFile]) -> Result<u64, EdgeError> {
        self.simulate_at(files, BlockId::latest()).await
    }

    /// [`Edge::simulate`] on what is after this block.
    ///
    /// # Errors
    /// As [`Edge::simulate`].
    pub async fn simulate_at(
        &self,
        files: &[PublicFile],
        block: BlockId,
    ) -> Result<u64, EdgeError> {
        // As the sequencer, whoever asks: the contract looks at the sender first.
        let request = self.transaction(files).from(self.deployment.sequencer);
        self.provider.estimate_gas(request).block(block).await.map_err(refusal)
    }

    /// Runs calldata again as it was mined, for the reason of its failure.
    ///
    /// # Errors
    /// [`EdgeError::Refused`] with the contract's reason, or a transport error.
    pub async fn call_again(
        &self,
        calldata: Bytes,
        gas: u64,
        block: BlockId,
    ) -> Result<(), EdgeError> {
        let request = TransactionRequest::default()
            .from(self.deployment.sequencer)
            .to(self.deployment.settlement)
            .input(calldata.into())
            .gas_limit(gas);
        self.provider.call(request).block(block).await.map(drop).map_err(refusal)
    }
}

/// What a deployment is made of.
#[derive(Clone, Debug)]
pub struct DeployConfig {
    /// Who may settle.
    pub sequencer: Address,
    /// Hash of the registrar's key.
    pub registrar: Word,
    /// Who signs receipts.
    pub receipt_signer: Address,
    /// Begin of the first window.
    pub genesis_time: Millis,
    /// How the keys were made.
    pub setup: SetupKind,
    /// The verifying keys.
    pub keys: Vec<KeyWords>,
}

/// A verifying key to deploy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyWords {
    /// Name of its shape.
    pub shape: String,
    /// 1 for C1, 2 for C2.
    pub circuit: u8,
    /// Its words on chain.
    pub words: Vec<[u8; 32]>,
}

/// Deploys keys and settlement contract with the provider's default signer.
///
/// # Errors
/// [`EdgeError::DevelopmentKey`] before anything is sent; else [`EdgeError`] if the chain refuses
/// or does not answer.
pub async fn deploy(
    provider: &DynProvider<Ethereum>,
    config: DeployConfig,
) -> Result<Deployment, EdgeError> {
    let chain_id = provider.get_chain_id().await?;
    refuse_development_keys(chain_id, &config.keys)?;
    let mut keys = Vec::new();
    // The keys first: the contract's constructor reads their words from the chain.
    for KeyWords { shape, circuit, words } in &config.keys {
        let id = keccak256(words.concat());
        let words = words.iter().map(|word| U256::from_be_bytes(*word)).collect();
        let code = KeyCode::deploy(provider.clone(), words).await;
        let code = *code.map_err(contract_error)?.address();
        keys.push(KeyRecord { shape: shape.clone(), circuit: *circuit, id, code });
    }
    let entries =
        keys.iter().map(|key| ISettlement::KeyEntry { code: key.code, circuit: key.circuit });
    let constructor = ISettlement::Config {
        sequencer: config.sequencer,
        registrar: U256::from_be_bytes(config.registrar.to_bytes()),
        receiptSigner: config.receipt_signer,
        genesisTime: U256::from(config.genesis_time.get()),
        keys: entries.collect(),
    };
    let contract = Settlement::deploy(provider.clone(), constructor).await;
    let settlement = *contract.map_err(contract_error)?.address();
    let runtime = provider.get_code_at(settlement).await?;
    let deployment = Deployment {
        schema: Deployment::SCHEMA.into(),
        chain_id,
        settlement,
        // Of the creation code: the code on chain holds immutables and differs with each
        // deployment.
        code_hash: bytecode_hash(),
        // The creation is in this block or before: scanning from it would miss nothing settled.
        block: provider.get_block_number().await?,
        runtime_hash: keccak256(&runtime),
        genesis_time: config.genesis_time.get(),
        registrar: config.registrar.to_hex(),
        sequencer: config.sequencer,
        receipt_signer: config.receipt_signer,
        setup: config.setup,
        keys,
        // Set below, from the fields above.
        fingerprint: Fingerprint::default(),
    };
    deployment.fingerprinted().map_err(|error| EdgeError::Value(error.to_string()))
}

/// By the keys and not by how the configuration says they were made, as the contract decides.
fn refuse_development_keys(chain_id: u64, keys: &[KeyWords]) -> Result<(), EdgeError> {
    if DEVELOPMENT_CHAINS.contains(&chain_id) {
        return Ok(());
    }
    // Words that are no key are left to the contract, which says what is wrong with them.
    let is_dev = |key: &&KeyWords| {
        VerifyingKey::from_words(&key.words).is_ok_and(|found| found.is_dev_insecure())
    };
    match keys.iter().find(is_dev) {
        Some(key) => Err(EdgeError::DevelopmentKey { shape: key.shape.clone(), chain_id }),
        None => Ok(()),
    }
}

/// The headers that the calldata of a `settle` carries, in order.
///
/// # Errors
/// [`EdgeError::Value`] or [`EdgeError::Header`] for other calldata.
pub fn headers_of_calldata(calldata: &[u8]) -> Result<Vec<BatchHeader>, EdgeError> {
    let call = Settlement::settleCall::abi_decode(calldata);
    let call = call.map_err(|error| EdgeError::Value(escape(&error.to_string())))?;
    Ok(call.batches.iter().map(|batch| from_abi(&batch.header)).collect::<Result<_, _>>()?)
}

/// Whether a receipt says success.
///
/// # Errors
/// [`EdgeError::Reverted`] if it does not.
pub fn expect_success(receipt: &TransactionReceipt) -> Result<(), EdgeError> {
    match receipt.status() {
        true => Ok(()),
        false => Err(EdgeError::Reverted { hash: receipt.transaction_hash }),
    }
}

/// Whether `code` is `template` with its immutables filled in. An immutable is 32 zero bytes in the
/// template, pushed as a word (0x7f).
fn is_instance(code: &[u8], template: &[u8]) -> bool {
    const PUSH32: u8 = 0x7f;
    let immutable = |at: usize| {
        template[at] == PUSH32 && template.get(at + 1..at + 33).is_some_and(|w| w == [0; 32])
    };
    // The compiler leaves zeros where the constructor writes immutables, so the code on chain is
    // never equal to the artefact; all other bytes are.
    let mut at = 0;
    while at < template.len() && code.get(at) == Some(&template[at]) {
        at += if immutable(at) { 33 } else { 1 };
    }
    at == template.len() && code.len() == template.len()
}

pub(crate) fn small(value: U256) -> Result<u64, EdgeError> {
    value.try_into().map_err(|_| EdgeError::Value(format!("expected below 2^64, found {value}")))
}

fn word(value: U256) -> Result<Word, EdgeError> {
    Word::from_bytes(value.to_be_bytes()).map_err(|error| EdgeError::Value(error.to_string()))
}

fn contract_error(error: alloy::contract::Error) -> EdgeError {
    use alloy::contract::Error;
    match error {
        Error::TransportError(error) => refusal(error),
        Error::PendingTransactionError(error) => EdgeError::Pending(escape(&error.to_string())),
        // What is left says that no such contract is there: trying again cannot help.
        other => EdgeError::Refused { reason: escape(&other.to_string()) },
    }
}

/// A revert with its decoded custom error, or the transport's error.
fn refusal(error: RpcError<TransportErrorKind>) -> EdgeError {
    let Some(payload) = error.as_error_resp() else { return EdgeError::Transport(error) };
    let decoded = payload.as_decoded_interface_error::<Settlement::SettlementErrors>();
    // A node that ran the call and one that could not must not look the same: trying again helps
    // with the second only.
    match decoded {
        Some(reason) => EdgeError::Refused { reason: format!("{reason:?}") },
        None if payload.code == 3 => EdgeError::Refused { reason: escape(&payload.message) },
        None => EdgeError::Transport(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_an_instance_whatever_its_immutables_and_nothing_else_is() {
        let template = [&[1, 0x7f][..], &[0; 32], &[2, 3]].concat();
        let filled = [&[1, 0x7f][..], &[9; 32], &[2, 3]].concat();
        assert!(is_instance(&template, &template) && is_instance(&filled, &template));
        for at in [0, 1, 34, 35] {
            let mut other = filled.clone();
            other[at] ^= 1;
            assert!(!is_instance(&other, &template), "byte {at}");
        }
        assert!(!is_instance(&filled[..35], &template));
        assert!(!is_instance(&[&filled[..], &[0]].concat(), &template));
    }

    #[test]
    fn the_artefact_has_the_immutables_that_the_contract_declares() {
        let code = &Settlement::DEPLOYED_BYTECODE;
        let holes = code.windows(33).filter(|w| w[0] == 0x7f && w[1..] == [0; 32]).count();
        assert!(holes >= 5, "found {holes} places of immutables");
    }
}
