//! What holds of the configuration, and what an operator set otherwise while the node runs.
//!
//! ```text
//! file (as read last) --+
//!                       +--> target --checked as the file--> rates, reserve, settler, windows, log
//! set by an operator  --+
//! ```
//! All or nothing: what cannot be accepted is refused before anything changes. What an operator set
//! stands above the file until it is reset or the node starts again: a SIGHUP for a new
//! certificate, which timers send, must not undo what somebody did by hand an hour ago.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use thiserror::Error;

use super::orders::{Orders, Since, TunedKey};
use super::settle_limits::SettleLimits;
use super::upkeep::Around;
use crate::doors::config::Config;
use crate::doors::memory::{Memory, MemoryError};
use crate::doors::set::{SetValueError, read_value};
use crate::setting::{Applies, Setting};
use crate::stages::ingest::RateConfig;
use crate::stages::ledger::LedgerView;
use crate::window::{Capacities, NextTerms, WindowTerms};

/// Who logs, and so who can log less or more: the program around the node.
pub trait SetLevel: Send + Sync {
    /// Why no level can be set, if none can.
    fn refuses(&self) -> Option<&'static str>;

    /// Logs by this level, which was checked, from now on.
    fn set(&self, level: &str);
}

/// What became of a configuration that was read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Keys whose new value holds from now on.
    pub taken: Vec<&'static str>,
    /// Keys whose new value holds from the next window on.
    pub next_window: Vec<&'static str>,
    /// Keys whose new value holds from the next start on, or in what a command makes.
    pub needs_restart: Vec<&'static str>,
    /// Keys whose new value waits, because an operator set another one.
    pub tuned: Vec<&'static str>,
}

/// Why a key is not set or reset.
#[derive(Debug, Error)]
pub enum TuneError {
    /// No key, or no value of it.
    #[error(transparent)]
    Value(#[from] SetValueError),
    /// A key that a running node does not change.
    #[error(
        "expected a key that is live, found {key}, which {when}: write it into the configuration; \
         `sequencer tune list` says which are live"
    )]
    NotLive {
        /// Which.
        key: &'static str,
        /// When it takes effect.
        when: &'static str,
    },
    /// With it all limits may take more than the machine has.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The log's level is not to be set.
    #[error("expected a node whose log can be set, found that {why}")]
    Log {
        /// Why not.
        why: &'static str,
    },
    /// The key is as the configuration says.
    #[error("expected a key that was set (`sequencer tune list`), found {key} as it is configured")]
    NotTuned {
        /// Which.
        key: &'static str,
    },
}

/// What is reached of a running node.
pub(super) struct Reach {
    pub(super) around: Around,
    pub(super) settle: SettleLimits,
    /// Where the next window's terms go, and what the shapes of the keys hold of them.
    pub(super) next: NextTerms,
    pub(super) capacities: Capacities,
    /// Takes other rates over, wherever they are kept.
    pub(super) set_rates: Box<dyn Fn(&RateConfig) + Send + Sync>,
    /// What the open window was begun with.
    pub(super) view: LedgerView,
    pub(super) orders: Orders,
}

/// A value that an operator set.
#[derive(Clone)]
struct Tuned {
    value: toml::Value,
    since: Since,
}

/// By key.
type AllTuned = BTreeMap<&'static str, Tuned>;

struct State {
    /// The configuration as it was read last.
    file: Config,
    /// What holds; keys of windows from the next one on.
    running: Config,
    tuned: AllTuned,
    log: Option<Arc<dyn SetLevel>>,
}

/// A change that was checked and not made yet.
pub(super) struct Prepared {
    target: Config,
    tuned: AllTuned,
    /// Keys that it is about, with their values before and then.
    pub(super) changes: Vec<Change>,
}

/// What becomes of one key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) key: &'static str,
    pub(super) from: Value,
    pub(super) to: Value,
    pub(super) applies: Applies,
}

/// What holds of the configuration.
pub(super) struct Tuning {
    reach: Reach,
    state: Mutex<State>,
    /// Held by whoever changes something, from the check to the change.
    alone: Mutex<()>,
}

