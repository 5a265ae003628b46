//! What goes wrong in a run, drawn from its seed before it begins.

use journal::fault::Cut;
use rand::Rng;
use rand::rngs::StdRng;
use std::fmt;

use crate::dice::{self, one_of_hundred};

/// Faults begin when the setup is done and everybody streams, milliseconds.
pub(crate) const FIRST_MS: u64 = 3_000;

/// Nothing is wrong from here on, milliseconds.
pub(crate) const HEALED_MS: u64 = 16_000;

/// One thing that goes wrong, or is well again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing passes between a gateway and the node.
    Partition { gateway: usize },
    /// Nothing of the gateway reaches the node, or the other way round.
    OneWay { gateway: usize, to_node: bool },
    /// It passes again.
    Repair { gateway: usize },
    /// So many datagrams of a hundred are lost.
    Loss { percent: u32 },
    /// The node goes down.
    Crash(Crash),
    /// A sync of the node's disk takes so long.
    NodeDisk { ms: u64 },
    /// A sync of a gateway's disk takes so long.
    GatewayDisk { gateway: usize, ms: u64 },
    /// A gateway's program is killed, and started again.
    Bounce { gateway: usize, down_ms: u64 },
    /// A gateway has another address.
    Move { gateway: usize },
    /// The base chain, or whoever answers for it.
    Chain(ChainTrouble),
}

/// What the base chain does to the settler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChainTrouble {
    /// Its node does not answer.
    Silent,
    /// It does again.
    Answers,
    /// It takes so many transactions, and loses them.
    Loses { transactions: u32 },
    /// So many blocks are gone, if they are not final.
    TakesBack { blocks: u64 },
}

/// How the node goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    pub(crate) cause: Cause,
    pub(crate) down_ms: u64,
    /// The power fails once more, at this call of the disk while it starts or soon after.
    pub(crate) again: Option<u64>,
}

/// Why it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its program is killed; what it had written stays as it is.
    Kill,
    /// The power fails at this call of its disk, or soon after where none comes.
    PowerCut { call: u64, cut: Cut },
    /// This call of its disk fails, and the program ends.
    DiskError { call: u64 },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A fault with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timed {
    pub(crate) at_ms: u64,
    pub(crate) fault: Fault,
}

/// The weather of a run.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// Shortest and longest way of a datagram, milliseconds: what is between them is drawn for
    /// each, so that they overtake one another.
    pub(crate) latency_ms: (u64, u64),
    /// Lost of a hundred datagrams, until the end of faults.
    pub(crate) loss_percent: u32,
    /// Whether what is lost is lost in a row, of a hundred losses.
    pub(crate) repair_percent: u32,
    /// In the order of their times.
    pub(crate) faults: Vec<Timed>,
}

/// Draws the weather of a seed.
pub(crate) fn weather(seed: u64, gateways: usize) -> Weather {
    let mut dice = dice::dice(seed, "weather");
    let least = dice.gen_range(1..=20);
    let latency_ms = (least, least + dice.gen_range(1..=60));
    let loss_percent = dice.gen_range(0..=6);
    let repair_percent = dice.gen_range(30..=100);
    let mut faults = Vec::new();
    let links = dice.gen_range(1..=4);
    (0..links).for_each(|_| break_link(&mut dice, gateways, &mut faults));
    let crashes = dice.gen_range(1..=3);
    (0..crashes).for_each(|_| crash(&mut dice, &mut faults));
    for _ in 0..dice.gen_range(0..=2) {
        let fault =
            Fault::Bounce { gateway: dice.gen_range(0..gateways), down_ms: down(&mut dice) };
        faults.push(Timed { at_ms: time(&mut dice), fault });
    }
    for _ in 0..dice.gen_range(0..=2) {
        let fault = Fault::Move { gateway: dice.gen_range(0..gateways) };
        faults.push(Timed { at_ms: time(&mut dice), fault });
    }
    slow_disks(&mut dice, gateways, &mut faults);
    let (at_ms, percent) = (time(&mut dice), dice.gen_range(5..=30));
    if one_of_hundred(&mut dice, 40) {
        faults.push(Timed { at_ms, fault: Fault::Loss { percent } });
        let until = at_ms + dice.gen_range(500..=3_000);
        faults.push(Timed { at_ms: until, fault: Fault::Loss { percent: loss_percent } });
    }
    trouble_chain(&mut dice::dice(seed, "chain"), &mut faults);
    // Stable: what was drawn first comes first where two have one time.
    faults.sort_by_key(|one| one.at_ms);
    Weather { latency_ms, loss_percent, repair_percent, faults }
}

fn time(dice: &mut StdRng) -> u64 {
    dice.gen_range(FIRST_MS..HEALED_MS)
}

fn down(dice: &mut StdRng) -> u64 {
    dice.gen_range(50..=3_000)
}

fn break_link(dice: &mut StdRng, gateways: usize, faults: &mut Vec<Timed>) {
    let (at_ms, gateway) = (time(dice), dice.gen_range(0..gateways));
    let fault = match dice.gen_range(0..3) {
        0 => Fault::Partition { gateway },
        1 => Fault::OneWay { gateway, to_node: true },
        _ => Fault::OneWay { gateway, to_node: false },
    };
    faults.push(Timed { at_ms, fault });
    let until = at_ms + dice.gen_range(200..=7_000);
    faults.push(Timed { at_ms: until, fault: Fault::Repair { gateway } });
}

fn crash(dice: &mut StdRng, faults: &mut Vec<Timed>) {
    let (at_ms, down_ms, call) = (time(dice), down(dice), dice.gen_range(1..=40));
    let cause = match dice.gen_range(0..4) {
        0 => Cause::Kill,
        1 => Cause::DiskError { call },
        _ => Cause::PowerCut { call, cut: Cut::ALL[dice.gen_range(0..Cut::ALL.len())] },
    };
    let again = one_of_hundred(dice, 40).then(|| dice.gen_range(1..=12));
    faults.push(Timed { at_ms, fault: Fault::Crash(Crash { cause, down_ms, again }) });
}

fn slow_disks(dice: &mut StdRng, gateways: usize, faults: &mut Vec<Timed>) {
    let gateway = dice.gen_range(0..gateways);
    for of_node in [true, false] {
        if !one_of_hundred(dice, 60) {
            continue;
        }
        let slow = |ms| match of_node {
            true => Fault::NodeDisk { ms },
            false => Fault::GatewayDisk { gateway, ms },
        };
        let (at_ms, ms) = (time(dice), dice.gen_range(5..=800));
        faults.push(Timed { at_ms, fault: slow(ms) });
        let until = at_ms + dice.gen_range(500..=5_000);
        faults.push(Timed { at_ms: until, fault: slow(0) });
    }
}

fn trouble_chain(dice: &mut StdRng, faults: &mut Vec<Timed>) {
    let mut add = |at_ms, trouble| faults.push(Timed { at_ms, fault: Fault::Chain(trouble) });
    for _ in 0..dice.gen_range(0..=2) {
        let (at_ms, blocks) = (time(dice), dice.gen_range(1..=3));
        add(at_ms, ChainTrouble::TakesBack { blocks });
    }
    if one_of_hundred(dice, 50) {
        let at_ms = time(dice);
        add(at_ms, ChainTrouble::Silent);
        add(at_ms + dice.gen_range(300..=5_000), ChainTrouble::Answers);
    }
    if one_of_hundred(dice, 50) {
        let (at_ms, transactions) = (time(dice), dice.gen_range(1..=3));
        add(at_ms, ChainTrouble::Loses { transactions });
    }
}
