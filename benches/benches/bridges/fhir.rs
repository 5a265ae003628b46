//! Bundles of 50 Observations, of as many beds, by connections.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use benches::pace::median;
use model::calendar::Utc;
use model::{Clock, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load::{Loaded, Until, runtime, send_each};
use crate::plan::Plan;
use crate::programs::Program;
use crate::ward::Ward;

const CONNECTIONS: [usize; 3] = [1, 4, 16];
/// Observations of a Bundle.
const ENTRIES: usize = 50;

struct Line {
    bundles: Loaded,
    bridge_cpu: Duration,
    node_cpu: Duration,
}

/// The table.
pub(crate) fn measure(ward: &Ward, plan: Plan) {
    let (bridge, address) = ward.bridge("fhir", &["--open"], "FHIR R4 on http://");
    let beds = ward.beds.len();
    load(address, 2, Until::Count(1), ("warm", beds));
    let mut lines: Vec<Vec<Line>> = CONNECTIONS.iter().map(|_| Vec::new()).collect();
    for round in 0..plan.rounds {
        for (connections, lines) in CONNECTIONS.iter().zip(&mut lines) {
            let before = [&bridge, &ward.node].map(Program::cpu);
            let until = Until::At(Instant::now() + plan.each);
            let run = format!("r{round}-{connections}");
            let bundles = load(address, *connections, until, (&run, beds));
            let bridge_cpu = bridge.cpu() - before[0];
            let node_cpu = ward.node.cpu() - before[1];
            lines.push(Line { bundles, bridge_cpu, node_cpu });
        }
    }
    println!("| connections | Observations/s | p50 ms | p99 ms | bridge us | node us |");
    for (connections, lines) in CONNECTIONS.iter().zip(&lines) {
        let of = |figure: &dyn Fn(&Line) -> f64| median(lines.iter().map(figure));
        let each = |cpu: Duration, line: &Line| {
            cpu.as_secs_f64() * 1e6 / (line.bundles.count * ENTRIES) as f64
        };
        let ms = |part| of(&|line: &Line| line.bundles.quantile(part).as_secs_f64() * 1e3);
        println!(
            "| {connections} | {:.0} | {:.1} | {:.1} | {:.0} | {:.0} |",
            of(&|line| line.bundles.rate() * ENTRIES as f64),
            ms(0.5),
            ms(0.99),
            of(&|line| each(line.bridge_cpu, line)),
            of(&|line| each(line.node_cpu, line)),
        );
    }
    bridge.stop();
}

fn load(address: SocketAddr, connections: usize, until: Until, of: (&str, usize)) -> Loaded {
    let (run, beds) = of;
    runtime().block_on(async {
        let mut open = Vec::new();
        for sender in 0..connections {
            let stream = TcpStream::connect(address).await.expect("a bridge that listens");
            stream.set_nodelay(true).expect("a socket");
            open.push((sender, stream));
        }
        let senders = open.into_iter().map(|(sender, stream)| {
            let run = format!("{run}-{sender}");
            async move { send_all(stream, (&run, beds), until).await }
        });
        Loaded::of(senders).await
    })
}

async fn send_all(mut stream: TcpStream, of: (&str, usize), until: Until) -> Vec<Duration> {
    let (run, beds) = of;
    let mut answer = Vec::new();
    send_each(until, async |n| {
        let body = bundle(&format!("{run}-{n}"), n * ENTRIES, beds);
        let head = format!(
            "POST /fhir HTTP/1.1\r\nHost: ward\r\nContent-Type: application/fhir+json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let whole = [head.as_bytes(), body.as_bytes()].concat();
        stream.write_all(&whole).await.expect("a bridge that stands");
        answer.clear();
        while !is_whole(&answer) {
            let count = stream.read_buf(&mut answer).await.expect("an answer");
            assert!(count > 0, "the bridge ended the connection");
        }
        let text = String::from_utf8_lossy(&answer);
        let created = text.matches("\"201 Created\"").count();
        assert_eq!(created, ENTRIES, "expected all created, found {text}");
    })
    .await
}

/// Whether the head and as many bytes as it says are there.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|text| text.trim().parse().ok()).expect("a length");
    answer.len() >= end + 4 + length
}

fn bundle(run: &str, first: usize, beds: usize) -> String {
    let at = Utc(SystemClock.now());
    let entries: Vec<_> = (first..first + ENTRIES)
        .map(|n| {
            let (bed, value) = (n % beds, n % 1000);
            format!(
                r#"{{"resource":{{"resourceType":"Observation","status":"final",
                "identifier":[{{"system":"urn:example:ward","value":"{run}-{n}"}}],
                "code":{{"coding":[{{"system":"urn:iso:std:iso:11073:10101","code":"131328"}}]}},
                "subject":{{"identifier":{{"system":"WARD","value":"{bed}"}}}},
                "device":{{"identifier":{{"system":"BEDS","value":"{bed}"}}}},
                "effectiveDateTime":"{at}","valueQuantity":{{"value":{value},
                "system":"http://unitsofmeasure.org","code":"uV"}}}},
                "request":{{"method":"POST","url":"Observation"}}}}"#
            )
        })
        .collect();
    let entries = entries.join(",");
    format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{entries}]}}"#)
}
