//! Random operations against the simplest model of a log: a vector.

use journal::fault::{Cut, FaultMedium, salts};
use journal::{Entry, EntryKind, Log};
use proptest::prelude::*;

use crate::support::{FIRST, GENESIS, START_MS, all_entries, holding};

#[derive(Clone, Debug)]
enum Op {
    Append(Vec<(u8, u64, Vec<u8>)>),
    Read(u64),
    IterFrom(u64),
    Reopen,
    FailThenReopen(u64),
    PowerCut(usize, u64),
    MakeAhead,
}

fn op() -> impl Strategy<Value = Op> {
    let body = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..80),
        1 => (500..2_000usize).prop_map(|len| vec![0; len]),
    ];
    let group = proptest::collection::vec((1..=12u8, 0..4u64, body), 1..6);
    prop_oneof![
        6 => group.prop_map(Op::Append),
        2 => (0..60u64).prop_map(Op::Read),
        1 => (0..60u64).prop_map(Op::IterFrom),
        1 => Just(Op::Reopen),
        1 => (1..8u64).prop_map(Op::FailThenReopen),
        1 => Just(Op::MakeAhead),
        1 => (0..Cut::ALL.len(), any::<u64>()).prop_map(|(cut, seed)| Op::PowerCut(cut, seed)),
    ]
}

/// The log, its medium, and what it must hold. `doubtful` was appended without acknowledgement.
struct Pair {
    medium: FaultMedium,
    log: Log<FaultMedium>,
    model: Vec<Entry>,
    doubtful: Vec<Entry>,
}

impl Pair {
    fn new() -> Pair {
        // Small files, so that many operations fall on a change from one to the next.
        let medium = FaultMedium::default().with_lengths(1_024, 4_096);
        let (log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
        Pair { medium, log, model: Vec::new(), doubtful: Vec::new() }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Append(group) => self.append(group),
            Op::Read(position) => {
                let expected = position.checked_sub(1).and_then(|i| self.model.get(i as usize));
                assert_eq!(self.log.read(position).ok().as_ref(), expected);
            }
            Op::IterFrom(position) => {
                let found = self.log.iter_from(position).map(|item| item.expect("readable").1);
                let skip = position.max(1) as usize - 1;
                assert!(found.eq(self.model.iter().skip(skip).cloned()));
            }
            Op::Reopen => self.reopen(self.medium.clone()),
            Op::FailThenReopen(call) => self.medium.fail_at(call),
            Op::PowerCut(cut, seed) => {
                self.reopen(self.medium.after_power_cut(Cut::ALL[cut], seed));
            }
            // An injected failure is the next append's to make good.
            Op::MakeAhead => drop(self.log.make_ahead()),
        }
    }

    fn append(&mut self, group: Vec<(u8, u64, Vec<u8>)>) {
        let mut time = self.model.last().map_or(START_MS, |entry| entry.time);
        let entries: Vec<Entry> = group
            .into_iter()
            .map(|(kind, later, body)| {
                time += later;
                Entry::new(EntryKind::from_code(kind).expect("not zero"), time, body)
            })
            .collect();
        if self.log.append(&entries).is_ok() {
            self.model.extend(entries);
        } else {
            self.doubtful = entries;
            self.reopen(self.medium.clone());
        }
    }

    fn reopen(&mut self, medium: FaultMedium) {
        self.medium = medium;
        // An injected failure may hit the recovery; it is injected once.
        let open = || Log::open(self.medium.clone(), GENESIS, salts());
        self.log = open().or_else(|_| open()).expect("reopens").0;
        let doubtful = std::mem::take(&mut self.doubtful);
        if self.log.head().position > self.model.len() as u64 {
            self.model.extend(doubtful);
        }
        assert_eq!(all_entries(&self.log), self.model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn a_log_under_random_operations_is_a_vector(ops in proptest::collection::vec(op(), 1..40)) {
        let mut pair = Pair::new();
        ops.into_iter().for_each(|op| pair.apply(op));
        pair.reopen(pair.medium.clone());
    }

    #[test]
    fn no_bytes_make_opening_panic(
        tail in proptest::collection::vec(any::<u8>(), 0..700),
        at in 0..400usize,
    ) {
        let medium = crate::support::medium_with(&crate::support::groups(40, &[2, 1], 60));
        let mut bytes = medium.file(FIRST);
        let length = bytes.len();
        bytes.truncate(at);
        bytes.extend(tail);
        bytes.resize(bytes.len().max(length), 0);
        if let Ok((log, _)) = Log::open(holding(bytes), GENESIS, salts()) {
            let whole = crate::support::groups(40, &[2, 1], 60).concat();
            prop_assert!(whole.starts_with(&all_entries(&log)));
        }
    }
}
