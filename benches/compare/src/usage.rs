//! CPU time and peak memory of this process and of the programs that it ran to their end.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// CPU time of both together, and wall time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
}

/// What `work` gives, and what it took.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> (T, Spent) {
    let (started, before) = (Instant::now(), cpu());
    let result = work();
    (result, Spent { cpu: cpu().saturating_sub(before), wall: started.elapsed() })
}

fn cpu() -> Duration {
    let one = |who| {
        let usage = getrusage(who).expect("every system knows both");
        let times = [usage.user_time(), usage.system_time()];
        let micros = times.map(|time| time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64);
        Duration::from_micros(micros.iter().sum())
    };
    one(UsageWho::RUSAGE_SELF) + one(UsageWho::RUSAGE_CHILDREN)
}

/// Forgets the peak until now, so that loading a key does not count. Linux alone can: elsewhere the
/// peak is that of the whole process.
pub(crate) fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Most memory that this process held; `None` where the system does not say.
pub(crate) fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Most memory that any program run by this process held.
pub(crate) fn children_peak_bytes() -> Option<u64> {
    let kib = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?.max_rss();
    u64::try_from(kib).ok().filter(|kib| *kib > 0).map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn work_of_this_process_and_of_a_program_counts() {
        let busy = || (0..20_000_000u64).fold(1u64, |sum, n| std::hint::black_box(sum ^ n));
        let (_, spent) = measured(busy);
        assert!(spent.cpu > Duration::ZERO && spent.wall > Duration::ZERO, "{spent:?}");
        let count = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        let (ended, spent) = measured(|| Command::new("sh").args(["-c", count]).status());
        assert!(ended.expect("a shell").success());
        assert!(spent.cpu > Duration::ZERO, "{spent:?}");
        assert!(children_peak_bytes() > Some(100 << 10), "{:?}", children_peak_bytes());
    }
}
