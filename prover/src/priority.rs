//! How proofs compete with what else runs on their machine.

use std::fmt;
use std::str::FromStr;

use rayon::ThreadPool;
use thread_priority::unix::{
    NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id, thread_schedule_policy,
};
use thread_priority::{Error, ThreadPriority};

/// What an operator asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Whatever else wants a core gets it at once (Linux's `SCHED_IDLE`, sched(7)), or where Linux
    /// does not see to that, within a part of a pass of the accelerated engine
    /// ([`kernel::give_way`]); behind what else makes a proof, at the next tick. A nice value of 19
    /// is not that: a thread that wakes may wait for up to a tick of 4 ms each time, and a receipt
    /// needs a dozen wakes.
    #[default]
    Background,
    /// As everything else.
    Normal,
}

/// The system does not let threads be in the background.
#[derive(Debug, thiserror::Error)]
#[error("expected the system to let proofs run in the background (sched_setscheduler), found: {0}")]
pub struct NotLowered(String);

impl Priority {
    /// All of them, as they are written.
    pub const NAMES: [&str; 2] = ["background", "normal"];

    /// Gives it to each thread of a pool, for as long as that lives.
    ///
    /// # Errors
    /// If the system refuses: then the pool proves as well, beside everything else.
    pub fn give(self, pool: &ThreadPool) -> Result<(), NotLowered> {
        match self {
            Priority::Normal => Ok(()),
            Priority::Background => pool.broadcast(|_| lower()).into_iter().collect(),
        }
    }
}

/// Puts the thread that calls this in the background, where the kernel's passes give way by
/// themselves, too.
fn lower() -> Result<(), NotLowered> {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let lowered = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    match (lowered, thread_schedule_policy()) {
        // The policy counts: a nice value, which is set with it, means nothing to it.
        (_, Ok(found)) if found == idle => {
            kernel::set_gives_way();
            Ok(())
        }
        (Err(Error::OS(code)), _) => {
            Err(NotLowered(std::io::Error::from_raw_os_error(code).to_string()))
        }
        (lowered, found) => Err(NotLowered(format!("{lowered:?}, and then {found:?}"))),
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES[*self as usize])
    }
}

/// The text is the name of no priority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected background or normal, found {found:?}")]
pub struct UnknownPriority {
    /// What was found.
    pub found: String,
}

impl FromStr for Priority {
    type Err = UnknownPriority;

    fn from_str(text: &str) -> Result<Self, UnknownPriority> {
        match text {
            "background" => Ok(Priority::Background),
            "normal" => Ok(Priority::Normal),
            found => Err(UnknownPriority { found: found.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies(priority: Priority) -> Vec<ThreadSchedulePolicy> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        priority.give(&pool).unwrap();
        pool.broadcast(|_| thread_schedule_policy().unwrap())
    }

    #[test]
    fn every_thread_of_a_pool_is_in_the_background_and_nobody_else() {
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        assert_eq!(policies(Priority::Background), [idle; 2]);
        let own = thread_schedule_policy().unwrap();
        assert_ne!(own, idle, "the thread that asks proves nothing");
        assert_eq!(policies(Priority::Normal), [own; 2]);
    }

    #[test]
    fn threads_in_the_background_give_way_by_themselves_too_and_no_other_does() {
        let give_way = |priority: Priority| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
            priority.give(&pool).unwrap();
            pool.broadcast(|_| kernel::gives_way())
        };
        assert_eq!(give_way(Priority::Background), [true; 2]);
        assert_eq!(give_way(Priority::Normal), [false; 2]);
        assert!(!kernel::gives_way(), "the thread that asks proves nothing");
    }

    #[test]
    fn a_priority_is_read_as_it_is_written() {
        for name in Priority::NAMES {
            assert_eq!(name.parse::<Priority>().unwrap().to_string(), name);
        }
        let error = "low".parse::<Priority>().unwrap_err();
        assert_eq!(error.to_string(), "expected background or normal, found \"low\"");
    }
}
