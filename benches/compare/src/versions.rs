//! Versions of the crates that are measured, from the lock file of this very build.

const LOCK: &str = include_str!("../Cargo.lock");

/// The version of a crate; the first, if there are several.
pub(crate) fn of(name: &str) -> &'static str {
    let heading = format!("name = \"{name}\"");
    let mut behind = LOCK.lines().skip_while(|line| *line != heading);
    let version = behind.nth(1).and_then(|line| line.strip_prefix("version = \""));
    version.map_or("unknown", |version| version.trim_end_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        assert_eq!(of("ark-groth16"), "0.6.0");
        assert_eq!(of("no such crate"), "unknown");
    }
}