impl Tuning {
    /// Of a node that starts with this configuration.
    pub(super) fn new(config: Config, reach: Reach) -> Tuning {
        let (file, running) = (config.clone(), config);
        let state = State { file, running, tuned: AllTuned::new(), log: None };
        Tuning { reach, state: Mutex::new(state), alone: Mutex::default() }
    }

    /// While this is held nobody else prepares or makes a change: what was checked still holds when
    /// it is made. Held over writes to the disk, and so never by what has to answer at once.
    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        self.alone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the log's level is set here.
    pub(super) fn set_log(&self, log: Arc<dyn SetLevel>) {
        self.state().log = Some(log);
    }

    /// Has the log go by the level that holds. Under the lock, as where a level is set by hand: one
    /// that was looked up a moment before would undo what somebody set meanwhile.
    pub(super) fn apply_log_level(&self) {
        let state = self.state();
        if let Some(log) = &state.log {
            log.set(&state.running.log.level);
        }
    }

    /// What holds.
    pub(super) fn running(&self) -> Config {
        self.state().running.clone()
    }

    /// Whether a configuration that was read again is accepted, below what is set by hand.
    ///
    /// # Errors
    /// [`TuneError`] for what is not.
    pub(super) fn check(&self, file: &Config) -> Result<(), TuneError> {
        let state = self.state();
        check_sums(&state, &target(file, &state.tuned)?)
    }

    /// Takes over what of it is live, as far as nothing else is set by hand.
    ///
    /// # Errors
    /// As [`Tuning::check`].
    pub(super) fn take_over(&self, file: &Config) -> Result<Reloaded, TuneError> {
        let mut state = self.state();
        let target = target(file, &state.tuned)?;
        let differs = |key: &&'static str| state.file.shown(key) != file.shown(key);
        let tuned = state.tuned.keys().copied().filter(differs).collect();
        state.file = file.clone();
        let reloaded = self.make_hold(&mut state, &target);
        self.tell(&state);
        Ok(Reloaded { tuned, ..reloaded })
    }

    /// Prepares that a key holds another value.
    ///
    /// # Errors
    /// [`TuneError`]; nothing changed.
    pub(super) fn prepare_set(
        &self,
        key: &str,
        value: &str,
        since: Since,
    ) -> Result<Prepared, TuneError> {
        let state = self.state();
        let row = Config::setting(key)?;
        check_live(&row)?;
        let (mut tuned, value) = (state.tuned.clone(), read_value(value));
        tuned.insert(row.path, Tuned { value, since });
        prepare(&state, tuned, &[row])
    }

    /// Prepares that a key, or every one, holds what the configuration says.
    ///
    /// # Errors
    /// [`TuneError`]; nothing changed.
    pub(super) fn prepare_reset(&self, key: Option<&str>) -> Result<Prepared, TuneError> {
        let state = self.state();
        let mut tuned = state.tuned.clone();
        let rows = match key {
            None => {
                let is_tuned = |row: &Setting| tuned.contains_key(row.path);
                let rows: Vec<_> = Config::settings().into_iter().filter(is_tuned).collect();
                tuned.clear();
                rows
            }
            Some(key) => {
                let row = Config::setting(key)?;
                tuned.remove(row.path).ok_or(TuneError::NotTuned { key: row.path })?;
                vec![row]
            }
        };
        prepare(&state, tuned, &rows)
    }

    /// Has what was prepared hold. Whoever prepared it is [alone](Tuning::alone) until then.
    pub(super) fn make(&self, prepared: Prepared) {
        let mut state = self.state();
        let Prepared { target, tuned, .. } = prepared;
        let (before, level) = (state.running.log.level.clone(), &target.log.level);
        if let Some(log) = state.log.as_ref().filter(|_| before != *level) {
            log.set(level);
        }
        state.tuned = tuned;
        self.make_hold(&mut state, &target);
        self.tell(&state);
    }

