//! The table, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::name::Name;
use crate::stats::Spread;
use crate::worker::Proved;

/// A whole run.
#[derive(Serialize)]
pub(crate) struct Report {
    schema: &'static str,
    /// Processor, cores and load when it began and when it ended.
    machine: [String; 2],
    build: Build,
    rounds: usize,
    threads: usize,
    circuits: Vec<Circuit>,
}

/// How the provers of this program were compiled.
#[derive(Serialize)]
struct Build {
    profile: &'static str,
    /// Whether arkworks' assembly is in it, which needs `-C target-cpu=native` or the like.
    bmi2_and_adx: bool,
}

/// Engines that each row is compared with, and the width of the column.
const COMPARED: [(Name, usize); 3] =
    [(Name::Accelerated, 13), (Name::AcceleratedFirst, 19), (Name::Portable, 10)];

/// What was proven, and by whom.
#[derive(Serialize)]
pub(crate) struct Circuit {
    pub(crate) name: String,
    pub(crate) constraints: usize,
    pub(crate) columns: usize,
    pub(crate) columns_in_b: usize,
    /// Columns whose value is 0 or 1.
    pub(crate) bits: usize,
    /// Terms in A, B and C.
    pub(crate) terms: [usize; 3],
    pub(crate) key_bytes: u64,
    pub(crate) entries: Vec<Entry>,
}

/// A prover of the table.
#[derive(Serialize)]
pub(crate) struct Entry {
    #[serde(serialize_with = "by_name")]
    pub(crate) prover: Name,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

/// What is known of a prover.
#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Proved in every round, and every proof was verified.
    Measured(Measured),
    /// Not on this machine.
    Skipped {
        /// What is missing.
        why: String,
    },
    /// Ended, or made a proof that does not hold.
    Failed {
        /// What happened.
        why: String,
    },
}

/// Figures of a prover. Of an own engine, the products are in them.
#[derive(Clone, Serialize)]
pub(crate) struct Measured {
    version: String,
    /// What else a reader should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    cpu_s: Spread,
    wall_s: Spread,
    peak_bytes: Option<u64>,
    /// Each round's CPU seconds, in the order in which they were made.
    rounds_cpu_s: Vec<f64>,
    /// Of an own engine: itself, without the products.
    #[serde(skip_serializing_if = "Option::is_none")]
    alone_cpu_s: Option<Spread>,
    /// Of an own engine: how many times its median CPU time the others' is.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_vs: Option<BTreeMap<String, f64>>,
    #[serde(skip)]
    rounds_wall_s: Vec<f64>,
}

fn by_name<S: Serializer>(name: &Name, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}

impl Outcome {
    /// Figures of at least one proof; a prover that made none has failed.
    pub(crate) fn measured(version: &str, note: Option<String>, proved: &[Proved]) -> Self {
        let cpu: Vec<f64> = proved.iter().map(|one| one.cpu_s).collect();
        let wall: Vec<f64> = proved.iter().map(|one| one.wall_s).collect();
        let peak_bytes = proved.iter().filter_map(|one| one.peak_bytes).max();
        match Measured::of(version, cpu, wall) {
            Some(measured) => Outcome::Measured(Measured { note, peak_bytes, ..measured }),
            None => Outcome::Failed { why: "it made no proof".to_owned() },
        }
    }

    fn figures(&self) -> Option<&Measured> {
        match self {
            Outcome::Measured(measured) => Some(measured),
            _ => None,
        }
    }
}

impl Measured {
    fn of(version: &str, cpu: Vec<f64>, wall: Vec<f64>) -> Option<Self> {
        Some(Self {
            version: version.to_owned(),
            note: None,
            cpu_s: Spread::of(cpu.iter().copied())?,
            wall_s: Spread::of(wall.iter().copied())?,
            peak_bytes: None,
            alone_cpu_s: None,
            ratio_vs: None,
            rounds_cpu_s: cpu,
            rounds_wall_s: wall,
        })
    }

