//! Whether this processor can run the kernel.

/// What the kernel asks of a processor: 512-bit vectors, with 52-bit multiplication. Intel has them
/// since Ice Lake, AMD since Zen 4.
pub const FEATURES: [&str; 5] = ["avx512f", "avx512dq", "avx512vl", "avx512bw", "avx512ifma"];

/// Says that this processor has every feature of [`FEATURES`]. Costs nothing to pass on.
#[derive(Clone, Copy, Debug)]
pub struct Ifma(());

/// What this processor lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Of [`FEATURES`], in their order. All of them on another architecture.
    pub features: Vec<&'static str>,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (expected, found) = (FEATURES.join(", "), self.features.join(", "));
        write!(f, "expected a processor with {expected}; this one lacks {found}")
    }
}

impl std::error::Error for Missing {}

impl Ifma {
    /// Asks the processor.
    ///
    /// # Errors
    /// What it lacks.
    pub fn detect() -> Result<Self, Missing> {
        let features = lacking();
        if features.is_empty() { Ok(Self(())) } else { Err(Missing { features }) }
    }
}

#[cfg(target_arch = "x86_64")]
fn lacking() -> Vec<&'static str> {
    let has = [
        is_x86_feature_detected!("avx512f"),
        is_x86_feature_detected!("avx512dq"),
        is_x86_feature_detected!("avx512vl"),
        is_x86_feature_detected!("avx512bw"),
        is_x86_feature_detected!("avx512ifma"),
    ];
    FEATURES.into_iter().zip(has).filter(|(_, has)| !has).map(|(feature, _)| feature).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn lacking() -> Vec<&'static str> {
    FEATURES.to_vec()
}
