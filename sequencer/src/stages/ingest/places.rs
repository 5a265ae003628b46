//! Who has a place: handshakes under way by network, connections by certificate.
//!
//! ```text
//!   datagram -> [handshake, by network] -> certificate, registry -> [connection, by certificate]
//!     all taken: the network that has          all taken: the certificate that has most gives its
//!     most gives its oldest up                 oldest up, if it keeps as many as the newcomer has
//! ```
//! A stranger has no certificate and gets no further than the first, where it competes with nobody
//! but itself. Of the connections a part is the wallets' alone: a stop must get in however many
//! gateways there are.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::RejectCode;
use quinn::Connection;
use tokio::sync::oneshot;
use wire::{Holder, Role};

use super::close::close;
use super::config::IngestConfig;
use super::crowd::Crowd;
use super::observe::{Observe, Observed};

/// Where datagrams come from, as far as one sender can choose: an address of IPv4, and of IPv6 the
/// 64 bits that a site is given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Network(IpAddr);

impl Network {
    pub(super) fn of(address: IpAddr) -> Network {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let host_bits = u128::from(u64::MAX);
                Network(IpAddr::V6((u128::from(address) & !host_bits).into()))
            }
            address => Network(address),
        }
    }

    /// The address with all bits that a sender can choose at zero; of IPv4 the mapped one.
    pub(super) fn octets(self) -> [u8; 16] {
        match self.0 {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        }
    }
}

/// All places of the server.
pub(super) struct Places {
    limits: Limits,
    handshakes: Mutex<Crowd<Network, oneshot::Sender<()>>>,
    connections: Mutex<Connections<Connection>>,
    observe: Arc<dyn Observe>,
}

#[derive(Clone, Copy)]
struct Limits {
    handshakes_max: usize,
    connections_max: usize,
    /// How many of them only wallets may take.
    reserved: usize,
    per_certificate_max: usize,
}

/// Members are told that they give way by whoever takes them out.
struct Connections<T> {
    wallets: Crowd<Holder, T>,
    others: Crowd<Holder, T>,
}

/// The place of a handshake. Dropping it frees it.
pub(super) struct HandshakePlace {
    places: Arc<Places>,
    network: Network,
    number: u64,
    gives_way: oneshot::Receiver<()>,
}

/// The place of a connection. Dropping it frees it.
pub(super) struct ConnectionPlace {
    places: Arc<Places>,
    holder: Holder,
    role: Role,
    number: u64,
}

impl Places {
    pub(super) fn new(config: &IngestConfig, observe: Arc<dyn Observe>) -> Places {
        let limits = Limits {
            handshakes_max: config.handshakes_max,
            connections_max: config.connections_max,
            reserved: config.wallet_connections(),
            per_certificate_max: config.connections_per_certificate_max,
        };
        let connections = Connections { wallets: Crowd::default(), others: Crowd::default() };
        let connections = Mutex::new(connections);
        Places { limits, handshakes: Mutex::default(), connections, observe }
    }

    /// Handshakes under way.
    pub(super) fn handshakes(&self) -> usize {
        self.handshakes_now().len()
    }

    /// A place for a handshake from this address. There always is one: if all are taken, the
    /// network that has most gives its oldest up.
    pub(super) fn begin_handshake(self: &Arc<Places>, from: IpAddr) -> HandshakePlace {
        let (tell, gives_way) = oneshot::channel();
        let network = Network::of(from);
        let mut handshakes = self.handshakes_now();
        while handshakes.len() >= self.limits.handshakes_max {
            // Refusing the newcomer instead would let whoever came first, and does not go on, keep
            // everybody out for as long as a handshake may take.
            let Some((largest, _)) = handshakes.largest() else { break };
            // It notices by its sender, which is dropped here.
            drop(handshakes.take_oldest(largest));
            self.observe.observe(Observed::HandshakeGaveWay);
        }
        let number = handshakes.enter(network, tell);
        drop(handshakes);
        self.observe.observe(Observed::HandshakeBegun);
        HandshakePlace { places: Arc::clone(self), network, number, gives_way }
    }

    /// A place for the connection of an entitled peer.
    ///
    /// # Errors
    /// [`RejectCode::Busy`] if all that it may have are taken by others that have no more than it.
    pub(super) fn take(
        self: &Arc<Places>,
        holder: Holder,
        role: Role,
        connection: &Connection,
    ) -> Result<ConnectionPlace, RejectCode> {
        let mut connections = self.connections_now();
        let gives_way = connections.make_room(holder, role, self.limits)?;
        let number = connections.of_role(role).enter(holder, connection.clone());
        drop(connections);
        if let Some(connection) = gives_way {
            self.observe.observe(Observed::ConnectionGaveWay);
            // What it had under way is acknowledged when it comes again.
            close(&connection, RejectCode::Busy);
        }
        Ok(ConnectionPlace { places: Arc::clone(self), holder, role, number })
    }

    /// Moves of members: a panic elsewhere leaves none half made.
    fn handshakes_now(&self) -> MutexGuard<'_, Crowd<Network, oneshot::Sender<()>>> {
        self.handshakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections_now(&self) -> MutexGuard<'_, Connections<Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Connections<T> {
    fn of_role(&mut self, role: Role) -> &mut Crowd<Holder, T> {
        match role {
            Role::Wallet => &mut self.wallets,
            Role::Gateway | Role::Practitioner | Role::Operator => &mut self.others,
        }
    }

