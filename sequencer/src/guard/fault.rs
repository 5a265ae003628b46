//! Faults that tests let stages meet where they run. No shipped program has this module.

use std::error::Error;

use tokio::sync::watch;

use super::Stage;

/// How a stage ends without being asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Panic,
    EarlyReturn,
}

/// What is to go wrong.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    next: watch::Sender<Option<(Stage, Fault)>>,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults { next: watch::Sender::new(None) }
    }
}

impl Faults {
    /// From now on the stage meets this fault: a task at once, a thread at its next item.
    pub(crate) fn set(&self, stage: Stage, fault: Fault) {
        self.next.send_replace(Some((stage, fault)));
    }

    /// Runs a task's work until it ends or meets its fault.
    pub(crate) async fn meet<E: Error>(
        self,
        stage: Stage,
        work: impl Future<Output = Result<(), E>>,
    ) -> Result<(), E> {
        let mut next = self.next.subscribe();
        let met = |fault: &Option<(Stage, Fault)>| fault.is_some_and(|(of, _)| of == stage);
        tokio::select! {
            Ok(fault) = next.wait_for(met) => match *fault {
                Some((_, Fault::EarlyReturn)) => Ok(()),
                _ => panic!("a fault that the test asked for"),
            },
            ended = work => ended,
        }
    }

    /// Whether a thread returns now; panics if that is what it meets.
    pub(crate) fn is_early_return(&self, stage: Stage) -> bool {
        match *self.next.borrow() {
            Some((of, fault)) if of == stage => {
                assert!(fault == Fault::EarlyReturn, "a fault that the test asked for");
                true
            }
            _ => false,
        }
    }
}