    /// Every key: what is configured, what holds, when a change of it does, and by whom it is set.
    pub(super) fn list(&self) -> Value {
        let state = self.state();
        let effective = state.running.effective();
        let open = self.open_window(&state);
        let one = |row: Setting| {
            let key = row.path;
            let waits = open.iter().find(|(waits, _)| *waits == key).map(|(_, held)| held.clone());
            let other = effective.iter().find(|one| one.key == key);
            let (active, why) = match (&waits, other) {
                (Some(held), _) => (held.clone(), Some("the open window ends as it was begun")),
                (None, Some(other)) => (json!(other.effective), Some(other.why)),
                (None, None) => (state.running.shown(key), None),
            };
            let since = state.tuned.get(key).map(|tuned| &tuned.since);
            json!({
                "key": key, "configured": state.file.shown(key), "active": active, "why": why,
                "applies": applies(row.applies), "next": waits.map(|_| state.running.shown(key)),
                "tuned": since,
            })
        };
        let keys: Vec<Value> = Config::settings().into_iter().map(one).collect();
        json!({ "schema": "vitals-tune-1", "keys": keys })
    }

    /// Keys of windows that hold otherwise in the open one than in the next.
    fn open_window(&self, state: &State) -> Vec<(&'static str, Value)> {
        let open = self.reach.view.status().terms;
        let next = self.terms(&state.running);
        if open == next {
            return Vec::new();
        }
        let held = |terms: WindowTerms| {
            let WindowTerms { cadence, limits } = terms;
            [
                ("batch.close_after_ms", json!(cadence.close_after_ms())),
                // With them goes what a fixed cadence is: both are the same then.
                ("batch.idle_settle_after_ms", json!(cadence.idle_ms())),
                ("batch.operations_max", json!(limits.operations_max)),
                ("batch.claims_max", json!(limits.claims_max)),
            ]
        };
        let pairs = held(open).into_iter().zip(held(next));
        pairs.filter(|(open, next)| open.1 != next.1).map(|(open, _)| open).collect()
    }

    fn terms(&self, config: &Config) -> WindowTerms {
        // Whatever is asked for, a window must fit into one batch of these keys.
        let limits = config.window_limits().fitted(&self.reach.capacities);
        WindowTerms { cadence: config.cadence(), limits }
    }

    /// Hands the live values of `target` to whoever goes by them.
    fn make_hold(&self, state: &mut State, target: &Config) -> Reloaded {
        let Reach { around, settle, next, set_rates, .. } = &self.reach;
        // Taken over, they fill every bucket: no gift for whoever has just emptied one.
        if state.running.ingest.rates != target.ingest.rates {
            set_rates(&target.ingest.rates);
        }
        around.reserve.set_reserve_bytes(target.journal.reserve_bytes);
        settle.set(&target.settle);
        if self.terms(&state.running) != self.terms(target) {
            next.set(self.terms(target));
        }
        let reloaded = copy_live(&mut state.running, target);
        self.reach.orders.set_limits_bytes(Memory::of(&state.running).sum_bytes);
        reloaded
    }

    /// Says everywhere what is set by hand.
    fn tell(&self, state: &State) {
        let one = |row: Setting| {
            let Tuned { since, .. } = state.tuned.get(row.path)?;
            let (configured, tuned) = (state.file.shown(row.path), state.running.shown(row.path));
            Some(TunedKey { key: row.path.to_owned(), configured, tuned, since: since.clone() })
        };
        self.reach.orders.set_tuned(Config::settings().into_iter().filter_map(one).collect());
    }

    /// Whole values, each replaced at once: a panic under the lock leaves none half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file with what is set by hand above it, checked as the file is.
fn target(file: &Config, tuned: &AllTuned) -> Result<Config, TuneError> {
    Ok(file.with_all(tuned.iter().map(|(key, tuned)| (*key, &tuned.value)))?)
}

/// As at a start: rates and windows take memory, too. Of the next start, and of this run, whose
/// other limits may be larger than those that the file has by now.
fn check_sums(state: &State, target: &Config) -> Result<(), TuneError> {
    let mut held = state.running.clone();
    copy_live(&mut held, target);
    held.check().map_err(SetValueError::from)?;
    check_memory(&state.running, &held)?;
    check_memory(&state.file, target)
}

fn prepare(state: &State, tuned: AllTuned, rows: &[Setting]) -> Result<Prepared, TuneError> {
    let target = target(&state.file, &tuned)?;
    check_sums(state, &target)?;
    if target.log.level != state.running.log.level {
        let without = "the program around the node logs as it likes";
        let why = state.log.as_ref().map_or(Some(without), |log| log.refuses());
        why.map_or(Ok(()), |why| Err(TuneError::Log { why }))?;
    }
    let change = |row: &Setting| Change {
        key: row.path,
        from: state.running.shown(row.path),
        to: target.shown(row.path),
        applies: row.applies,
    };
    // What holds already by the same hand is no change, however often it is ordered.
    let is_again = |row: &Setting| {
        state.tuned.contains_key(row.path)
            && state.running.shown(row.path) == target.shown(row.path)
            && person(&state.tuned, row) == person(&tuned, row)
    };
    let changes = rows.iter().filter(|row| !is_again(row)).map(change).collect();
    Ok(Prepared { target, tuned, changes })
}

/// Who set a key.
fn person<'a>(tuned: &'a AllTuned, row: &Setting) -> Option<(u32, Option<&'a str>)> {
    tuned.get(row.path).map(|one| one.since.who.person())
}

