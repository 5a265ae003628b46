//! What a sender may ask of the machine, on connections in memory. Time stands still but where
//! nothing else is left to do, so that a limit of hours is reached at once and to the instant.

use tempfile::TempDir;
use tokio::io::{DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::advance;

use super::*;

const MAP: &str = r#"
version = 1
[[patient]]
authority = "HOSP"
identifier = "4711"
patient = 7
[[device]]
authority = "PV1-3"
identifier = "ICU^1"
device = "m-1"
"#;

/// How long a message waits for its node, which is never there.
const PATIENCE: Duration = Duration::from_secs(3);
const LIMITS: Limits = Limits {
    connections: 4,
    message_bytes: 1 << 20,
    buffered_bytes: 1 << 20,
    message: Duration::from_secs(30),
    idle: Duration::from_secs(24 * 3600),
};

struct Served {
    server: Arc<Server>,
    _folder: TempDir,
}

/// A connection as its sender has it.
struct Sender {
    stream: DuplexStream,
    ended: JoinHandle<io::Result<()>>,
}

impl Served {
    fn new(limits: Limits) -> Served {
        let folder = tempfile::tempdir().unwrap();
        let delivery = Delivery::open(folder.path().join("state"), PATIENCE).unwrap();
        let map = Arc::new(Map::parse(MAP).unwrap());
        Served { server: Arc::new(Server::new(delivery, map, limits)), _folder: folder }
    }

    fn connect(&self) -> Sender {
        self.connect_over(1 << 20)
    }

    /// Over a line on which so many bytes may be under way in each direction.
    fn connect_over(&self, bytes: usize) -> Sender {
        let (stream, theirs) = duplex(bytes);
        let server = self.server.clone();
        let place = server.places.clone().try_acquire_owned().expect("there is room");
        let ended = tokio::spawn(async move {
            let _place = place;
            server.connection(theirs).await
        });
        Sender { stream, ended }
    }

    fn under_way(&self) -> usize {
        self.server.delivery.standings().under_way
    }
}

impl Sender {
    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("it is taken");
    }

    /// What MSA says in the next answer.
    async fn read(&mut self) -> String {
        msa(&mut self.stream).await.expect("an answer")
    }

    async fn exchange(&mut self, message: &str) -> String {
        self.write(&frame(message.as_bytes())).await;
        self.read().await
    }

    /// Why it was ended, and after how long.
    async fn ended(self) -> (io::Result<()>, Duration) {
        let begin = Instant::now();
        let Sender { mut stream, ended } = self;
        let ended = ended.await.expect("no panic");
        let after = begin.elapsed();
        // What a sender sees of it: behind the answers that it did not read yet, the end.
        stream.read_to_end(&mut Vec::new()).await.expect("the end");
        (ended, after)
    }
}

