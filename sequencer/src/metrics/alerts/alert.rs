//! What an alert is.

/// How soon somebody has to look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// At once, at night too: something is refused, or a promise to patients is running out.
    Page,
    /// Within the working day.
    Ticket,
}

impl Severity {
    /// The value of the label `severity`.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Page => "page",
            Severity::Ticket => "ticket",
        }
    }
}

/// From which value of what is measured on.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Limit {
    /// Greater than this.
    Above(f64),
    /// This or more.
    AtLeast(f64),
    /// Less than this.
    Below(f64),
}

impl Limit {
    /// Whether a value is beyond it. One that is no number is not, as in Prometheus.
    pub fn is_passed(self, value: f64) -> bool {
        match self {
            Limit::Above(limit) => value > limit,
            Limit::AtLeast(limit) => value >= limit,
            Limit::Below(limit) => value < limit,
        }
    }

    /// As an expression ends with it.
    pub fn words(self) -> String {
        match self {
            Limit::Above(limit) => format!("> {limit}"),
            Limit::AtLeast(limit) => format!(">= {limit}"),
            Limit::Below(limit) => format!("< {limit}"),
        }
    }
}

/// Values of one series while a rule is tried: a first one, and what each minute adds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Series {
    /// Name and labels.
    pub name: &'static str,
    /// The first value.
    pub from: f64,
    /// What each minute adds.
    pub a_minute: f64,
}

/// A series of one value.
pub(super) const fn still(name: &'static str, value: f64) -> Series {
    Series { name, from: value, a_minute: 0.0 }
}

/// A series that grows from zero, or from a value that it falls from.
pub(super) const fn moving(name: &'static str, from: f64, a_minute: f64) -> Series {
    Series { name, from, a_minute }
}

/// One alert.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Alert {
    /// Its name; in small letters the anchor of its section in the runbook.
    pub name: &'static str,
    /// How soon somebody has to look.
    pub severity: Severity,
    /// Expression of Prometheus, without its limit.
    pub measured: &'static str,
    /// From which value on.
    pub limit: Limit,
    /// Minutes that it must last.
    pub for_minutes: u32,
    /// One sentence for whoever is woken.
    pub summary: &'static str,
    /// Series with which it fires.
    pub fires: &'static [Series],
    /// Labels of the alert that these fire, beside its severity.
    pub labels: &'static [(&'static str, &'static str)],
    /// Series with which it stays silent, close to the limit.
    pub silent: &'static [Series],
    /// The test that brings the trouble about, or as near to it as a test comes: file from
    /// `sequencer/` on, and function.
    pub brought_about_by: &'static str,
}

impl Alert {
    /// The whole expression.
    pub fn expression(&self) -> String {
        format!("{} {}", self.measured, self.limit.words())
    }

    /// The page and heading of what to do.
    pub fn runbook(&self) -> String {
        format!("docs/runbook.md#{}", self.name.to_lowercase())
    }

    /// The longest range that it looks back, minutes.
    pub fn looks_back_minutes(&self) -> u32 {
        let ranges = self.measured.split('[').skip(1).filter_map(|rest| rest.split(']').next());
        let minutes = ranges.filter_map(|range| {
            let (number, unit) = range.split_at_checked(range.len().checked_sub(1)?)?;
            let minutes = match unit {
                "m" => 1,
                "h" => 60,
                "d" => 24 * 60,
                _ => return None,
            };
            number.parse::<u32>().ok()?.checked_mul(minutes)
        });
        minutes.max().unwrap_or(0)
    }
}
