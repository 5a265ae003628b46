//! Stories of one job, and any row of steps against the simplest possible model.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const LEASE: Duration = Duration::from_secs(10);

type Table = JobTable<&'static str, &'static str>;

fn local(number: usize) -> WorkerName {
    WorkerName::local(number)
}

fn remote(name: &str) -> WorkerName {
    WorkerName::new(name).unwrap()
}

fn hash(number: u8) -> InputHash {
    InputHash::from_bytes([number; 32])
}

fn urgency(batch: u64, circuit: Circuit, chunk: usize) -> Urgency {
    Urgency::new(batch, circuit, chunk)
}

fn proof(number: u8) -> Box<ProofBytes> {
    Box::new([number; Proof::BYTES])
}

/// Two threads of the node, and one job.
fn with_one_job() -> (Table, InputHash) {
    let mut table = Table::new(9, BTreeSet::from([local(0), local(1)]));
    table.submit(hash(1), urgency(1, Circuit::C1, 0), "work");
    (table, hash(1))
}

fn failure(worker: &WorkerName) -> Failure<'_, &'static str> {
    Failure { worker, why: "could not", is_final: false }
}

#[test]
fn older_batches_come_first_and_in_a_batch_operations_before_claims() {
    let mut table = Table::new(9, BTreeSet::from([local(0)]));
    let order = [
        urgency(1, Circuit::C1, 0),
        urgency(1, Circuit::C1, 1),
        urgency(1, Circuit::C2, 0),
        urgency(2, Circuit::C1, 0),
        urgency(2, Circuit::C2, 0),
        urgency(2, Circuit::C2, 1),
    ];
    for (number, urgency) in order.iter().enumerate().rev() {
        table.submit(hash(number as u8), *urgency, "work");
    }
    let now = Instant::now();
    for number in 0..order.len() {
        let leased = table.lease(&local(0), now, LEASE).unwrap();
        assert_eq!(leased.input_hash, hash(number as u8));
    }
    assert_eq!(table.lease(&local(0), now, LEASE), None);
}

#[test]
fn one_statement_is_one_job_however_often_it_is_wanted() {
    let (mut table, job) = with_one_job();
    table.submit(job, urgency(7, Circuit::C1, 3), "the same work");
    let now = Instant::now();
    let leased = table.lease(&local(0), now, LEASE).unwrap();
    assert_eq!(table.lease(&local(1), now, LEASE), None);
    table.forget(&job);
    assert_eq!(table.state(&job), Some(JobState::Leased), "one waits for it still");
    table.complete(leased.token, proof(1), now).unwrap();
    assert_eq!(table.outcome(&job), Some(Outcome::Proven(proof(1))));
    table.forget(&job);
    assert_eq!(table.state(&job), None);
}

#[test]
fn a_lease_without_a_sign_of_life_moves_and_its_answer_is_late() {
    let (mut table, job) = with_one_job();
    let (start, rack) = (Instant::now(), remote("rack-1"));
    let lost = table.lease(&remote("queue"), start, LEASE).unwrap();
    // The machine that has it says so, and the lease is its own from then on.
    table.beat(lost.token, &rack, start + LEASE / 2).unwrap();
    assert_eq!(table.expire(start + LEASE, |_| "lost"), 0);
    let over = start + LEASE / 2 + LEASE;
    // Late also before anybody looked.
    let late = LeaseError::Late { token: lost.token };
    assert_eq!(table.beat(lost.token, &rack, over), Err(late));
    assert_eq!(table.complete(lost.token, proof(1), over), Err(late));
    assert_eq!(table.expire(over, |_| "lost"), 1);
    assert_eq!(table.lease(&rack, over, LEASE), None, "it lost the job once");
    let moved = table.lease(&remote("queue"), over, LEASE).unwrap();
    assert_eq!((moved.attempt, moved.failed_on), (2, BTreeSet::from([rack])));
    assert_ne!(moved.token, lost.token);
    assert_eq!(table.expected(lost.token, job, over).unwrap_err(), late);
    table.complete(moved.token, proof(2), over).unwrap();
    assert_eq!(
        table.complete(moved.token, proof(3), over).unwrap_err(),
        LeaseError::Late { token: moved.token }
    );
    assert_eq!(table.outcome(&job), Some(Outcome::Proven(proof(2))), "the first that was taken");
}

#[test]
fn a_job_is_failed_once_every_thread_of_the_node_failed_it_and_not_before() {
    let (mut table, job) = with_one_job();
    let now = Instant::now();
    for worker in [remote("a"), remote("b"), local(1)] {
        let leased = table.lease(&worker, now, LEASE).unwrap();
        assert_eq!(table.fail(leased.token, failure(&worker), now), Ok(JobState::Queued));
        assert_eq!(table.lease(&worker, now, LEASE), None, "{worker} failed it");
    }
    let leased = table.lease(&local(0), now, LEASE).unwrap();
    assert_eq!(table.fail(leased.token, failure(&local(0)), now), Ok(JobState::Failed));
    assert_eq!(table.outcome(&job), Some(Outcome::Failed("could not")));
    assert_eq!(table.lease(&remote("c"), now, LEASE), None);
    // Tried again, everybody may.
    table.retry(&job);
    assert_eq!(table.lease(&local(1), now, LEASE).map(|leased| leased.attempt), Some(5));
}