    /// Takes out who gives way to a newcomer, if anybody has to.
    fn make_room(
        &mut self,
        holder: Holder,
        role: Role,
        limits: Limits,
    ) -> Result<Option<T>, RejectCode> {
        let own = self.of_role(role).of(holder);
        // Its own oldest: whoever lost a connection comes again before the node has noticed.
        if own >= limits.per_certificate_max {
            return Ok(self.of_role(role).take_oldest(holder));
        }
        let all_taken = self.wallets.len() + self.others.len() >= limits.connections_max;
        let share_taken =
            role != Role::Wallet && self.others.len() >= limits.connections_max - limits.reserved;
        if !all_taken && !share_taken {
            return Ok(None);
        }
        let most = |crowd: &Crowd<Holder, T>| crowd.largest().map_or(0, |(_, has)| has);
        // A wallet's place is of no use to others while their share is taken.
        let of_wallets = !share_taken && most(&self.wallets) > most(&self.others);
        let crowd = if of_wallets { &mut self.wallets } else { &mut self.others };
        match crowd.largest() {
            // Only if it keeps as many as the newcomer has then: two of equal right would push each
            // other out for ever.
            Some((largest, has)) if has > own + 1 => Ok(crowd.take_oldest(largest)),
            _ => Err(RejectCode::Busy),
        }
    }
}

impl HandshakePlace {
    /// Waits until it must be given up.
    pub(super) async fn gives_way(&mut self) {
        // Nothing is ever sent: the sender is dropped with the place.
        drop((&mut self.gives_way).await);
    }
}

impl Drop for HandshakePlace {
    fn drop(&mut self) {
        self.places.handshakes_now().leave(self.network, self.number);
        self.places.observe.observe(Observed::HandshakeEnded);
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let mut connections = self.places.connections_now();
        connections.of_role(self.role).leave(self.holder, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight places, two of them for wallets alone, three for one certificate.
    struct Door(Connections<&'static str>);

    impl Door {
        fn open() -> Door {
            Door(Connections { wallets: Crowd::default(), others: Crowd::default() })
        }

        /// Who gives way to a newcomer, which is in then, or that it is busy.
        fn take(&mut self, role: Role, name: &'static str) -> Result<Option<&'static str>, ()> {
            let limits = Limits {
                handshakes_max: 1,
                connections_max: 8,
                reserved: 2,
                per_certificate_max: 3,
            };
            let holder = Holder::new(role, name);
            let gives_way = self.0.make_room(holder, role, limits).map_err(|code| {
                assert_eq!(code, RejectCode::Busy);
            })?;
            self.0.of_role(role).enter(holder, name);
            Ok(gives_way)
        }

        fn fill(&mut self, role: Role, name: &'static str, times: usize) {
            (0..times).for_each(|_| assert_eq!(self.take(role, name), Ok(None)));
        }
    }

    #[test]
    fn one_certificate_takes_its_share_and_no_more() {
        let mut door = Door::open();
        door.fill(Role::Gateway, "a", 3);
        assert_eq!(door.take(Role::Gateway, "a"), Ok(Some("a")));
        door.fill(Role::Wallet, "app", 3);
        assert_eq!(door.take(Role::Wallet, "app"), Ok(Some("app")));
    }

    #[test]
    fn gateways_fill_their_share_and_a_wallet_still_gets_in() {
        let mut door = Door::open();
        door.fill(Role::Gateway, "a", 3);
        door.fill(Role::Operator, "b", 3);
        // What has most gives way until all have the same.
        assert_eq!(door.take(Role::Practitioner, "c"), Ok(Some("a")));
        assert_eq!(door.take(Role::Gateway, "d"), Ok(Some("b")));
        assert_eq!(door.take(Role::Gateway, "e"), Ok(Some("a")));
        assert_eq!(door.take(Role::Gateway, "f"), Ok(Some("b")));
        assert_eq!(door.take(Role::Gateway, "g"), Err(()), "six with one each");
        assert_eq!(door.take(Role::Gateway, "a"), Err(()));
        door.fill(Role::Wallet, "app", 2);
        assert_eq!(door.take(Role::Wallet, "other"), Ok(Some("app")));
        assert_eq!(door.take(Role::Wallet, "third"), Err(()));
    }

    #[test]
    fn wallets_may_take_all_and_give_way_where_one_has_more() {
        let mut door = Door::open();
        door.fill(Role::Wallet, "app", 3);
        door.fill(Role::Wallet, "other", 3);
        door.fill(Role::Wallet, "third", 2);
        assert_eq!(door.take(Role::Gateway, "a"), Ok(Some("app")));
    }

    #[test]
    fn a_network_is_what_one_sender_can_choose_from() {
        let network = |text: &str| Network::of(text.parse().unwrap());
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_eq!(network("2001:db8:0:1::1"), network("2001:db8:0:1:ffff::2"));
        assert_ne!(network("2001:db8:0:1::1"), network("2001:db8:0:2::1"));
    }
}
