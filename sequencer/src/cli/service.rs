//! Tells the service manager how the node stands, in the words of `sd_notify(3)`: datagrams of
//! lines `NAME=value` to the socket that it names in the environment.
//!
//! systemd speaks it, and engines of containers that pass it on. These few lines and no crate: what
//! the crates for it add (handing over descriptors and listening sockets) is used by nothing here.
//! A node that nobody asks to tell says nothing, and one that cannot be heard goes on: it needs no
//! manager, and who has one sees in the log why it was not told.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use model::whole_number;
use rustix::time::{ClockId, clock_gettime};
use sequencer::node::Starting;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// At least this long between two words about a start: a journal is absorbed in steps of a
/// millisecond.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How much longer a start that gets on may take, from each time on that it says so: one that hangs
/// is ended by the manager, and one that has years to absorb is not.
const EXTEND_BY: Duration = Duration::from_secs(120);

/// How long one word may wait for a manager that does not read.
const SEND_WITHIN: Duration = Duration::from_secs(2);

/// What a service manager says to a process that it starts.
#[derive(Clone, Debug, Default)]
struct Given {
    /// `NOTIFY_SOCKET`: an absolute path, or `@` and the name of a socket that has none.
    socket: Option<OsString>,
    /// `WATCHDOG_USEC`: silence that it takes for death, microseconds.
    watchdog_usec: Option<String>,
    /// `WATCHDOG_PID`: whom it means, if not whoever reads it.
    watchdog_pid: Option<String>,
}

/// What it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The journal is absorbed, so far.
    Starting(Starting),
    /// The node takes in.
    Ready,
    /// It reads its files again, and says [`Notice::Ready`] when it has.
    Reloading,
    /// It stops in order.
    Stopping,
    /// It runs.
    Alive,
}

impl Notice {
    fn text(self) -> String {
        match self {
            Notice::Starting(Starting { entries_done, entries_all }) => format!(
                "STATUS=starting: {entries_done} of {entries_all} entries of the journal absorbed\n\
                 EXTEND_TIMEOUT_USEC={}",
                EXTEND_BY.as_micros()
            ),
            Notice::Ready => "READY=1\nSTATUS=runs; `sequencer status` says how it stands".into(),
            // With the time: `Type=notify-reload` tells this reload from the one before by it.
            Notice::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec()),
            Notice::Stopping => "STOPPING=1\nSTATUS=stopping: what is admitted is made durable, \
                                 closed windows are proven"
                .into(),
            Notice::Alive => "WATCHDOG=1".into(),
        }
    }
}

/// Microseconds of the clock that systemd compares reloads by.
fn monotonic_usec() -> i128 {
    let now = clock_gettime(ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000
}

/// The service manager, if one asked to be told.
pub(super) struct ServiceManager {
    socket: Option<SocketAddr>,
    /// How often it is told that the node runs.
    beat: Option<Duration>,
}

impl ServiceManager {
    /// The one that started this process.
    pub(super) fn of_environment() -> ServiceManager {
        let text = |name| std::env::var(name).ok();
        let given = Given {
            socket: std::env::var_os("NOTIFY_SOCKET"),
            watchdog_usec: text("WATCHDOG_USEC"),
            watchdog_pid: text("WATCHDOG_PID"),
        };
        ServiceManager::new(&given, std::process::id())
    }

    /// The one that gave these words to process `pid`.
    fn new(given: &Given, pid: u32) -> ServiceManager {
        let Some(name) = &given.socket else { return ServiceManager { socket: None, beat: None } };
        let socket = address(name)
            .inspect_err(|error| tracing::warn!(%error, "no service manager is told anything"));
        let is_meant = given.watchdog_pid.as_ref().is_none_or(|meant| *meant == pid.to_string());
        let silence = given.watchdog_usec.as_ref().filter(|_| is_meant);
        let silence = silence.and_then(|usec| whole_number(usec)).filter(|usec: &u64| *usec > 1);
        // Half of it, as the protocol advises: one late word is no death.
        let beat = silence.map(|usec| Duration::from_micros(usec / 2));
        ServiceManager { socket: socket.ok(), beat }
    }

    /// Tells it.
    pub(super) async fn tell(&self, notice: Notice) {
        let Some(socket) = &self.socket else { return };
        let sent = timeout(SEND_WITHIN, send(socket, notice.text())).await;
        if let Err(error) = sent.map_err(io::Error::from).flatten() {
            tracing::warn!(?notice, %error, "the service manager was not told");
        }
    }

    /// Waits for a start, and tells how far it is meanwhile: once at least, however short it is.
    pub(super) async fn told_of<T>(
        &self,
        mut progress: watch::Receiver<Option<Starting>>,
        start: impl Future<Output = T>,
    ) -> T {
        let first = progress.borrow_and_update().unwrap_or_default();
        self.tell(Notice::Starting(first)).await;
        tokio::select! {
            biased;
            started = start => started,
            never = self.tell_progress(progress) => match never {},
        }
    }

    async fn tell_progress(&self, mut progress: watch::Receiver<Option<Starting>>) -> Infallible {
        loop {
            sleep(TELL_EVERY).await;
            if progress.changed().await.is_err() {
                // The node is gone, and whoever started it says why.
                return std::future::pending().await;
            }
            let found = *progress.borrow_and_update();
            if let Some(starting) = found {
                self.tell(Notice::Starting(starting)).await;
            }
        }
    }

    /// Waits for work, and tells meanwhile that the node runs. The beat comes by the clock of the
    /// runtime that serves connections: where every thread of it hangs, there is none.
    pub(super) async fn alive_during<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(beat) = self.beat else { return work.await };
        tokio::select! {
            biased;
            done = work => done,
            never = self.tell_alive(beat) => match never {},
        }
    }

    async fn tell_alive(&self, beat: Duration) -> Infallible {
        let mut ticks = interval(beat);
        // Late ones are not made up for: one word says as much as three.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tell(Notice::Alive).await;
        }
    }
}

