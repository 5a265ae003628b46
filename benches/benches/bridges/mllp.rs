//! Messages with one observation each: by connections, beside what one receipt takes.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use benches::pace::{bound, median};
use model::calendar::Utc;
use model::{Clock, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load::{Loaded, Until, runtime, send_each};
use crate::plain;
use crate::plan::Plan;
use crate::programs::Program;
use crate::ward::Ward;

const CONNECTIONS: [usize; 3] = [1, 8, 64];
/// What begins and ends a frame.
const BEGIN: u8 = 0x0b;
const END: [u8; 2] = [0x1c, 0x0d];

/// One line of the table, of one round.
struct Line {
    one: Loaded,
    plain: Loaded,
    messages: Loaded,
    bridge_cpu: Duration,
    node_cpu: Duration,
}

/// The table.
pub(crate) fn measure(ward: &Ward, plan: Plan) {
    let (bridge, address) = begin(ward);
    // Streams are opened with the first message of each: once, and not in any figure.
    load(address, *CONNECTIONS.last().expect("some"), Until::Count(2), "warm");
    plain::load(ward, ward.others.len(), Duration::from_millis(200), Some(ward.folder("plain")));
    let mut lines: Vec<Vec<Line>> = CONNECTIONS.iter().map(|_| Vec::new()).collect();
    for round in 0..plan.rounds {
        for (connections, lines) in CONNECTIONS.iter().zip(&mut lines) {
            let one = plain::load(ward, 1, plan.each, Some(ward.folder("plain")));
            let plain = plain::load(ward, *connections, plan.each, Some(ward.folder("plain")));
            let before = [&bridge, &ward.node].map(Program::cpu);
            let until = Until::At(Instant::now() + plan.each);
            let messages = load(address, *connections, until, &format!("r{round}-{connections}"));
            let bridge_cpu = bridge.cpu() - before[0];
            let node_cpu = ward.node.cpu() - before[1];
            lines.push(Line { one, plain, messages, bridge_cpu, node_cpu });
        }
    }
    let memory = plain::load(ward, 1, plan.each, None).quantile(0.5);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    eprintln!("load average {load}; one receipt without a state folder: {memory:.1?}");
    println!(
        "| connections | one receipt, p50 ms | bound/s | MLLP/s | of the bound | p50 ms | p99 ms | \
         own protocol/s | of that | bridge us | node us |"
    );
    for (connections, lines) in CONNECTIONS.iter().zip(&lines) {
        println!("{}", row(*connections, lines));
    }
    bridge.stop();
}

/// The bridge, and where it listens.
pub(crate) fn begin(ward: &Ward) -> (Program, SocketAddr) {
    ward.bridge("mllp", &[], "HL7 v2 over MLLP on ")
}

fn row(connections: usize, lines: &[Line]) -> String {
    let of = |figure: &dyn Fn(&Line) -> f64| median(lines.iter().map(figure));
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let share =
        |line: &Line| 100.0 * line.messages.rate() / bound(connections, line.one.quantile(0.5));
    let each = |cpu: Duration, line: &Line| cpu.as_secs_f64() * 1e6 / line.messages.count as f64;
    let mut row = format!("| {connections}");
    let one = of(&|line| ms(line.one.quantile(0.5)));
    let at_most = of(&|line| bound(connections, line.one.quantile(0.5)));
    let (rate, plain) = (of(&|line| line.messages.rate()), of(&|line| line.plain.rate()));
    let beside = of(&|line| 100.0 * line.messages.rate() / line.plain.rate());
    let [p50, p99] = [0.5, 0.99].map(|part| of(&|line| ms(line.messages.quantile(part))));
    let (bridge, node) =
        (of(&|line| each(line.bridge_cpu, line)), of(&|line| each(line.node_cpu, line)));
    let written = write!(
        row,
        " | {one:.2} | {at_most:.0} | {rate:.0} | {:.0} % | {p50:.2} | {p99:.2} | {plain:.0} | \
         {beside:.0} % | {bridge:.0} | {node:.0} |",
        of(&share)
    );
    written.expect("text takes text");
    row
}

/// So many connections, each of a bed of its own, as long as each is to send.
pub(crate) fn load(address: SocketAddr, connections: usize, until: Until, run: &str) -> Loaded {
    runtime().block_on(async {
        let mut open = Vec::new();
        for bed in 0..connections {
            let stream = TcpStream::connect(address).await.expect("a bridge that listens");
            stream.set_nodelay(true).expect("a socket");
            open.push((bed, stream));
        }
        let senders = open.into_iter().map(|(bed, stream)| {
            let run = run.to_owned();
            async move { send_all(stream, bed, &run, until).await }
        });
        Loaded::of(senders).await
    })
}

async fn send_all(mut stream: TcpStream, bed: usize, run: &str, until: Until) -> Vec<Duration> {
    let mut answer = Vec::new();
    send_each(until, async |n| {
        let control = format!("{run}-{bed}-{n}");
        let framed = framed(&control, bed, n % 1000);
        stream.write_all(&framed).await.expect("a bridge that stands");
        answer.clear();
        while !answer.ends_with(&END) {
            let count = stream.read_buf(&mut answer).await.expect("an answer");
            assert!(count > 0, "the bridge ended the connection");
        }
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains(&format!("MSA|AA|{control}|")), "expected AA, found {text:?}");
    })
    .await
}

/// A message of one sample, measured now.
fn framed(control: &str, bed: usize, value: usize) -> Vec<u8> {
    let at = Utc(SystemClock.now()).to_string();
    let at: String = at.chars().filter(|one| one.is_ascii_digit() || *one == '.').collect();
    let text = format!(
        "MSH|^~\\&|MON|WARD|VITALS|HOSP|{at}||ORU^R01|{control}|P|2.6\rPID|||{bed}^^^WARD\r\
         PV1||I|WARD\rOBR|1||||||{at}\r\
         OBX|1|NM|131328^MDC_ECG_ELEC_POTL^MDC||{value}|uV|||||F|||||||{bed}^BEDS\r"
    );
    [&[BEGIN], text.as_bytes(), &END].concat()
}
