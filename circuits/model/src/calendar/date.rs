//! Days of the Gregorian calendar, counted from 1900-01-01.

pub(super) const SECOND_MS: u64 = 1_000;
pub(super) const MINUTE_MS: u64 = 60 * SECOND_MS;
pub(super) const HOUR_MS: u64 = 60 * MINUTE_MS;
pub(super) const DAY_MS: u64 = 24 * HOUR_MS;

/// The year that times count from.
pub(super) const FIRST_YEAR: u64 = 1900;

/// A day of the Gregorian calendar, not before 1900.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Date {
    pub(super) year: u64,
    /// From 1.
    pub(super) month: u64,
    /// From 1.
    pub(super) day: u64,
}

impl Date {
    /// The day that comes `days` after 1900-01-01.
    pub(super) fn of_days(mut days: u64) -> Date {
        // Counted, not computed: no formula to trust, and 557 years are nothing to count.
        let (mut year, mut month) = (FIRST_YEAR, 1);
        while days >= days_of_year(year) {
            days -= days_of_year(year);
            year += 1;
        }
        while days >= days_of_month(year, month) {
            days -= days_of_month(year, month);
            month += 1;
        }
        Date { year, month, day: days + 1 }
    }

    /// Days from 1900-01-01 to this one.
    pub(super) fn days(self) -> u64 {
        let years: u64 = (FIRST_YEAR..self.year).map(days_of_year).sum();
        let months: u64 = (1..self.month).map(|month| days_of_month(self.year, month)).sum();
        years + months + self.day - 1
    }
}

fn is_leap(year: u64) -> bool {
    // Both exceptions are within the range: 1900 and 2100 are no leap years, 2000 is one.
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

pub(super) fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}
