//! Under which conditions a figure was taken.

use std::fs;
use std::time::Duration;

/// One line: processor, cores, load average, and where files are written. Print it before and after
/// a bench: a figure taken beside other work is a figure about that work too.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, model)| model);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<_> = load.split(' ').take(3).collect();
    let load = if load.len() == 3 { load.join(" ") } else { "unknown".to_owned() };
    format!("machine: {cores} cores, {model}; load average {load}")
}

/// Processor time of all threads of this process so far, which a busy machine does not lengthen.
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_cores_and_load() {
        let line = machine();
        assert!(line.starts_with("machine: ") && line.contains("load average"), "{line}");
        assert!(!line.contains('\n'));
    }
}
