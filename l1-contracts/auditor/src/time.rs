//! Times as people read them.

use model::Millis;

/// `2026-11-22T09:30:00.000Z`; the two ends of time by name.
pub(crate) fn utc(time: Millis) -> String {
    match time {
        Millis::UNBOUNDED_PAST => return "since ever".to_owned(),
        Millis::UNBOUNDED_FUTURE => return "for ever".to_owned(),
        _ => {}
    }
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let (days, ms) = (time.get() / DAY_MS, time.get() % DAY_MS);
    let (year, month, day) = civil(days);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", ms % 1000)
}

/// Year, month and day of the Gregorian calendar, `days` after 1900-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years are counted from March, so that a leap day ends one: 1900-01-01 is day 693,901 after
    // 0000-03-01. An era is 400 years.
    let days = days + 693_901;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let years = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * years + years / 4 - years / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + years + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let of = |unix_ms| utc(Millis::from_unix_ms(unix_ms));
        assert_eq!(of(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(of(951_782_400_123), "2000-02-29T00:00:00.123Z");
        assert_eq!(of(1_795_339_801_000), "2026-11-22T09:30:01.000Z");
        assert_eq!(utc(Millis::new(1).expect("small")), "1900-01-01T00:00:00.001Z");
        assert_eq!(utc(Millis::UNBOUNDED_FUTURE), "for ever");
    }
}
