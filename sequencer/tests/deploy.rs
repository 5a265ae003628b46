//! What stands in `deploy/` fits the node: times, ports, paths and the toolchain.

use std::path::Path;

use sequencer::doors::config::Config;
use sequencer::doors::memory::Memory;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands behind `key` in the one line that begins with it.
#[track_caller]
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let mut found = text.lines().filter_map(|line| line.trim().strip_prefix(key));
    let first = found.next().unwrap_or_else(|| panic!("expected a line that begins with {key}"));
    assert_eq!(found.next(), None, "a second line begins with {key}");
    first.trim()
}

/// The lines of a block of YAML below its key, without the block's indentation.
fn block(text: &str, key: &str) -> String {
    let below = text.lines().skip_while(|line| line.trim() != key).skip(1);
    let lines: Vec<&str> = below.collect();
    let indent = lines[0].len() - lines[0].trim_start().len();
    let is_own = |line: &&&str| line.is_empty() || line.starts_with(&" ".repeat(indent));
    let own = lines.iter().take_while(is_own);
    own.map(|line| line.get(indent..).unwrap_or("").to_owned() + "\n").collect()
}

/// What a stop in order may take by the defaults, milliseconds: what ingest waits for peers, what
/// proving waits for proofs, and what HTTP lets its last answers take.
fn stop_ms(config: &Config) -> u64 {
    3 * config.ingest.limits.farewell_ms + config.prover.stop_after_ms + 10_000
}

#[test]
fn what_stands_around_the_node_fits_it() {
    let config = Config::default();
    let unit = read("deploy/systemd/vitals-sequencer.service");
    let pod = read("deploy/kubernetes/vitals.yaml");
    let image = read("deploy/container/Dockerfile");

    // Twice as long as the waits, for what is no wait: the journal, a proof, a snapshot.
    for (what, seconds) in [
        ("the service", value(&unit, "TimeoutStopSec=")),
        ("the pod", value(&pod, "terminationGracePeriodSeconds:")),
    ] {
        let seconds: u64 = seconds.parse().unwrap();
        assert!(seconds * 1000 >= 2 * stop_ms(&config), "{what} is killed after {seconds} s");
    }
    assert_eq!(value(&unit, "Type="), "notify");
    assert_eq!(value(&unit, "ExecReload="), "/bin/kill -HUP $MAINPID");
    assert_eq!(value(&unit, "UMask="), "0077");

    // One place of the folder, one configuration in it, one user.
    let run = "run --config node/node.toml";
    assert_eq!(value(&unit, "ExecStart="), format!("/usr/local/bin/sequencer {run}"));
    assert_eq!(value(&unit, "WorkingDirectory="), "/var/lib/vitals");
    assert_eq!(value(&image, "VOLUME "), "/var/lib/vitals");
    assert!(image.contains(r#"CMD ["run", "--config", "node/node.toml"]"#));
    assert!(pod.contains(r#"args: ["run", "--config", "node/node.toml"]"#));
    let user = value(&image, "USER ").split_once(':').expect("user and group").0.to_owned();
    for key in ["runAsUser:", "runAsGroup:", "fsGroup:"] {
        assert_eq!(value(&pod, key), user, "{key}");
    }

    let ingest = config.ingest.listen.port();
    assert_eq!(value(&image, "EXPOSE "), format!("{ingest}/udp"));
    assert!(pod.contains(&format!("containerPort: {ingest}, protocol: UDP")));
    let http = config.http.listen;
    assert!(pod.contains(&format!("proxy_pass http://{http}")), "the door goes to {http}");
    let scraped = read("deploy/monitoring/prometheus.yml");
    assert!(scraped.contains(&format!("targets: [\"{http}\"]")), "metrics are at {http}");

    let toolchain = read("../rust-toolchain.toml");
    let channel = value(&toolchain, "channel = ").trim_matches('"');
    let built_by = value(&image, "ARG BUILD_IMAGE=");
    assert!(built_by.starts_with(&format!("rust:{channel}-")), "{built_by}, not {channel}");
    // An empty tag is whatever is newest on that day.
    for line in [&image, &pod, &read("deploy/monitoring/compose.yml")] {
        let named = line.lines().filter_map(|line| line.trim().strip_prefix("image: "));
        for name in named {
            let tag = name.split_once(':').expect("an image with a tag").1;
            assert!(tag.starts_with(|c: char| c == 'v' || c.is_ascii_digit()), "{name}");
        }
    }
}

#[test]
fn the_configuration_of_the_manifest_is_one_that_a_node_takes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    let pod = read("deploy/kubernetes/vitals.yaml");
    let text = block(&pod, "node.toml: |");
    std::fs::write(&path, &text).unwrap();
    let config = Config::read(&path).unwrap();
    assert!(config.ingest.listen.ip().is_unspecified(), "a pod is reached from outside: {text}");
    assert!(config.chain.rpc.is_some() && config.prover.setup == "ceremony", "{text}");
    // The first is the node's.
    let mut limits = pod.lines().filter_map(|line| line.trim().strip_prefix("limits: { memory: "));
    let limit = limits.next().and_then(|limit| limit.strip_suffix("Gi }"));
    let limit: u64 = limit.expect("a limit in GiB").parse().unwrap();
    let sum = Memory::of(&config).sum_bytes;
    assert!(sum <= limit << 30, "the pod has {limit} GiB, its node's limits add up to {sum} bytes");
}
