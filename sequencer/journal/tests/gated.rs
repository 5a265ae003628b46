//! A medium that holds the writer up where a test wants to look.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use journal::FileName;
use journal::fault::FaultMedium;

/// A medium whose syncs of groups wait for permission, once it is asked to hold them.
#[derive(Clone, Default)]
pub(crate) struct GatedMedium {
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

#[derive(Default)]
struct Gate {
    held: bool,
    waiting: usize,
}

impl GatedMedium {
    pub(crate) fn medium(&self) -> FaultMedium {
        let gate = Arc::clone(&self.gate);
        FaultMedium::default().on_sync(move |name| {
            // The file that is made ahead has a thread of its own.
            if name == FileName::Next {
                return;
            }
            let mut state = gate.0.lock().expect("gate");
            state.waiting += 1;
            gate.1.notify_all();
            let mut state = gate.1.wait_while(state, |gate| gate.held).expect("gate");
            state.waiting -= 1;
        })
    }

    pub(crate) fn hold(&self) {
        self.gate.0.lock().expect("gate").held = true;
    }

    pub(crate) fn await_sync(&self) {
        let gate = self.gate.0.lock().expect("gate");
        // The limit is for a broken writer, which would otherwise hang the whole test run.
        let limit = Duration::from_secs(60);
        let none = |gate: &mut Gate| gate.waiting == 0;
        let (gate, late) = self.gate.1.wait_timeout_while(gate, limit, none).expect("gate");
        drop(gate);
        assert!(!late.timed_out(), "the writer syncs what it was given");
    }

    pub(crate) fn release(&self) {
        self.gate.0.lock().expect("gate").held = false;
        self.gate.1.notify_all();
    }
}