/// Refuses what takes more memory than there is and more than before. A sum that was too large
/// already, as of a development node on a small machine, is no reason to keep somebody from what
/// costs none, or lowers it.
fn check_memory(before: &Config, after: &Config) -> Result<(), TuneError> {
    let memory = Memory::of(after);
    match memory.check() {
        Err(error)
            if after.memory.over == "refuse" && memory.sum_bytes > Memory::of(before).sum_bytes =>
        {
            Err(error.into())
        }
        _ => Ok(()),
    }
}

fn check_live(row: &Setting) -> Result<(), TuneError> {
    let when = match row.applies {
        Applies::Live | Applies::Window => return Ok(()),
        Applies::Issue => "is read by commands that issue certificates",
        Applies::Restart => "holds from the next start on",
        Applies::Init => "goes into what `sequencer init` makes",
        Applies::Deploy => "goes into the contract",
    };
    Err(TuneError::NotLive { key: row.path, when })
}

/// When a changed value takes effect, for people.
pub(super) fn applies(when: Applies) -> &'static str {
    match when {
        Applies::Live => "now",
        Applies::Window => "at next window",
        Applies::Issue => "with the next certificate",
        Applies::Restart => "needs restart",
        Applies::Init => "needs init",
        Applies::Deploy => "needs deploy",
    }
}

