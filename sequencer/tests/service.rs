//! The node under a service manager, which this test plays: a socket that datagrams come to.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::reload::{Program, own_runtime};
use crate::support::Site;

/// The silence that the manager would take for death, microseconds: none here is as long.
const WATCHDOG_USEC: &str = "600000000";

/// What one datagram says, by name.
type Told = BTreeMap<String, String>;

struct Manager {
    socket: UnixDatagram,
    beats: usize,
}

impl Manager {
    /// The next word that is no beat.
    fn hear(&mut self) -> Told {
        loop {
            let mut bytes = [0; 1024];
            let length = self.socket.recv(&mut bytes).expect("a word within ten minutes");
            let text = std::str::from_utf8(&bytes[..length]).unwrap();
            let lines = text.lines().map(|line| line.split_once('=').expect(line));
            let told: Told = lines.map(|(name, value)| (name.into(), value.into())).collect();
            if !told.contains_key("WATCHDOG") {
                return told;
            }
            self.beats += 1;
        }
    }
}

#[test]
fn a_service_manager_hears_of_start_reload_stop_and_that_the_node_runs() {
    let site = own_runtime().block_on(Site::new());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(600))).unwrap();
    let mut manager = Manager { socket, beats: 0 };
    let path = path.to_str().unwrap();
    let variables = [("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", WATCHDOG_USEC)];
    let mut program = Program::start_with(&site, &variables);

    let first = manager.hear();
    assert!(first["STATUS"].starts_with("starting: "), "{first:?}");
    assert!(first.contains_key("EXTEND_TIMEOUT_USEC") && !first.contains_key("READY"), "{first:?}");
    let ready = loop {
        let told = manager.hear();
        if told.contains_key("READY") {
            break told;
        }
    };
    assert_eq!(ready["READY"], "1");
    assert!(manager.beats > 0, "one as soon as it runs");

    // Of a file that is not accepted too: the node is as it was, and goes on.
    for text in [site.config.to_toml(), "[log]\nlevel = \"loud\"\n".to_owned()] {
        std::fs::write(site.layout.config(), text).unwrap();
        program.signal("-HUP");
        let told = manager.hear();
        assert_eq!(told["RELOADING"], "1");
        assert!(told["MONOTONIC_USEC"].parse::<u64>().unwrap() > 0);
        assert_eq!(manager.hear()["READY"], "1");
    }

    program.signal("-TERM");
    assert_eq!(manager.hear()["STOPPING"], "1");
    program.ended_well();
}
