//! Which deployment the gateways are of: one for all of them, and the one that is meant.

use std::path::{Path, PathBuf};

use client::{Deployment, Fingerprint, IdentityError, OtherDeployment};
use model::ExitCode;
use thiserror::Error;

/// Identities that are not of one deployment, or not of the one that is meant.
#[derive(Debug, Error)]
pub enum DeploymentError {
    /// A folder's deployment file cannot be used.
    #[error("the identity {folder} cannot be used")]
    Identity {
        /// Which folder.
        folder: PathBuf,
        /// Why not.
        source: IdentityError,
    },
    /// It is of another deployment than was told.
    #[error("the identity {folder} is of another deployment")]
    Other {
        /// Which folder.
        folder: PathBuf,
        /// Both fingerprints.
        source: OtherDeployment,
    },
    /// Two identities are of two deployments: no node is of both.
    #[error(
        "expected identities of one deployment, found {folder} of {found} beside others of \
         {first}: give those of one node"
    )]
    Several {
        /// The folder that differs.
        folder: PathBuf,
        /// The deployment of the folders before it.
        first: Fingerprint,
        /// Its own.
        found: Fingerprint,
    },
    /// There is no identity.
    #[error("expected the identity of a gateway, found none")]
    None,
}

impl DeploymentError {
    /// How a program ends that met it.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            DeploymentError::Other { .. } => ExitCode::Failed,
            _ => ExitCode::Usage,
        }
    }
}

/// The deployment that all folders are of, which is the expected one if somebody was told one.
///
/// # Errors
/// [`DeploymentError`] names the first folder that is not of it.
pub fn find_deployment<'a>(
    folders: impl IntoIterator<Item = &'a Path>,
    expected: Option<Fingerprint>,
) -> Result<Fingerprint, DeploymentError> {
    let mut first = None;
    for folder in folders {
        let of_folder = || folder.to_owned();
        let deployment = Deployment::load(folder)
            .map_err(|source| DeploymentError::Identity { folder: of_folder(), source })?;
        let found = deployment.fingerprint;
        if let Some(expected) = expected {
            found
                .expect(expected)
                .map_err(|source| DeploymentError::Other { folder: of_folder(), source })?;
        }
        match *first.get_or_insert(found) {
            first if first == found => {}
            first => return Err(DeploymentError::Several { folder: of_folder(), first, found }),
        }
    }
    first.ok_or(DeploymentError::None)
}