/// Copies live values into the configuration that runs; says what else differs from it.
fn copy_live(running: &mut Config, config: &Config) -> Reloaded {
    let mut reloaded = Reloaded::default();
    for row in Config::settings() {
        // An address is written without its secrets, and may differ in nothing else.
        let is_other_chain = row.path == "chain.rpc" && running.chain.rpc != config.chain.rpc;
        if running.shown(row.path) == config.shown(row.path) && !is_other_chain {
            continue;
        }
        match row.applies {
            Applies::Live => reloaded.taken.push(row.path),
            Applies::Window => reloaded.next_window.push(row.path),
            // A command reads it each time.
            Applies::Issue => {}
            Applies::Restart | Applies::Init | Applies::Deploy => {
                reloaded.needs_restart.push(row.path);
            }
        }
    }
    running.ingest.rates = config.ingest.rates.clone();
    running.journal.reserve_bytes = config.journal.reserve_bytes;
    running.settle = config.settle.clone();
    running.log.level = config.log.level.clone();
    let (held, asked) = (&mut running.batch, &config.batch);
    held.close_after_ms = asked.close_after_ms;
    held.idle_settle_after_ms = asked.idle_settle_after_ms;
    held.fixed_cadence = asked.fixed_cadence;
    held.operations_max = asked.operations_max;
    held.claims_max = asked.claims_max;
    reloaded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::Allowed;

    /// The default with another accepted value under this key.
    fn changed(path: &str, allowed: Allowed) -> Config {
        let mut config = serde_json::to_value(Config::default()).unwrap();
        let value = config.pointer_mut(&format!("/{}", path.replace('.', "/"))).unwrap();
        *value = match (allowed, &value) {
            (_, Value::Bool(before)) => (!*before).into(),
            (Allowed::Range { least, .. }, before) if before.as_u64() != Some(least) => {
                least.into()
            }
            (Allowed::Range { least, .. }, _) => (least + 1).into(),
            (Allowed::Words(_), _) => "debug".into(),
        };
        serde_json::from_value(config).unwrap()
    }

    #[test]
    fn what_the_page_calls_live_is_taken_over_and_nothing_else() {
        let is_live = |row: &Setting| matches!(row.applies, Applies::Live | Applies::Window);
        let rows: Vec<_> = Config::settings().into_iter().filter(is_live).collect();
        assert!(rows.len() > 12, "{}", rows.len());
        for row in rows {
            let config = changed(row.path, row.allowed);
            let mut running = Config::default();
            let Reloaded { taken, next_window, needs_restart, .. } =
                copy_live(&mut running, &config);
            let (now, next) = match row.applies {
                Applies::Window => (vec![], vec![row.path]),
                _ => (vec![row.path], vec![]),
            };
            assert_eq!((taken, next_window, needs_restart), (now, next, vec![]));
            assert_eq!(running, config, "{} is copied", row.path);
        }
        let config = changed("store.scrub_every_ms", Allowed::Range { least: 1_000, most: 2_000 });
        let mut running = Config::default();
        for _ in 0..2 {
            // Named each time, for as long as it is so.
            let reloaded = copy_live(&mut running, &config);
            assert_eq!(reloaded.needs_restart, ["store.scrub_every_ms"]);
            assert!(reloaded.taken.is_empty() && reloaded.next_window.is_empty());
        }
        assert_eq!(running, Config::default());
    }

    #[test]
    fn an_address_that_differs_in_its_secret_alone_is_another_one() {
        let chain = |key: &str| {
            let mut config = Config::default();
            config.chain.rpc = Some(format!("http://127.0.0.1:8545/{key}").parse().unwrap());
            config
        };
        let reloaded = copy_live(&mut chain("one"), &chain("two"));
        assert_eq!(reloaded.needs_restart, ["chain.rpc"]);
    }

    #[test]
    fn a_key_that_is_not_live_is_refused_with_when_it_takes_effect() {
        for row in Config::settings() {
            let is_live = matches!(row.applies, Applies::Live | Applies::Window);
            assert_eq!(check_live(&row).is_ok(), is_live, "{}", row.path);
        }
        let said = check_live(&Config::setting("ingest.listen").unwrap()).unwrap_err().to_string();
        assert!(said.contains("ingest.listen, which holds from the next start on"), "{said}");
    }

    #[test]
    fn a_sum_of_limits_is_held_against_those_that_run_and_those_of_the_next_start() {
        let with = |connections_max: usize, keys_max: usize| {
            let mut config = Config::default();
            config.ingest.limits.connections_max = connections_max;
            config.ingest.rates.keys_max = keys_max;
            config
        };
        let check = |running: &Config, file: &Config, target: &Config| {
            let (running, file, tuned, log) =
                (running.clone(), file.clone(), AllTuned::new(), None);
            check_sums(&State { file, running, tuned, log }, target)
        };
        let (few, many) = (with(1, 1_000), with(100_000, 1_000));
        let (few_more, many_more) = (with(1, 2_000), with(100_000, 2_000));
        assert!(check(&few, &few, &few_more).is_ok(), "there is room");
        // It runs with many, and the file has few by now: what is set by hand is beside the many.
        assert!(matches!(check(&many, &few, &few_more), Err(TuneError::Memory(_))));
        assert!(matches!(check(&few, &few, &many), Err(TuneError::Memory(_))));
        assert!(matches!(check(&few, &many, &many_more), Err(TuneError::Memory(_))));
        // Of a sum that is too large already: what costs nothing, or less, is no matter of it.
        let mut quiet = many.clone();
        quiet.log.level = "warn".into();
        assert!(check(&many, &many, &quiet).is_ok() && check(&many, &many, &few).is_ok());
        assert!(check(&many_more, &many_more, &many).is_ok());
        assert!(matches!(check(&many, &many, &many_more), Err(TuneError::Memory(_))));
    }

    #[test]
    fn every_live_key_can_be_set_by_hand() {
        // Of a section whose addresses are not written whole none is.
        for row in Config::settings().iter().filter(|row| check_live(row).is_ok()) {
            let config = changed(row.path, row.allowed);
            let value = config.shown(row.path).to_string();
            let set = Config::default().with(row.path, &read_value(&value)).unwrap();
            assert_eq!(set, config, "{}", row.path);
        }
    }
}