#[test]
fn what_every_worker_would_find_fails_the_job_at_once() {
    let (mut table, job) = with_one_job();
    let now = Instant::now();
    let worker = local(0);
    let leased = table.lease(&worker, now, LEASE).unwrap();
    let failure = Failure { is_final: true, ..failure(&worker) };
    assert_eq!(table.fail(leased.token, failure, now), Ok(JobState::Failed));
    assert_eq!(table.state(&job), Some(JobState::Failed));
}

#[test]
fn an_aborted_job_is_not_failed_and_goes_on_if_it_is_wanted_again() {
    let (mut table, job) = with_one_job();
    let now = Instant::now();
    let leased = table.lease(&local(0), now, LEASE).unwrap();
    table.forget(&job);
    assert_eq!(table.state(&job), Some(JobState::Aborted));
    assert_eq!(table.lease(&local(1), now, LEASE), None);
    table.submit(job, urgency(1, Circuit::C1, 0), "work");
    assert_eq!(table.state(&job), Some(JobState::Leased));
    table.forget(&job);
    let aborted = LeaseError::Aborted { token: leased.token };
    assert_eq!(table.complete(leased.token, proof(1), now), Err(aborted));
    assert_eq!(table.state(&job), None);
    // One that nobody had is gone at once.
    table.submit(job, urgency(1, Circuit::C1, 0), "work");
    table.forget(&job);
    assert_eq!(table.state(&job), None);
}

#[test]
fn whoever_works_is_known_with_the_time_since_when_also_for_nobody() {
    let (mut table, job) = with_one_job();
    let begun = Instant::now();
    assert_eq!(table.leases().count(), 0);
    let token = table.lease(&local(0), begun, LEASE).unwrap().token;
    assert_eq!(table.leases().collect::<Vec<_>>(), [(&local(0), begun)]);
    // It still takes its core.
    table.forget(&job);
    assert_eq!(table.leases().count(), 1);
    table.complete(token, proof(1), begun).unwrap_err();
    assert_eq!(table.leases().count(), 0);
}

#[test]
fn a_lease_is_of_one_job_and_one_that_is_given_back_harms_nobody() {
    let (mut table, job) = with_one_job();
    let now = Instant::now();
    let leased = table.lease(&remote("a"), now, LEASE).unwrap();
    let (token, expected, found) = (leased.token, job, hash(2));
    let other = LeaseError::OtherInput { token, expected, found };
    assert_eq!(table.expected(token, found, now).unwrap_err(), other);
    table.give_back(token, now).unwrap();
    assert_eq!(table.give_back(token, now), Err(LeaseError::Late { token }));
    let again = table.lease(&remote("a"), now, LEASE).unwrap();
    assert_eq!((again.attempt, again.failed_on.len()), (2, 0));
}

/// What a job may be, without any cleverness.
#[derive(Clone, Debug, Default)]
struct Model {
    wanted: usize,
    failed_on: BTreeSet<WorkerName>,
    lease: Option<(LeaseToken, WorkerName, Instant)>,
    proven: Option<u8>,
    is_failed: bool,
}

/// A table and the model of each of its jobs.
struct Both {
    table: Table,
    models: Vec<Model>,
    /// Every token that was ever given.
    tokens: Vec<LeaseToken>,
    now: Instant,
}

const JOBS: u8 = 6;

impl Both {
    fn workers() -> [WorkerName; 4] {
        [local(0), local(1), remote("a"), remote("b")]
    }

    fn step(&mut self, random: &mut StdRng) {
        let job = random.gen_range(0..JOBS);
        let worker = Both::workers()[random.gen_range(0..4)].clone();
        let token =
            (!self.tokens.is_empty()).then(|| self.tokens[random.gen_range(0..self.tokens.len())]);
        match (random.gen_range(0..10), token) {
            (0 | 1, _) => self.submit(job),
            (2, _) => self.forget(job),
            (3 | 4, _) => self.lease(&worker),
            (5, Some(token)) => self.complete(token, job),
            (6, Some(token)) => self.fail(token, &worker),
            (7, Some(token)) => self.beat(token, &worker),
            (8, _) => self.pass(Duration::from_secs(random.gen_range(0..8))),
            _ => self.retry(job),
        }
    }

    fn submit(&mut self, job: u8) {
        self.table.submit(hash(job), urgency(u64::from(job), Circuit::C2, 0), "work");
        self.models[usize::from(job)].wanted += 1;
    }