    /// With what something else took in the same rounds.
    fn plus(&self, other: &Measured) -> Option<Self> {
        let sums = |own: &[f64], other: &[f64]| own.iter().zip(other).map(|(a, b)| a + b).collect();
        let cpu = sums(&self.rounds_cpu_s, &other.rounds_cpu_s);
        let wall = sums(&self.rounds_wall_s, &other.rounds_wall_s);
        let sum = Measured::of(&self.version, cpu, wall)?;
        let (note, peak_bytes) = (self.note.clone(), self.peak_bytes);
        Some(Self { note, peak_bytes, alone_cpu_s: Some(self.cpu_s), ..sum })
    }
}

impl Circuit {
    /// Puts the entries in order, adds the products to the own engines and compares.
    pub(crate) fn finish(&mut self, order: &[Name]) {
        self.entries.sort_by_key(|entry| order.iter().position(|name| *name == entry.prover));
        let products = self.figures_of(Name::Products).cloned();
        let medians: Vec<(Name, f64)> = self
            .entries
            .iter()
            .filter(|entry| !entry.prover.is_own() && entry.prover != Name::Products)
            .filter_map(|entry| Some((entry.prover, entry.outcome.figures()?.cpu_s.median)))
            .collect();
        for entry in self.entries.iter_mut().filter(|entry| entry.prover.is_own()) {
            let Outcome::Measured(own) = &mut entry.outcome else { continue };
            let Some(sum) = products.as_ref().and_then(|products| own.plus(products)) else {
                // Without the products, the figures would leave out what the others do.
                let why = "the products of the matrices were not measured".to_owned();
                entry.outcome = Outcome::Failed { why };
                continue;
            };
            let ratio = |median: f64| median / sum.cpu_s.median;
            let ratios = medians.iter().map(|(name, median)| (name.to_string(), ratio(*median)));
            *own = Measured { ratio_vs: Some(ratios.collect()), ..sum };
        }
    }

    fn figures_of(&self, name: Name) -> Option<&Measured> {
        self.entries.iter().find(|entry| entry.prover == name)?.outcome.figures()
    }
}

impl Report {
    pub(crate) fn new(
        rounds: usize,
        threads: usize,
        machine: [String; 2],
        circuits: Vec<Circuit>,
    ) -> Self {
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        let bmi2_and_adx = cfg!(all(target_feature = "bmi2", target_feature = "adx"));
        let build = Build { profile, bmi2_and_adx };
        Self { schema: "compare.prover.v1", machine, build, rounds, threads, circuits }
    }

    /// Whether every prover that is on this machine was measured.
    pub(crate) fn is_whole(&self) -> bool {
        let mut entries = self.circuits.iter().flat_map(|circuit| &circuit.entries);
        !entries.any(|entry| matches!(entry.outcome, Outcome::Failed { .. }))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = &self.machine;
        writeln!(f, "before: {before}\nafter:  {after}")?;
        let Build { profile, bmi2_and_adx } = self.build;
        let assembly = if bmi2_and_adx { "with" } else { "without" };
        writeln!(f, "build: {profile}, {assembly} bmi2 and adx; {} threads", self.threads)?;
        self.circuits.iter().try_for_each(|circuit| write!(f, "\n{circuit}"))?;
        writeln!(
            f,
            "\nMedian (lowest to highest) of {} rounds. The own engines include the \
             products and their own\nverification; every proof was verified by ark-groth16 before \
             its time counted.",
            self.rounds
        )
    }
}

impl fmt::Display for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.terms;
        writeln!(
            f,
            "{}: {} constraints; {} columns, {} of them bits, {} in B; {a} + {b} + {c} terms; \
             key of {} MiB",
            self.name,
            self.constraints,
            self.columns,
            self.bits,
            self.columns_in_b,
            self.key_bytes >> 20
        )?;
        write!(
            f,
            "{:<17} {:>8} {:>30} {:>9} {:>9}",
            "prover", "version", "CPU s", "wall s", "peak MiB"
        )?;
        for (engine, width) in COMPARED {
            write!(f, " {:>width$}", format!("x {engine}"))?;
        }
        writeln!(f)?;
        for entry in &self.entries {
            self.write_entry(f, entry)?;
        }
        Ok(())
    }
}

