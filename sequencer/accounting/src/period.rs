//! How far back each file goes. Years are taken as leap years: a day more than the law asks for
//! does nobody harm, a day less does.

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const YEAR_MS: u64 = 366 * DAY_MS;

/// 45 CFR 164.528(a)(1): six years.
pub const KEPT_DISCLOSURES_MS: u64 = 6 * YEAR_MS;
/// EHDS Article 9(2): at least three years.
pub const KEPT_ACCESS_LOG_MS: u64 = 3 * YEAR_MS;
