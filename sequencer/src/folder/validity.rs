//! How long certificates are good for, and what is said before they end.

use std::path::{Path, PathBuf};

use model::calendar::Utc;
use model::{Interval, Millis};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::authority::AuthorityError;
use super::layout::Layout;
use crate::setting::{self, LimitError, range, settings};

/// A day.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Days before the end of a certificate from which on its end is warned of.
pub const WARNING_DAYS: u64 = 30;

settings! {
    /// `[authority]`
    pub struct AuthorityConfig in "authority" {
        certificate_days: u64 = 398; "days", range(1, 3650) => {
            sets: "How long certificates that are issued from now on are good for: the node's \
                   own and those of gateways, practitioners, wallets and operators. From 30 days \
                   before the end on `sequencer status` and the log warn. Clients that run renew \
                   from the half on: of 1 or 2 days at once, since a certificate is good from a \
                   day before its issue.",
            at_limit: "An ended one is refused; `sequencer identity renew` issues a new one under \
                       the same id before that, `issue` after it.",
            applies: Issue,
        }
        authority_days: u64 = 3650; "days", range(1, 36_500) => {
            sets: "How long a new certificate authority may issue.",
            at_limit: "It issues nothing more: move `authority/` and `server/` away, make new \
                       ones, and issue every identity anew.",
            applies: Init,
        }
    }
}

impl AuthorityConfig {
    /// Checks every limit.
    ///
    /// # Errors
    /// [`LimitError`] for the first that does not hold.
    pub fn check(&self) -> Result<(), LimitError> {
        setting::check(self, AuthorityConfig::SETTINGS)
    }

    /// When a certificate that is issued now is good.
    pub fn certificate_valid(&self, now: Millis) -> Interval {
        span(now, self.certificate_days)
    }

    /// When an authority that is made now may issue.
    pub fn authority_valid(&self, now: Millis) -> Interval {
        span(now, self.authority_days)
    }
}

/// From a day before `now`, so that a slow clock elsewhere does not refuse.
fn span(now: Millis, days: u64) -> Interval {
    let from = Millis::new(now.get().saturating_sub(DAY_MS)).unwrap_or(now);
    Interval { from, until: now.plus(days * DAY_MS) }
}

/// A certificate of the node's folder and when it ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ending {
    /// Its file.
    pub path: PathBuf,
    /// First instant at which it is no longer good.
    pub at: Millis,
}

impl Ending {
    /// A sentence if it ended, or ends within [`WARNING_DAYS`].
    pub fn warning(&self, now: Millis) -> Option<String> {
        let (path, at) = (self.path.display(), Utc(self.at));
        if self.at <= now {
            return Some(format!("{path} ended at {at}"));
        }
        let days = (self.at.get() - now.get()) / DAY_MS;
        (days < WARNING_DAYS).then(|| format!("{path} ends at {at}, in {days} days"))
    }
}

/// Whether two thirds of a certificate's life are over, and not all of it: whoever renews by itself
/// has done so long before.
pub fn is_ending(valid: Interval, now: Millis) -> bool {
    let life = valid.until.since(valid.from);
    now < valid.until && now.since(valid.from) >= life - life / 3
}

/// When the certificates of the authority and of the node's server end.
///
/// # Errors
/// [`AuthorityError`] that names the file.
pub fn endings(layout: &Layout) -> Result<[Ending; 2], AuthorityError> {
    Ok([ending(layout.authority().join("ca.pem"))?, ending(layout.server().join("cert.pem"))?])
}

/// Refuses an ended certificate.
///
/// # Errors
/// [`AuthorityError::Ended`] with what to do, or another that names the file.
pub fn check(path: &Path, now: Millis, remedy: &'static str) -> Result<(), AuthorityError> {
    let Ending { path, at } = ending(path.to_owned())?;
    if at <= now { Err(AuthorityError::Ended { path, at: Utc(at), remedy }) } else { Ok(()) }
}

fn ending(path: PathBuf) -> Result<Ending, AuthorityError> {
    let file = |source| AuthorityError::File { path: path.clone(), source };
    let bytes = files::read(&path, super::authority::FILE_BYTES_MAX, files::Audience::Public)
        .map_err(file)?;
    let at = CertificateDer::from_pem_slice(&bytes).ok().and_then(|der| not_after(&der));
    match at {
        Some(at) => Ok(Ending { path, at }),
        None => Err(AuthorityError::Pem { what: "a certificate", path }),
    }
}

fn not_after(der: &CertificateDer<'_>) -> Option<Millis> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    // The second itself is still good.
    Some(Millis::from_unix_ms((seconds + 1).saturating_mul(1000)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::authority::Authority;

    fn now() -> Millis {
        Millis::from_unix_ms(1_800_000_000_000)
    }

    /// A node's folder whose certificates are good for so many days.
    fn folder(days: u64) -> (tempfile::TempDir, Layout) {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(&root.path().join("node"));
        let valid = span(now(), days);
        let authority = Authority::create(&layout.authority(), valid).unwrap();
        authority
            .issue_server(&["localhost".into()], valid)
            .unwrap()
            .write(&layout.server())
            .unwrap();
        (root, layout)
    }

    #[test]
    fn the_end_is_warned_of_thirty_days_before_and_refused_after() {
        let (_root, layout) = folder(100);
        let server = &endings(&layout).unwrap()[1];
        let later = |days: u64| now().plus(days * DAY_MS);
        assert_eq!(server.warning(later(70)), None);
        for (days, says) in [(71, "in 29 days"), (99, "in 1 days"), (101, "ended at")] {
            let warning = server.warning(later(days)).unwrap();
            assert!(warning.contains(says) && warning.contains("server/cert.pem"), "{warning}");
        }
        check(&server.path, later(99), "make a new one").unwrap();
        let ended = check(&server.path, later(101), "make a new one").unwrap_err().to_string();
        assert!(ended.contains("ended at") && ended.ends_with("make a new one"), "{ended}");
    }

    #[test]
    fn a_certificate_is_ending_in_the_last_third_of_its_life() {
        let valid = Interval { from: now(), until: now().plus(3000) };
        let is_ending = |ms: u64| is_ending(valid, now().plus(ms));
        assert_eq!([1999, 2000, 2999, 3000].map(is_ending), [false, true, true, false]);
    }

    #[test]
    fn a_certificate_is_good_for_a_year_and_its_authority_for_ten() {
        let config = AuthorityConfig::default();
        config.check().unwrap();
        assert_eq!(config.certificate_valid(now()).until, now().plus(398 * DAY_MS));
        assert!(config.authority_valid(now()).until > config.certificate_valid(now()).until);
        assert!(AuthorityConfig { certificate_days: 0, ..config }.check().is_err());
    }
}
