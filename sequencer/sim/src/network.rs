//! The machine of a simulated host: turmoil's network under QUIC, numbers from the seed, a disk
//! that takes its time, and a power switch.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use machine::{Machine, Work};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use rand::RngCore;
use rand::rngs::StdRng;
use turmoil::net::UdpSocket;

use crate::dice;
use crate::lock::lock;
use crate::trace::Traffic;

/// Longest datagram that a path carries, as Ethernet has it: what is longer is lost, and the
/// transport finds out by trying.
const DATAGRAM_BYTES_MAX: usize = 1_472;

/// A host as its software sees it, over all its runs.
pub(crate) struct HostMachine {
    port: u16,
    dice: Mutex<StdRng>,
    /// Off: nothing leaves any more, until the host is started again.
    power: Arc<AtomicBool>,
    disk_ms: AtomicU64,
    traffic: Arc<Mutex<Traffic>>,
}

impl HostMachine {
    /// A host whose sockets are at this port; 0 takes a free one each time.
    pub(crate) fn new(
        seed: u64,
        name: &str,
        port: u16,
        traffic: &Arc<Mutex<Traffic>>,
    ) -> HostMachine {
        HostMachine {
            port,
            dice: Mutex::new(dice::dice(seed, name)),
            power: Arc::new(AtomicBool::new(true)),
            disk_ms: AtomicU64::new(0),
            traffic: Arc::clone(traffic),
        }
    }

    /// Switches it off where it stands, or on again.
    pub(crate) fn switch(&self, on: bool) {
        self.power.store(on, Ordering::SeqCst);
    }

    /// Whether it is on.
    pub(crate) fn is_on(&self) -> bool {
        self.power.load(Ordering::SeqCst)
    }

    /// How long its disk takes for each sync from now on.
    pub(crate) fn slow_disk(&self, milliseconds: u64) {
        self.disk_ms.store(milliseconds, Ordering::SeqCst);
    }

    /// How long its disk takes now.
    pub(crate) fn disk(&self) -> Duration {
        Duration::from_millis(self.disk_ms.load(Ordering::SeqCst))
    }
}

impl Machine for HostMachine {
    fn quic(&self) -> Arc<dyn Runtime> {
        Arc::new(HostRuntime {
            port: self.port,
            power: Arc::clone(&self.power),
            traffic: Arc::clone(&self.traffic),
        })
    }

    fn random(&self) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        lock(&self.dice).fill_bytes(&mut bytes);
        Some(bytes)
    }

    fn run_blocking(&self, work: Work) {
        let takes = self.disk();
        // A task of the host and no thread: threads come in no order that a seed decides.
        tokio::spawn(async move {
            tokio::time::sleep(takes).await;
            work();
        });
    }
}

/// QUIC's timers and tasks are tokio's, whose clock turmoil moves; its sockets are turmoil's.
#[derive(Debug)]
struct HostRuntime {
    port: u16,
    power: Arc<AtomicBool>,
    traffic: Arc<Mutex<Traffic>>,
}

impl Runtime for HostRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        TokioRuntime.spawn(future);
    }

    /// The real socket is closed unused: what both programs open themselves stays as it is, and
    /// only what QUIC makes of it is another one.
    fn wrap_udp_socket(&self, real: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        drop(real);
        let bind = pin!(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, self.port)));
        let Poll::Ready(bound) = bind.poll(&mut Context::from_waker(Waker::noop())) else {
            return Err(io::Error::other("expected a simulated socket to be bound at once"));
        };
        Ok(Arc::new(Socket {
            socket: Arc::new(bound?),
            readable: Mutex::default(),
            power: Arc::clone(&self.power),
            traffic: Arc::clone(&self.traffic),
        }))
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

type Readable = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

struct Socket {
    socket: Arc<UdpSocket>,
    /// What wakes the reader, while one waits.
    readable: Mutex<Option<Readable>>,
    power: Arc<AtomicBool>,
    traffic: Arc<Mutex<Traffic>>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

impl Socket {
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut readable = lock(&self.readable);
        let waited = readable.get_or_insert_with(|| {
            let socket = Arc::clone(&self.socket);
            Box::pin(async move { socket.readable().await })
        });
        let polled = waited.as_mut().poll(context);
        if polled.is_ready() {
            // It holds the socket's queue while it lives.
            *readable = None;
        }
        polled
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let (to, bytes) = (transmit.destination, transmit.contents);
        if !self.power.load(Ordering::SeqCst) || bytes.len() > DATAGRAM_BYTES_MAX {
            return Ok(());
        }
        lock(&self.traffic).sent(self.socket.local_addr()?, to, bytes);
        self.socket.try_send_to(bytes, to).map(drop)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buffer), Some(meta)) = (buffers.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        loop {
            match self.socket.try_recv_from(buffer) {
                Ok((len, addr)) => {
                    *meta = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None };
                    return Poll::Ready(Ok(1));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            match self.poll_readable(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// A simulated socket takes what it is given.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