/// The address that a manager named.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::other(format!(
            "expected an absolute path or @name in NOTIFY_SOCKET, found {name:?}"
        ))),
    }
}

/// Sends one datagram. Each through a socket of its own: a manager that was started anew meanwhile
/// has another one under the same name.
async fn send(to: &SocketAddr, text: String) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(to)?;
    socket.set_nonblocking(true)?;
    tokio::net::UnixDatagram::from_std(socket)?.send(text.as_bytes()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::net::UnixDatagram as Heard;

    use super::*;

    /// A service manager that only listens.
    fn listen(folder: &Path) -> (Heard, Given) {
        let path = folder.join("notify");
        let heard = Heard::bind(&path).unwrap();
        (heard, Given { socket: Some(path.into()), ..Given::default() })
    }

    async fn next(heard: &Heard) -> String {
        let mut bytes = [0; 512];
        let length = heard.recv(&mut bytes).await.unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn every_notice_is_one_datagram_of_names_and_values() {
        let folder = tempfile::tempdir().unwrap();
        let (heard, given) = listen(folder.path());
        let manager = ServiceManager::new(&given, 1);
        let starting = Starting { entries_done: 2048, entries_all: 9000 };
        for (notice, first) in [
            (Notice::Starting(starting), "STATUS=starting: 2048 of 9000 entries of the journal"),
            (Notice::Ready, "READY=1\n"),
            (Notice::Reloading, "RELOADING=1\nMONOTONIC_USEC="),
            (Notice::Stopping, "STOPPING=1\n"),
            (Notice::Alive, "WATCHDOG=1"),
        ] {
            manager.tell(notice).await;
            let text = next(&heard).await;
            assert!(text.starts_with(first), "{text}");
            for line in text.lines() {
                let (name, value) = line.split_once('=').expect(line);
                let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
                assert!(name.chars().all(is_name) && !value.is_empty(), "{line}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_that_gets_on_says_how_far_and_asks_for_time_and_one_that_hangs_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let (heard, given) = listen(folder.path());
        let manager = ServiceManager::new(&given, 1);
        let (progress, follow) = watch::channel(Some(Starting::default()));
        let start = async {
            assert!(next(&heard).await.contains("0 of 0"));
            // Steps between two words are one word.
            for entries_done in [1024, 2048, 3072] {
                let starting = Starting { entries_done, entries_all: 4000 };
                progress.send_replace(Some(starting));
            }
            let text = next(&heard).await;
            assert!(text.contains("3072 of 4000"), "{text}");
            assert!(text.contains("\nEXTEND_TIMEOUT_USEC=120000000"), "{text}");
            let silent = timeout(EXTEND_BY * 3, next(&heard)).await;
            assert!(silent.is_err(), "it got no further: {silent:?}");
            progress.send_replace(None);
            let silent = timeout(TELL_EVERY * 3, next(&heard)).await;
            assert!(silent.is_err(), "it starts no more: {silent:?}");
            "started"
        };
        assert_eq!(manager.told_of(follow, start).await, "started");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watchdog_hears_of_the_node_twice_in_its_time_until_the_work_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let (heard, given) = listen(folder.path());
        let given = Given { watchdog_usec: Some("20000000".into()), ..given };
        let manager = ServiceManager::new(&given, 1);
        let began = tokio::time::Instant::now();
        let work = async {
            for _ in 0..4 {
                assert_eq!(next(&heard).await, "WATCHDOG=1");
            }
        };
        manager.alive_during(work).await;
        assert_eq!(began.elapsed().as_secs(), 30, "one at once and three at 10 s each");
    }

    #[test]
    fn a_watchdog_of_another_process_or_without_a_number_is_none() {
        let beat = |usec: &str, pid: Option<&str>| {
            let (watchdog_usec, watchdog_pid) = (Some(usec.into()), pid.map(str::to_owned));
            let given = Given { socket: Some("/run/notify".into()), watchdog_usec, watchdog_pid };
            ServiceManager::new(&given, 7).beat
        };
        let half = Some(Duration::from_secs(1));
        assert_eq!([beat("2000000", None), beat("2000000", Some("7"))], [half, half]);
        for (usec, pid) in [("2000000", Some("8")), ("", None), ("0", None), ("1", None)] {
            assert_eq!(beat(usec, pid), None, "{usec:?} {pid:?}");
        }
    }

    #[tokio::test]
    async fn a_node_goes_on_if_nobody_listens_under_the_name_it_was_given() {
        let folder = tempfile::tempdir().unwrap();
        let long = format!("/{}", "x".repeat(200));
        for name in ["", "notify", "vsock:2:1", "@", &long, folder.path().to_str().unwrap()] {
            let given = Given { socket: Some(name.into()), ..Given::default() };
            ServiceManager::new(&given, 1).tell(Notice::Ready).await;
        }
        ServiceManager::new(&Given::default(), 1).tell(Notice::Ready).await;
    }

    #[tokio::test]
    async fn a_socket_without_a_path_is_told_too() {
        let name = format!("vitals-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let heard = UnixDatagram::bind_addr(&address).unwrap();
        heard.set_nonblocking(true).unwrap();
        let heard = Heard::from_std(heard).unwrap();
        let given = Given { socket: Some(format!("@{name}").into()), ..Given::default() };
        ServiceManager::new(&given, 1).tell(Notice::Alive).await;
        assert_eq!(next(&heard).await, "WATCHDOG=1");
    }
}