impl Circuit {
    fn write_entry(&self, f: &mut fmt::Formatter<'_>, entry: &Entry) -> fmt::Result {
        let own = match &entry.outcome {
            Outcome::Measured(measured) => measured,
            Outcome::Skipped { why } => return writeln!(f, "{:<17} skipped: {why}", entry.prover),
            Outcome::Failed { why } => return writeln!(f, "{:<17} FAILED: {why}", entry.prover),
        };
        let Spread { median, lowest, highest } = own.cpu_s;
        let cpu = format!("{median:.3} ({lowest:.3} to {highest:.3})");
        let peak = own.peak_bytes.map_or("-".to_owned(), |bytes| (bytes >> 20).to_string());
        write!(f, "{:<17} {:>8} {cpu:>30} ", entry.prover, own.version)?;
        write!(f, "{:>9.3} {peak:>9}", own.wall_s.median)?;
        for (engine, width) in COMPARED {
            // How many proofs of the engine one of this prover's pays for.
            let engine = self.figures_of(engine).filter(|_| entry.prover != Name::Products);
            let times = engine.map(|engine| format!("{:.2}", median / engine.cpu_s.median));
            write!(f, " {:>width$}", times.unwrap_or("-".to_owned()))?;
        }
        writeln!(f)?;
        own.note.iter().try_for_each(|note| writeln!(f, "                 ({note})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(prover: Name, cpu: &[f64]) -> Entry {
        let one = |cpu_s: &f64| Proved {
            cpu_s: *cpu_s,
            wall_s: cpu_s * 2.0,
            peak_bytes: Some(3 << 20),
            proof: None,
        };
        let proved: Vec<Proved> = cpu.iter().map(one).collect();
        Entry { prover, outcome: Outcome::measured("1.0", Some("noted".to_owned()), &proved) }
    }

    fn table(entries: Vec<Entry>) -> Report {
        let mut circuit = Circuit {
            name: "chain-16".to_owned(),
            constraints: 1,
            columns: 1,
            columns_in_b: 1,
            bits: 1,
            terms: [1, 1, 1],
            key_bytes: 1,
            entries,
        };
        circuit.finish(&Name::ALL);
        Report::new(2, 1, ["m".to_owned(), "m".to_owned()], vec![circuit])
    }

    #[test]
    fn own_engines_pay_for_the_products_and_peers_are_compared_with_the_sum() {
        let report = table(vec![
            entry(Name::ArkGroth16, &[6.0, 6.0, 9.0]),
            entry(Name::Products, &[0.5, 0.25, 0.5]),
            entry(Name::Accelerated, &[1.0, 1.25, 1.0]),
        ]);
        let json = serde_json::to_value(&report).expect("JSON");
        let first = &json["circuits"][0]["entries"][0];
        assert_eq!(first["prover"], "accelerated");
        assert_eq!(first["cpu_s"]["median"], 1.5);
        assert_eq!(first["alone_cpu_s"]["median"], 1.0);
        assert_eq!(first["ratio_vs"]["ark_groth16"], 4.0);
        assert_eq!(first["outcome"], "measured");
        assert!(report.is_whole());
        let text = report.to_string();
        let ark = text.lines().find(|line| line.starts_with("ark_groth16")).expect("a row");
        assert!(ark.contains("6.000 (6.000 to 9.000)") && ark.contains(" 4.00 "), "{ark}");
        assert!(text.contains("(noted)"), "{text}");
    }

    #[test]
    fn what_was_not_measured_is_said_and_a_failure_is_no_whole_table() {
        let skipped = || Entry {
            prover: Name::Snarkjs,
            outcome: Outcome::Skipped { why: "no npm".to_owned() },
        };
        let report = table(vec![skipped()]);
        assert!(report.is_whole() && report.to_string().contains("skipped: no npm"));
        let report = table(vec![entry(Name::Portable, &[1.0]), skipped()]);
        assert!(!report.is_whole(), "an engine without the products has no figure");
        assert!(report.to_string().contains("FAILED"), "{report}");
    }
}