/// MSA of an answer; none where the stream ends.
async fn msa(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    while bytes.last() != Some(&b'\r') || bytes.iter().rev().nth(1) != Some(&0x1c) {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let text = String::from_utf8(bytes).expect("text");
    text.split('\r').find(|line| line.starts_with("MSA")).map(str::to_owned)
}

fn message(control: &str) -> String {
    format!(
        "MSH|^~\\&|MON|ICU|||20260501||ORU^R01|{control}|P|2.6\rPID|||4711^^^HOSP\rPV1|||ICU^1\r\
         OBX|1|NM|8867-4^HR^LN||72|/min|||||F|||20260501083000+0000\r"
    )
}

/// One with a segment of so many bytes that nothing is read from.
fn long(control: &str, bytes: usize) -> String {
    format!("{}NTE|1||{}\r", message(control), "x".repeat(bytes))
}

/// Lets every task do what it can without time passing.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

/// That it is `expected`, by the step of a timer at most.
fn about(after: Duration, expected: Duration) {
    let within = expected..expected + Duration::from_millis(5);
    assert!(within.contains(&after), "expected {expected:?}, found {after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_long_is_rejected_and_the_connection_goes_on() {
    let served = Served::new(Limits { message_bytes: 2000, ..LIMITS });
    let mut sender = served.connect();
    let said = sender.exchange(&long("1", 2000)).await;
    assert!(said.starts_with("MSA|AR|1|too-many"), "{said}");
    // One that just fits, for whose node it is waited.
    let fits = long("2", 2000 - long("2", 0).len());
    assert_eq!(fits.len(), 2000);
    let said = sender.exchange(&fits).await;
    assert!(said.starts_with("MSA|AE|2|node-away"), "{said}");
    let Counts { messages, rejected, errors, torn, .. } = served.server.counts();
    assert_eq!([messages, rejected, errors, torn], [2, 1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_drop_by_drop_has_its_time_from_its_first_byte_on() {
    let served = Served::new(LIMITS);
    let mut sender = served.connect();
    sender.write(b"\x0bMSH").await;
    settle().await;
    for _ in 0..3 {
        advance(Duration::from_secs(9)).await;
        sender.write(b"|").await;
        settle().await;
        assert!(!sender.ended.is_finished());
    }
    let (ended, after) = sender.ended().await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    about(after, Duration::from_secs(3));
    assert_eq!(served.server.counts().torn, 1);
}

#[tokio::test(start_paused = true)]
async fn each_message_has_its_own_time_however_they_are_cut() {
    let served = Served::new(LIMITS);
    let mut sender = served.connect();
    let bytes = [frame(b"MSH"), frame(b"MSH"), frame(b"MSH")].concat();
    // The third piece ends one message and begins the next one.
    for piece in bytes.chunks(5) {
        sender.write(piece).await;
        settle().await;
        advance(Duration::from_secs(20)).await;
    }
    sender.write(b"\x0bMSH").await;
    assert_eq!(served.server.counts().messages, 3);
    let (ended, after) = sender.ended().await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    about(after, LIMITS.message);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_takes_ends_the_connection() {
    let served = Served::new(LIMITS);
    let mut sender = served.connect_over(64);
    sender.write(&frame(b"MSH|^~\\&|no report")).await;
    let begin = Instant::now();
    let ended = sender.ended.await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    about(begin.elapsed(), LIMITS.message);
}

#[tokio::test(start_paused = true)]
async fn silence_between_messages_is_borne_for_so_long_and_begins_anew_with_each() {
    let served = Served::new(Limits { idle: Duration::from_secs(600), ..LIMITS });
    let mut sender = served.connect();
    for _ in 0..3 {
        settle().await;
        advance(Duration::from_secs(599)).await;
        let said = sender.exchange("MSH|^~\\&|no report").await;
        assert!(said.starts_with("MSA|AR|"), "{said}");
    }
    let (ended, after) = sender.ended().await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    about(after, Duration::from_secs(600));
    assert_eq!(served.server.counts().torn, 0, "nothing had begun");
}

#[tokio::test(start_paused = true)]
async fn what_speaks_something_else_is_ended() {
    let served = Served::new(LIMITS);
    let mut sender = served.connect();
    let junk = vec![b'G'; hl7::STRAY_BYTES_MAX];
    sender.write(&junk).await;
    settle().await;
    assert!(!sender.ended.is_finished());
    sender.write(b"G").await;
    let (ended, after) = sender.ended().await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::InvalidData);
    about(after, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_what_is_being_answered_and_for_nothing_else() {
    let served = Served::new(LIMITS);
    let (silent, mut torn, mut asking) = (served.connect(), served.connect(), served.connect());
    torn.write(b"\x0bMSH|^~\\&|").await;
    asking.write(&frame(message("1").as_bytes())).await;
    settle().await;
    assert_eq!(served.under_way(), 1);
    let begin = Instant::now();
    served.server.end(Duration::from_secs(60)).await;
    about(begin.elapsed(), PATIENCE);
    let said = asking.read().await;
    assert!(said.starts_with("MSA|AE|1|node-away"), "{said}");
    for sender in [silent, torn, asking] {
        let (ended, after) = sender.ended().await;
        ended.unwrap();
        about(after, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_no_longer_than_it_says() {
    let served = Served::new(LIMITS);
    let mut asking = served.connect();
    asking.write(&frame(message("1").as_bytes())).await;
    settle().await;
    let begin = Instant::now();
    served.server.end(PATIENCE / 3).await;
    about(begin.elapsed(), PATIENCE / 3);
    assert!(!asking.ended.is_finished());
}

#[tokio::test(start_paused = true)]
async fn what_all_connections_buffer_is_bounded_and_whoever_has_no_room_is_told_to_send_again() {
    const PART: usize = 200 << 10;
    let served = Served::new(Limits { buffered_bytes: 512 << 10, ..LIMITS });
    let (mut first, mut second, mut third) = (served.connect(), served.connect(), served.connect());
    // A buffer of 256 KiB each, of which 64 KiB are the connection's own.
    for sender in [&mut first, &mut second] {
        sender.write(&frame(long("1", PART).as_bytes())[..PART]).await;
        settle().await;
    }
    let free = served.server.buffered.available_permits();
    assert!((128 << 10..129 << 10).contains(&free), "{free}");
    let said = third.exchange(&long("3", PART)).await;
    assert!(said.starts_with("MSA|AE|3|bridge-busy"), "{said}");
    // What is short is taken all the same.
    let said = third.exchange(&long("4", 40_000)).await;
    assert!(said.starts_with("MSA|AE|4|node-away"), "{said}");
    drop(first);
    settle().await;
    let said = third.exchange(&long("3", PART)).await;
    assert!(said.starts_with("MSA|AE|3|node-away"), "{said}");
    // As soon as it is answered, nothing is buffered for it.
    drop(second);
    settle().await;
    assert_eq!(served.server.buffered.available_permits(), 512 << 10);
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_closed_and_one_that_ends_makes_room() {
    let served = Served::new(Limits { connections: 1, ..LIMITS });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(served.server.clone().serve(listener, None));
    let exchange = async || {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // One that is closed already may not even take it.
        drop(stream.write_all(&frame(b"MSH|^~\\&|no report")).await);
        (msa(&mut stream).await, stream)
    };
    let (answer, first) = exchange().await;
    assert!(answer.is_some());
    assert_eq!(exchange().await.0, None);
    drop(first);
    drop(served.server.places.acquire().await);
    assert!(exchange().await.0.is_some());
    let Counts { connections, refused_connections, messages, .. } = served.server.counts();
    assert_eq!([connections, refused_connections, messages], [2, 1, 2]);
}
