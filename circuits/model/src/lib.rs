//! Vocabulary of the rollup: ids, times, categories, rules, operations, claims, limits, refusals.
