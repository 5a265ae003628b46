//! UDP sockets with buffers of a size that is asked for and read back.
//!
//! Datagrams that come while nobody reads wait in a buffer of the system, and those that find it
//! full are dropped: QUIC sends them again, later and slower. What a system gives unasked holds
//! some hundred datagrams, which one burst of a single peer fills. It grants what is asked for up
//! to a limit of its own and says nothing where that is less, so that both ends of a connection
//! ask here and look at what they got.
//!
//! ```
//! let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
//! let (socket, buffers) = udp::bind(any, udp::BUFFER_BYTES)?;
//! if let Some(short) = buffers.short() {
//!     eprintln!("{short}");
//! }
//! # drop(socket);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::SockRef;

/// What both ends ask for, each way: 4 MiB, 20 ms of datagrams at 200 MB/s.
pub const BUFFER_BYTES: usize = 4 << 20;

/// What both ends take in one datagram at most: 6,500 bytes. A packet costs each end about the same
/// however long it is, so that long ones carried 2.3 times as much a second; ten of them, which is
/// what the transport hands to the system at once, must stay below the 64 KiB that it takes. How
/// much of it a path carries is found out by trying (RFC 9000, section 14.3): 1,200 bytes do
/// always, Ethernet takes 1,472, jumbo frames and one machine to itself all of it.
pub const DATAGRAM_BYTES_MAX: u16 = 6_500;

/// What was asked for and what was granted, bytes of datagrams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buffers {
    /// Asked for, each way.
    pub asked: usize,
    /// Of datagrams that came and were not read yet.
    pub receive: usize,
    /// Of datagrams that were written and are not sent yet.
    pub send: usize,
}

/// Buffers that are smaller than was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Short(Buffers);

/// A socket at `address` with buffers of `asked` bytes each way, or of as many as the system
/// grants. Memory: the system's and not the program's, taken as datagrams come; with its own
/// bookkeeping it may be twice as much.
///
/// # Errors
/// If the address cannot be had. That a buffer is smaller is no error.
pub fn bind(address: SocketAddr, asked: usize) -> io::Result<(UdpSocket, Buffers)> {
    let socket = UdpSocket::bind(address)?;
    let buffers = ask(&socket, asked)?;
    Ok((socket, buffers))
}

fn ask(socket: &UdpSocket, asked: usize) -> io::Result<Buffers> {
    let socket = SockRef::from(socket);
    // One system grants less in silence and another refuses: what counts is what is read back.
    socket.set_recv_buffer_size(asked).ok();
    socket.set_send_buffer_size(asked).ok();
    let (receive, send) = (socket.recv_buffer_size()?, socket.send_buffer_size()?);
    Ok(Buffers { asked, receive: of_datagrams(receive), send: of_datagrams(send) })
}

/// Linux doubles what is asked for, for its bookkeeping, and reads back the double (socket(7)).
fn of_datagrams(read_back: usize) -> usize {
    if cfg!(target_os = "linux") { read_back / 2 } else { read_back }
}

impl Buffers {
    /// What to say where less was granted than asked for.
    pub fn short(&self) -> Option<Short> {
        (self.receive < self.asked || self.send < self.asked).then_some(Short(*self))
    }
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Short(Buffers { asked, receive, send }) = self;
        write!(
            f,
            "expected UDP buffers of {asked} bytes, the system grants {receive} to receive and \
             {send} to send: under load datagrams are dropped and sent again; raise its limit, on \
             Linux with `sysctl -w net.core.rmem_max={asked} net.core.wmem_max={asked}` and in \
             /etc/sysctl.d, and start again"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anywhere() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn a_buffer_is_as_large_as_was_asked_for_and_read_back_in_the_same_unit() {
        // Below what any system grants without being told to.
        let asked = 64 << 10;
        let (socket, buffers) = bind(anywhere(), asked).unwrap();
        assert_eq!((buffers.receive, buffers.send), (asked, asked));
        assert_eq!(buffers.short(), None);
        assert!(socket.local_addr().unwrap().port() > 0);
    }

    #[test]
    fn a_system_that_grants_less_is_no_error_and_is_told_of() {
        // More than a system grants: nobody gives a socket a tenth of it.
        let asked = 1 << 30;
        let (_, buffers) = bind(anywhere(), asked).unwrap();
        assert!(buffers.receive >= 64 << 10, "never less than before: {buffers:?}");
        let less = buffers.receive < asked || buffers.send < asked;
        assert_eq!(buffers.short().is_some(), less, "{buffers:?}");
    }

    #[test]
    fn what_is_said_has_both_sizes_and_the_remedy() {
        for (receive, send) in [(212_992, 4 << 20), (4 << 20, 212_992)] {
            let buffers = Buffers { asked: 4 << 20, receive, send };
            let said = buffers.short().unwrap().to_string();
            assert!(said.contains("4194304") && said.contains("212992"), "{said}");
            assert!(said.contains("sysctl -w net.core.rmem_max=4194304"), "{said}");
        }
        let enough = Buffers { asked: 4 << 20, receive: 8 << 20, send: 4 << 20 };
        assert_eq!(enough.short(), None);
    }

    #[test]
    fn an_address_that_is_taken_is_an_error() {
        let (socket, _) = bind(anywhere(), BUFFER_BYTES).unwrap();
        assert!(bind(socket.local_addr().unwrap(), BUFFER_BYTES).is_err());
    }
}
