//! What others may open of a node's folder: nothing; and secrets that are lost: never drawn anew.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use model::with_causes;
use sequencer::folder::secrets::NodeSecret;
use sequencer::node::setup;

use crate::support::{Site, close_and_settle};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Every file and folder below a path.
fn below(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    found.push(folder.to_owned());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_a_node_writes_is_its_owners_alone() {
    let site = Site::new().await;
    let (node, _edge) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    close_and_settle(&node).await;
    let mut found = Vec::new();
    // While it runs: its socket and addresses are there as well.
    below(site.layout.folder(), &mut found);
    below(&site.identity(), &mut found);
    for expected in [
        site.journal_file(),
        site.layout.chain_journal(),
        site.layout.config(),
        site.layout.endpoints(),
        site.layout.admin_socket(),
        site.layout.store().join("store.redb"),
        site.layout.store().join("batches/000001/private.bin"),
        site.layout.authority().join("ca-key.pem"),
        site.identity().join("key.pem"),
    ] {
        assert!(found.contains(&expected), "{}", expected.display());
    }
    for path in found {
        let expected = match path.is_dir() {
            true => 0o700,
            // Public, and handed to auditors.
            false if path == site.layout.deployment() => 0o644,
            false => 0o600,
        };
        assert_eq!(mode(&path), expected, "{}: {:04o}", path.display(), mode(&path));
    }
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_with_one_open_file_is_refused_with_the_command_that_closes_it() {
    let site = Site::new().await;
    let command = format!("chmod -R go-rwx {}", site.layout.folder().display());
    for open in [site.layout.server().join("cert.pem"), site.layout.store()] {
        fs::create_dir_all(site.layout.store()).unwrap();
        fs::set_permissions(site.layout.store(), Permissions::from_mode(0o700)).unwrap();
        let before = mode(&open);
        fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
        let error = with_causes(&site.start_error().await);
        assert!(error.contains(open.to_str().unwrap()) && error.ends_with(&command), "{error}");
        let again = setup::init(&site.layout, &site.config, site.clock.now()).unwrap_err();
        assert!(with_causes(&again).ends_with(&command), "{again}");
        assert_eq!(mode(&open), 0o755, "nothing is mended in silence");
        fs::set_permissions(&open, Permissions::from_mode(before)).unwrap();
    }
    // Refused at its own opening as well, whoever opens it.
    fs::set_permissions(site.layout.chain_journal(), Permissions::from_mode(0o640)).unwrap();
    let refused = setup::open_chain(&site.layout, &site.config, site.clock.clone());
    let Err(error) = refused else { panic!("expected an open chain journal to be refused") };
    assert!(with_causes(&error).contains("chmod go-rwx"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_secret_is_named_and_never_drawn_anew() {
    let site = Site::new().await;
    for secret in NodeSecret::ALL {
        let path = site.layout.folder().join(secret.file());
        let kept = site.beside("kept");
        fs::rename(&path, &kept).unwrap();
        let chain = setup::open_chain(&site.layout, &site.config, site.clock.clone());
        let run = match chain {
            Ok(chain) => site.start_on(chain).await.map(drop).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        let init = setup::init(&site.layout, &site.config, site.clock.now());
        for error in [run, init.unwrap_err().to_string()] {
            assert!(error.contains(path.to_str().unwrap()), "{error}");
            assert!(error.contains("found none") && error.contains("put the copy back"), "{error}");
        }
        assert!(!path.exists(), "{secret:?} is not drawn");
        fs::rename(&kept, &path).unwrap();
    }
    setup::init(&site.layout, &site.config, site.clock.now()).unwrap();
    site.start().await.0.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_not_the_deployments_is_refused_by_its_file() {
    let site = Site::new().await;
    for secret in [NodeSecret::Settlement, NodeSecret::Receipt] {
        let path = site.layout.folder().join(secret.file());
        let kept = fs::read(&path).unwrap();
        fs::write(&path, "07".repeat(32)).unwrap();
        let refused = setup::open_chain(&site.layout, &site.config, site.clock.clone());
        let Err(error) = refused else { panic!("expected another key to be refused") };
        let error = error.to_string();
        assert!(error.contains(path.to_str().unwrap()) && error.contains("names"), "{error}");
        fs::write(&path, kept).unwrap();
    }
}
