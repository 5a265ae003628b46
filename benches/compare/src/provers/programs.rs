//! Provers that are programs of others and read a `.zkey` and a `.wtns`: started anew for each
//! proof, as their users do. Both are under licences (GPL, LGPL) that keep them from being linked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use crate::peer::{Made, Opened, Peer, Unopened};
use crate::request::Request;
use crate::subject::{self, Exported};

/// The version of snarkjs that everything here is compared with, and what it depends on.
const PACKAGE: &str = include_str!("../../../../prover/tools/package.json");
const PACKAGE_LOCK: &str = include_str!("../../../../prover/tools/package-lock.json");

/// A program and what stands between its name and the files.
struct Program {
    path: PathBuf,
    arguments: Vec<String>,
    files: Exported,
    /// Where it writes its proof.
    folder: PathBuf,
}

/// snarkjs on node, installed once into the cache.
pub(super) fn open_snarkjs(request: &Request) -> Result<Opened, Unopened> {
    let folder = request.cache.folder("snarkjs")?;
    let package = folder.join("node_modules/snarkjs/package.json");
    // npm writes this file last.
    if !folder.join("node_modules/.package-lock.json").exists() {
        install(&folder)?;
    }
    let text = fs::read_to_string(&package).with_context(|| package.display().to_string())?;
    let package: Value = serde_json::from_str(&text).context("snarkjs's package.json")?;
    let version = package["version"].as_str().unwrap_or("unknown").to_owned();
    let cli = folder.join("node_modules/snarkjs/build/cli.cjs");
    let arguments = vec![cli.display().to_string(), "groth16".to_owned(), "prove".to_owned()];
    open(request, "node".into(), arguments, version)
}

fn install(folder: &Path) -> Result<(), Unopened> {
    subject::write(&folder.join("package.json"), PACKAGE.as_bytes())?;
    subject::write(&folder.join("package-lock.json"), PACKAGE_LOCK.as_bytes())?;
    let npm = Command::new("npm")
        .args(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .output();
    match npm {
        Err(error) => Err(Unopened::Missing(format!("npm: {error}"))),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr);
            let last = words.lines().last().unwrap_or("it says nothing");
            Err(Unopened::Missing(format!("npm ci ended with {}: {last}", output.status)))
        }
    }
}

/// rapidsnark, if the caller has it.
pub(super) fn open_rapidsnark(request: &Request) -> Result<Opened, Unopened> {
    let path = request.programs.rapidsnark.clone();
    let path = path.ok_or_else(|| Unopened::Missing("no --rapidsnark PATH was given".into()))?;
    // It does not tell its version.
    open(request, path, vec![], "unknown".to_owned())
}

fn open(
    request: &Request,
    path: PathBuf,
    arguments: Vec<String>,
    version: String,
) -> Result<Opened, Unopened> {
    if let Err(error) = Command::new(&path).arg("--version").output() {
        return Err(Unopened::Missing(format!("{}: {error}", path.display())));
    }
    let folder = request.cache.folder(&format!("proofs/{}-{}", request.subject, request.prover))?;
    let files = request.cache.exported(request.subject)?;
    Ok(Opened::program(Program { path, arguments, files, folder }, version))
}

impl Peer for Program {
    fn prove(&mut self) -> anyhow::Result<Made> {
        let [proof, public] = ["proof.json", "public.json"].map(|name| self.folder.join(name));
        // snarkjs ends with success in some failures: then no new file is there.
        match fs::remove_file(&proof) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| proof.display().to_string());
            }
            _ => {}
        }
        let output = Command::new(&self.path)
            .args(&self.arguments)
            .args([&self.files.zkey, &self.files.wtns, &proof, &public])
            .output()
            .with_context(|| self.path.display().to_string())?;
        let said = || [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
        anyhow::ensure!(output.status.success(), "ended with {}: {}", output.status, said());
        let text = fs::read(&proof).with_context(|| format!("no proof, and says: {}", said()))?;
        Ok(Made { proof: Some(serde_json::from_slice(&text)?), spent: None })
    }
}
