//! A small chain, an outbox and a settler's memory, in which the plan's actions are played: from
//! any state, once the faults end, everything assembled settles exactly once.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;

const BATCHES: u64 = 12;
/// How long a window is, and how far the chain's clock is behind the operator's.
const WINDOW_MS: u64 = 60_000;
const BEHIND_MS: u64 = 20_000;
const BEGIN_MS: u64 = 1_000_000;
/// Blocks that may be taken back; a node is behind by as many at most.
const UNFINAL: usize = 3;
const FAULTY_STEPS: usize = 300;
const HONEST_STEPS: usize = 600;

/// A transaction that settles batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Transaction {
    nonce: u64,
    id: u64,
    first: u64,
    last: u64,
    fee: u64,
    /// It runs out of gas.
    starves: bool,
}

/// A block and what holds after it.
#[derive(Clone, Debug)]
struct Block {
    id: u64,
    /// Its transaction, and whether that succeeded.
    mined: Option<(Transaction, bool)>,
    nonce: u64,
    settled: u64,
}

/// An outbox row, by nonce, with every transaction that was made for it.
#[derive(Clone, Debug)]
struct Made {
    state: OutboxState,
    transactions: Vec<Transaction>,
}

/// What the chain's node does for now.
#[derive(Clone, Copy, Default, Debug)]
struct Faults {
    /// Each look may be of a block that so many others follow.
    behind: usize,
    /// What is added to the account's nonce.
    nonce: i64,
    /// The counter shows the batch before.
    counts_less: bool,
    /// Receipts show the contrary.
    lies: bool,
    /// There are no receipts.
    no_receipts: bool,
    /// What is sent is lost.
    loses: bool,
    /// The least fee that is taken.
    market: u64,
    /// Estimates are too low.
    starves: bool,
}

const FEE_MAX: u64 = 100;

struct World {
    random: StdRng,
    now: u64,
    blocks: Vec<Block>,
    pool: Vec<Transaction>,
    outbox: BTreeMap<u64, Made>,
    recorded: u64,
    sent: Option<u64>,
    underpriced: Option<u64>,
    doubt: Option<Doubted>,
    hold: Option<(u64, Millis)>,
    ids: u64,
    faults: Faults,
    config: SettleConfig,
}

fn at(ms: u64) -> Millis {
    Millis::new(ms).unwrap()
}

