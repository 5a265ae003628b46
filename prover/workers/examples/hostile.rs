//! A worker that answers what it should not, for `prover/tools/nats-check`: takes a job for each
//! trick that it is told, and says what the node made of it.
//!
//! ```console
//! $ hostile nats://127.0.0.1:4222 workers.key keys garbage foreign replay
//! garbage: over
//! ```

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ark_bn254::Fr;
use ark_ff::{Field, UniformRand};
use jobs::{Answer, Beat, Columns, JobHead, Outcome, WorkerName, WorkersSecret};
use rand::rngs::OsRng;
use statement::proof::Proof;
use tokio::time::sleep;
use workers::{Prove, Provers, ProversConfig, Said, Server, TakingEnd};

/// A valid proof of one job, to be shown for another.
type ProofBytes = Box<[u8; Proof::BYTES]>;

struct Hostile {
    end: TakingEnd,
    secret: WorkersSecret,
    name: WorkerName,
    provers: Provers,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, secret, keys, tricks @ ..] = arguments.as_slice() else {
        bail!("expected SERVER SECRET KEYS TRICK...");
    };
    let server = Server { address: address.parse()?, login: None, authority: None };
    let mut foreign = None;
    for (number, trick) in tricks.iter().enumerate() {
        // A name for each: what fails is not given to the same worker again.
        let name: WorkerName = format!("hostile-{number}").parse()?;
        let secret = WorkersSecret::read(Path::new(secret))?;
        let end = TakingEnd::connect(&server, &secret.public(), &name).await?;
        let provers = Provers::new(ProversConfig::dev_insecure(keys));
        let hostile = Hostile { end, secret, name, provers };
        hostile.play(trick, &mut foreign).await.with_context(|| trick.clone())?;
    }
    Ok(())
}

impl Hostile {
    async fn play(&self, trick: &str, foreign: &mut Option<ProofBytes>) -> anyhow::Result<()> {
        let (head, columns) = self.take().await?;
        let expected = match trick {
            // Taken, and never heard of again but for beats, until this is killed.
            "hold" => return self.hold(&head).await,
            "garbage" => {
                let said = self.answer(&head, Box::new([0xab; Proof::BYTES])).await;
                (said, Said::Over)
            }
            "truncated" => {
                let whole = self.encode(&head, Box::new([0xab; Proof::BYTES]));
                let half = whole[..whole.len() / 2].to_vec();
                // What is no answer gets no verdict; the lease goes on until it expires.
                (self.end.say(head.reply_to, half).await, Said::Nothing)
            }
            "foreign" => {
                let proof = foreign.take().context("expected `honest` before")?;
                (self.answer(&head, proof).await, Said::Over)
            }
            "other-input" => {
                let mut other = head.clone();
                other.input_hash[0] ^= 1;
                (self.answer(&other, self.prove(&head, &columns)?).await, Said::Over)
            }
            "rerandomised" => {
                let proof = rerandomise(&*self.prove(&head, &columns)?)?;
                (self.answer(&head, proof).await, Said::Holds)
            }
            "replay" => {
                let proof = self.prove(&head, &columns)?;
                ensure!(
                    self.answer(&head, proof.clone()).await == Said::Holds,
                    "expected it taken"
                );
                (self.answer(&head, proof).await, Said::Over)
            }
            "late" => {
                let proof = self.prove(&head, &columns)?;
                sleep(2 * Duration::from_millis(head.lease.lasts_ms.into())).await;
                (self.answer(&head, proof).await, Said::Over)
            }
            "honest" => {
                let proof = self.prove(&head, &columns)?;
                *foreign = Some(proof.clone());
                (self.answer(&head, proof).await, Said::Holds)
            }
            other => bail!("no such trick: {other}"),
        };
        let (found, expected) = expected;
        ensure!(found == expected, "expected the node to say {expected:?}, found {found:?}");
        println!("{trick}: {found:?}");
        Ok(())
    }

    async fn take(&self) -> anyhow::Result<(JobHead, Columns)> {
        loop {
            let Some(taken) = self.end.take().await? else { continue };
            let (head, columns) = jobs::decode(&self.secret.open(&taken.sealed)?)?;
            taken.keep().await;
            if self.beat(&head).await == Said::Holds {
                return Ok((head, columns));
            }
        }
    }

    async fn beat(&self, head: &JobHead) -> Said {
        let beat = Beat { token: head.lease.token, worker: self.name.clone() };
        self.end.say(head.reply_to, beat.encode()).await
    }

    async fn hold(&self, head: &JobHead) -> anyhow::Result<()> {
        println!("hold: Holds");
        while self.beat(head).await == Said::Holds {
            sleep(Duration::from_millis(u64::from(head.lease.lasts_ms) / 3)).await;
        }
        bail!("expected to be killed while the lease holds")
    }

    fn prove(&self, head: &JobHead, columns: &Columns) -> anyhow::Result<ProofBytes> {
        match self.provers.prove(head, columns) {
            Outcome::Proven { proof, .. } => Ok(proof),
            Outcome::Failed(because) => Err(because.into()),
        }
    }

    fn encode(&self, head: &JobHead, proof: ProofBytes) -> Vec<u8> {
        let (token, input_hash) = (head.lease.token, head.input_hash);
        let outcome = Outcome::Proven { proof, took_ms: 0 };
        Answer { token, input_hash, worker: self.name.clone(), outcome }.encode()
    }

    async fn answer(&self, head: &JobHead, proof: ProofBytes) -> Said {
        self.end.say(head.reply_to, self.encode(head, proof)).await
    }
}

/// Another proof of the same statement, as anybody can make it: A times r, B over r.
fn rerandomise(proof: &[u8; Proof::BYTES]) -> anyhow::Result<ProofBytes> {
    let ark = Proof::decode(proof)?.to_ark();
    let r = Fr::rand(&mut OsRng);
    let over = r.inverse().context("expected a random number other than zero")?;
    let (a, b) = ((ark.a * r).into(), (ark.b * over).into());
    Ok(Box::new(Proof::from_ark(&ark_groth16::Proof { a, b, c: ark.c }).encode()))
}