    fn forget(&mut self, job: u8) {
        self.table.forget(&hash(job));
        let model = &mut self.models[usize::from(job)];
        model.wanted = model.wanted.saturating_sub(1);
        if model.wanted == 0 && model.lease.is_none() {
            *model = Model::default();
        }
    }

    fn retry(&mut self, job: u8) {
        self.table.retry(&hash(job));
        let model = &mut self.models[usize::from(job)];
        if std::mem::take(&mut model.is_failed) {
            model.failed_on.clear();
        }
    }

    fn lease(&mut self, worker: &WorkerName) {
        let leased = self.table.lease(worker, self.now, LEASE);
        let open = |model: &Model| {
            model.wanted > 0 && model.lease.is_none() && model.proven.is_none() && !model.is_failed
        };
        // The least number is the most urgent.
        let expected =
            self.models.iter().position(|model| open(model) && !model.failed_on.contains(worker));
        assert_eq!(
            leased.as_ref().map(|leased| leased.input_hash),
            expected.map(|job| hash(job as u8))
        );
        if let (Some(leased), Some(job)) = (leased, expected) {
            assert!(!self.tokens.contains(&leased.token), "a token is given once");
            self.tokens.push(leased.token);
            let until = self.now + LEASE;
            self.models[job].lease = Some((leased.token, worker.clone(), until));
        }
    }

    /// The job of a lease that lasts and that somebody wants.
    fn live(&mut self, token: LeaseToken) -> Option<usize> {
        let now = self.now;
        let is_its = |model: &Model| {
            model.lease.as_ref().is_some_and(|(its, _, until)| *its == token && *until > now)
        };
        let job = self.models.iter().position(is_its)?;
        if self.models[job].wanted == 0 {
            self.models[job] = Model::default();
            return None;
        }
        Some(job)
    }

    fn complete(&mut self, token: LeaseToken, number: u8) {
        let taken = self.table.complete(token, proof(number), self.now);
        let live = self.live(token);
        assert_eq!(taken.is_ok(), live.is_some());
        if let Some(job) = live {
            (self.models[job].lease, self.models[job].proven) = (None, Some(number));
        }
    }

    fn fail(&mut self, token: LeaseToken, worker: &WorkerName) {
        let failed = self.table.fail(token, failure(worker), self.now);
        let live = self.live(token);
        assert_eq!(failed.is_ok(), live.is_some());
        if let Some(job) = live {
            self.models[job].fail_on(worker);
        }
    }

    fn beat(&mut self, token: LeaseToken, worker: &WorkerName) {
        let beaten = self.table.beat(token, worker, self.now);
        let live = self.live(token);
        assert_eq!(beaten.is_ok(), live.is_some());
        if let Some(job) = live {
            self.models[job].lease = Some((token, worker.clone(), self.now + LEASE));
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.table.expire(self.now, |_| "lost");
        for model in &mut self.models {
            let over = model.lease.clone().filter(|(_, _, until)| *until <= self.now);
            match over {
                Some(_) if model.wanted == 0 => *model = Model::default(),
                Some((_, worker, _)) => model.fail_on(&worker),
                None => {}
            }
        }
    }

    fn check(&self) {
        for (job, model) in self.models.iter().enumerate() {
            let expected = match model {
                Model { lease: Some(_), wanted: 0, .. } => Some(JobState::Aborted),
                Model { wanted: 0, .. } => None,
                Model { lease: Some(_), .. } => Some(JobState::Leased),
                Model { proven: Some(_), .. } => Some(JobState::Proven),
                Model { is_failed: true, .. } => Some(JobState::Failed),
                _ => Some(JobState::Queued),
            };
            assert_eq!(self.table.state(&hash(job as u8)), expected, "job {job}: {model:?}");
            if let Some(number) = model.proven {
                let found = self.table.outcome(&hash(job as u8));
                assert_eq!(found, Some(Outcome::Proven(proof(number))));
            }
        }
        let leases = self.models.iter().filter_map(|model| model.lease.as_ref());
        assert_eq!(self.table.next_expiry(), leases.map(|(_, _, until)| *until).min());
        let counted: usize = JobState::ALL.map(|state| self.table.count(state)).iter().sum();
        let there = self.models.iter().filter(|model| model.wanted > 0 || model.lease.is_some());
        assert_eq!(counted, there.count());
    }
}

impl Model {
    fn fail_on(&mut self, worker: &WorkerName) {
        self.lease = None;
        self.failed_on.insert(worker.clone());
        self.is_failed = [local(0), local(1)].iter().all(|own| self.failed_on.contains(own));
    }
}

#[test]
fn any_row_of_steps_leaves_the_table_as_the_model_says() {
    for seed in 0..200 {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut both = Both {
            table: Table::new(seed, BTreeSet::from([local(0), local(1)])),
            models: vec![Model::default(); usize::from(JOBS)],
            tokens: Vec::new(),
            now: Instant::now(),
        };
        for _ in 0..400 {
            both.step(&mut random);
            both.check();
        }
    }
}