impl World {
    fn new(seed: u64) -> World {
        let genesis = Block { id: 0, mined: None, nonce: 5, settled: 0 };
        World {
            random: StdRng::seed_from_u64(seed),
            // Some windows are over as it begins.
            now: BEGIN_MS + BATCHES / 2 * WINDOW_MS,
            blocks: vec![genesis; UNFINAL + 1],
            pool: Vec::new(),
            outbox: BTreeMap::new(),
            recorded: 0,
            sent: None,
            underpriced: None,
            doubt: None,
            hold: None,
            ids: 1,
            faults: Faults::default(),
            config: SettleConfig { batches_max: 4, ..SettleConfig::default() },
        }
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn head(&self) -> &Block {
        self.blocks.last().unwrap()
    }

    /// The block in which a transaction of this row is, by position.
    fn find(&self, made: &Made) -> Option<(usize, bool)> {
        let of_row = |(transaction, _): &(Transaction, bool)| {
            made.transactions.iter().any(|known| known.id == transaction.id)
        };
        let found = |(place, block): (usize, &Block)| {
            block.mined.filter(of_row).map(|(_, succeeded)| (place, succeeded))
        };
        self.blocks.iter().enumerate().find_map(found)
    }

    fn view(&mut self) -> View {
        let behind = self.random.gen_range(0..=self.faults.behind.min(self.blocks.len() - 1));
        let place = self.blocks.len() - 1 - behind;
        let block = self.blocks[place].clone();
        let settled = block.settled.saturating_sub(u64::from(self.faults.counts_less));
        let mut rows = Vec::new();
        for (nonce, made) in &self.outbox {
            if matches!(made.state, OutboxState::Final { .. } | OutboxState::Void) {
                continue;
            }
            let seen = if self.faults.no_receipts { None } else { self.find(made) };
            let latest = made.transactions.last().unwrap();
            let known = self.pool.iter().any(|pooled| pooled.id == latest.id);
            let found = seen.map_or(OnChain::Nothing { known }, |(place, succeeded)| {
                let block_hash = [self.blocks[place].id as u8; 32];
                let succeeded = succeeded != self.faults.lies;
                OnChain::Mined { block: place as u64, block_hash, succeeded }
            });
            rows.push(Row { nonce: *nonce, last: latest.last, state: made.state, found });
        }
        let open = |state| matches!(state, OutboxState::Built | OutboxState::Sent { .. });
        let open = rows.iter().find(|row| open(row.state)).map(|row| row.nonce);
        let window = |number| (number, at(BEGIN_MS + number * WINDOW_MS));
        let most = BATCHES.min(settled + self.config.batches_max as u64);
        self.hold = self.hold.filter(|(before, _)| *before == settled);
        View {
            now: at(self.now),
            head: place as u64,
            head_hash: [block.id as u8; 32],
            account_nonce: block.nonce.saturating_add_signed(self.faults.nonce),
            finalized: (self.blocks.len() - 1 - UNFINAL) as u64,
            settled,
            recorded: self.recorded,
            rows,
            waiting: (settled + 1..=most).map(window).collect(),
            sent_here: open.is_some() && open == self.sent,
            underpriced: open.is_some() && open == self.underpriced,
            doubt: self.doubt,
            hold_until: self.hold.map(|(_, until)| until),
        }
    }

    /// Puts a transaction of the pool into a block, or mines an empty one.
    fn mine(&mut self) {
        let head = self.head().clone();
        let next =
            self.pool.iter().find(|one| one.nonce == head.nonce && one.fee >= self.faults.market);
        let mined = next.copied();
        let id = self.id();
        let mut block = Block { id, mined: None, ..head };
        if let Some(transaction) = mined {
            self.pool.retain(|other| other.nonce != transaction.nonce);
            let over = BEGIN_MS + transaction.last * WINDOW_MS + BEHIND_MS <= self.now;
            let follows = transaction.first == block.settled + 1;
            let succeeded = over && follows && !transaction.starves;
            block.nonce += 1;
            if succeeded {
                block.settled = transaction.last;
            }
            block.mined = Some((transaction, succeeded));
        }
        self.blocks.push(block);
    }

    fn take_back(&mut self, depth: usize) {
        for block in self.blocks.split_off(self.blocks.len() - depth) {
            // Some nodes take its transaction up again, and some do not.
            if let Some((transaction, _)) = block.mined
                && self.random.gen_bool(0.5)
            {
                self.pool.push(transaction);
            }
        }
    }

    fn change(&mut self) {
        let yes = self.random.gen_bool(0.5);
        match self.random.gen_range(0..12) {
            0 => self.faults.behind = self.random.gen_range(0..UNFINAL),
            1 => self.faults.nonce = if yes { self.random.gen_range(-2..=3) } else { 0 },
            2 => self.faults.counts_less = yes,
            3 => self.faults.lies = yes,
            4 => self.faults.no_receipts = yes,
            5 => self.faults.loses = yes,
            6 => self.faults.market = if yes { self.random.gen_range(0..2 * FEE_MAX) } else { 0 },
            7 => self.faults.starves = yes,
            8 => self.pool.clear(),
            9 => {
                // The chain is never shorter than what was final.
                let depth = self.random.gen_range(0..UNFINAL);
                self.take_back(depth);
                (0..depth).for_each(|_| self.mine());
            }
            // The node starts again.
            10 => {
                (self.sent, self.underpriced) = (None, None);
                (self.doubt, self.hold) = (None, None);
            }
            _ => self.faults = Faults::default(),
        }
    }

    fn send(&mut self, nonce: u64) {
        let made = self.outbox.get_mut(&nonce).unwrap();
        let transaction = *made.transactions.last().unwrap();
        if made.state == OutboxState::Built {
            made.state = OutboxState::Sent { at: at(self.now), times: 0 };
            self.sent = None;
        }
        let is_used = self.blocks.last().unwrap().nonce > nonce;
        let pooled = self.pool.iter_mut().find(|pooled| pooled.nonce == nonce);
        let is_cheap = pooled.as_ref().is_some_and(|other| {
            other.id != transaction.id && transaction.fee * 10 < other.fee * 11
        });
        if !is_used && (transaction.fee < self.faults.market || is_cheap) {
            self.underpriced = Some(nonce);
            return;
        }
        match pooled {
            _ if self.faults.loses || is_used => {}
            Some(other) => *other = transaction,
            None => self.pool.push(transaction),
        }
        let made = self.outbox.get_mut(&nonce).unwrap();
        if let OutboxState::Sent { times, .. } = made.state {
            made.state = OutboxState::Sent { at: at(self.now), times: times + 1 };
        }
        (self.sent, self.underpriced) = (Some(nonce), None);
    }

    fn replace(&mut self, nonce: u64) {
        let (id, market) = (self.id(), self.faults.market);
        let made = self.outbox.get_mut(&nonce).unwrap();
        let old = *made.transactions.last().unwrap();
        let fee = old.fee + old.fee / 8 + 1;
        if fee > FEE_MAX {
            return self.send(nonce);
        }
        let fee = fee.max(market.min(FEE_MAX));
        made.transactions.push(Transaction { id, fee, ..old });
        made.state = OutboxState::Built;
        self.underpriced = None;
    }

    fn build(&mut self, view: &View, first: u64, last: u64) {
        // The contract of the block that was looked at judges, with the chain's clock.
        let over = |number: u64| BEGIN_MS + number * WINDOW_MS + BEHIND_MS <= self.now;
        let last = (first..=last).take_while(|number| over(*number)).last();
        let honest = self.blocks[view.head as usize].settled + 1 == first;
        let Some(last) = last.filter(|_| honest) else { return };
        let after = view.rows.iter().map(|row| row.nonce + 1).max().unwrap_or(0);
        let nonce = view.account_nonce.max(after);
        let taken = self.outbox.get(&nonce).is_some_and(|made| made.state != OutboxState::Void);
        if taken {
            return;
        }
        let (id, starves) = (self.id(), self.faults.starves);
        let fee = self.faults.market.clamp(1, FEE_MAX);
        let transaction = Transaction { nonce, id, first, last, fee, starves };
        let made = Made { state: OutboxState::Built, transactions: vec![transaction] };
        self.outbox.insert(nonce, made);
    }

    fn act(&mut self, view: &View, action: Action) {
        let doubt = match action {
            Action::Recheck(what) => Some(Doubted::seen_again(self.doubt, what, at(self.now))),
            _ => None,
        };
        self.doubt = doubt;
        match action {
            Action::Idle | Action::Wait(_) | Action::Recheck(_) => {}
            // The events are those of the whole chain.
            Action::Adopt => self.recorded = self.head().settled.max(view.settled),
            Action::Build { first, last } => self.build(view, first, last),
            Action::Send(nonce) => self.send(nonce),
            Action::Replace(nonce) => self.replace(nonce),
            Action::Record(nonce) => {
                let Some((place, true)) = self.find(&self.outbox[&nonce]) else { return };
                let block = self.blocks[place].clone();
                let (transaction, _) = block.mined.unwrap();
                self.recorded = self.recorded.max(transaction.last);
                let (hash, block_hash) = ([0; 32], [block.id as u8; 32]);
                let state = OutboxState::Mined { hash, block: place as u64, block_hash };
                self.outbox.get_mut(&nonce).unwrap().state = state;
            }
            Action::Reopen(nonce) => {
                let made = self.outbox.get_mut(&nonce).unwrap();
                made.state = OutboxState::Sent { at: at(self.now), times: 1 };
                self.recorded = self.recorded.min(made.transactions[0].first - 1);
                self.sent = None;
            }
            Action::Finish(nonce) => {
                let state = OutboxState::Final { hash: [0; 32], block: 0 };
                self.outbox.get_mut(&nonce).unwrap().state = state;
            }
            Action::Void(nonce) | Action::Failed(nonce) => {
                let made = self.outbox.get_mut(&nonce).unwrap();
                if matches!(made.state, OutboxState::Mined { .. }) {
                    self.recorded = self.recorded.min(made.transactions[0].first - 1);
                }
                made.state = OutboxState::Void;
                if action == Action::Failed(nonce) {
                    let until = at(self.now).plus(self.config.retry_first_ms);
                    self.hold = Some((view.settled, until));
                }
            }
        }
    }

    /// A look, an action, and what goes by.
    fn step(&mut self) -> Action {
        let view = self.view();
        let action = next_action(&view, &self.config);
        self.act(&view, action);
        if matches!(action, Action::Idle | Action::Wait(_) | Action::Recheck(_)) {
            self.now += self.config.poll_ms;
        }
        if self.random.gen_bool(0.3) {
            self.mine();
        }
        action
    }

    fn is_settled(&self) -> bool {
        let done =
            |made: &Made| !matches!(made.state, OutboxState::Built | OutboxState::Sent { .. });
        self.recorded == BATCHES && self.head().settled == BATCHES && self.outbox.values().all(done)
    }

    /// Each batch, as often as a transaction settled it.
    fn counts(&self) -> BTreeMap<u64, usize> {
        let mut counts = BTreeMap::new();
        for (transaction, succeeded) in self.blocks.iter().filter_map(|block| block.mined) {
            for number in (transaction.first..=transaction.last).filter(|_| succeeded) {
                *counts.entry(number).or_default() += 1;
            }
        }
        counts
    }
}

/// In how many worlds something was seen before the faults ended.
#[derive(Debug, Default)]
struct Reached {
    failed: usize,
    settled: usize,
    voided: usize,
}

#[test]
fn from_any_view_everything_assembled_settles_once_after_the_faults() {
    let mut reached = Reached::default();
    for seed in 0..400 {
        let mut world = World::new(seed);
        for _ in 0..FAULTY_STEPS {
            if world.random.gen_bool(0.4) {
                world.change();
            }
            world.step();
        }
        let failed = |block: &Block| block.mined.is_some_and(|(_, succeeded)| !succeeded);
        reached.failed += usize::from(world.blocks.iter().any(failed));
        reached.settled += usize::from(world.head().settled > 0);
        let voided = |made: &Made| made.state == OutboxState::Void;
        reached.voided += usize::from(world.outbox.values().any(voided));
        world.faults = Faults::default();
        world.now += BATCHES * WINDOW_MS + BEHIND_MS;
        let mut steps = 0;
        while !world.is_settled() {
            let action = world.step();
            steps += 1;
            let (outbox, doubt) = (&world.outbox, world.doubt);
            assert!(steps < HONEST_STEPS, "seed {seed}: {action:?}, {doubt:?}, {outbox:#?}");
        }
        assert_eq!(world.counts(), (1..=BATCHES).map(|number| (number, 1)).collect());
    }
    let least = reached.failed.min(reached.settled).min(reached.voided);
    assert!(least > 40, "the faults reach little: {reached:?} of 400");
}

#[test]
fn a_nonce_that_was_too_high_for_a_moment_is_found_out() {
    let mut world = World::new(1);
    world.now += BATCHES * WINDOW_MS + BEHIND_MS;
    world.faults.nonce = 3;
    while !matches!(world.step(), Action::Send(_)) {}
    world.faults = Faults::default();
    let begun = world.now;
    while world.head().settled == 0 {
        world.step();
    }
    assert!(world.outbox.values().any(|made| made.state == OutboxState::Void));
    let spent = world.now - begun;
    assert!(spent < 2 * world.config.doubt_ms, "{spent} ms");
}

/// Some nodes behind one address are always behind: everything settles, and nothing that was sent
/// is given up or sent twice for it.
#[test]
fn nodes_that_are_behind_make_nothing_be_given_up() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        world.now += BATCHES * WINDOW_MS + BEHIND_MS;
        world.faults.behind = UNFINAL - 1;
        let mut steps = 0;
        while !world.is_settled() {
            let action = world.step();
            let gives_up = matches!(action, Action::Void(_) | Action::Failed(_));
            assert!(!gives_up && !matches!(action, Action::Reopen(_)), "seed {seed}: {action:?}");
            steps += 1;
            assert!(steps < HONEST_STEPS, "seed {seed}: {action:?}, {:#?}", world.outbox);
        }
        let mined = world.blocks.iter().filter_map(|block| block.mined);
        assert_eq!(mined.count() as u64, BATCHES / world.config.batches_max as u64);
    }
}
