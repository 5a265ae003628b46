//! Units under other names than UCUM's: the codes of ISO/IEEE 11073-10101.

/// A unit of MDC that is one of UCUM's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KnownUnit {
    /// The code.
    pub code: &'static str,
    /// The reference identifier, which stands for the code, too.
    pub name: &'static str,
    /// The same in UCUM.
    pub ucum: &'static str,
}

const fn unit(code: &'static str, name: &'static str, ucum: &'static str) -> KnownUnit {
    KnownUnit { code, name, ucum }
}

/// Every unit that is known.
pub const KNOWN_UNITS: &[KnownUnit] = &[
    unit("262656", "MDC_DIM_DIMLESS", "1"),
    unit("262688", "MDC_DIM_PERCENT", "%"),
    unit("263872", "MDC_DIM_X_G", "g"),
    unit("263875", "MDC_DIM_KILO_G", "kg"),
    unit("263904", "MDC_DIM_LB", "[lb_av]"),
    unit("264274", "MDC_DIM_MILLI_G_PER_DL", "mg/dL"),
    unit("264864", "MDC_DIM_BEAT_PER_MIN", "/min"),
    unit("264928", "MDC_DIM_RESP_PER_MIN", "/min"),
    unit("265987", "MDC_DIM_KILO_PASCAL", "kPa"),
    unit("266016", "MDC_DIM_MMHG", "mm[Hg]"),
    unit("266418", "MDC_DIM_MILLI_VOLT", "mV"),
    unit("266419", "MDC_DIM_MICRO_VOLT", "uV"),
    unit("266560", "MDC_DIM_FAHR", "[degF]"),
    unit("266866", "MDC_DIM_MILLI_MOLE_PER_L", "mmol/L"),
    unit("268192", "MDC_DIM_DEGC", "Cel"),
];

/// The unit in UCUM that an MDC code or identifier stands for.
pub fn ucum(called: &str) -> Option<&'static str> {
    let known = KNOWN_UNITS.iter().find(|unit| unit.code == called || unit.name == called);
    known.map(|unit| unit.ucum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_unit_is_one_of_a_signal() {
        for unit in KNOWN_UNITS {
            let taken =
                |signal: &&model::Signal| recordings::unit::conversion(signal, unit.ucum).is_ok();
            assert!(model::signals().iter().any(|signal| taken(&signal)), "{}", unit.name);
            assert_eq!(ucum(unit.code), Some(unit.ucum));
            assert_eq!(ucum(unit.name), Some(unit.ucum));
        }
        assert_eq!(ucum("mmHg"), None);
    }
}
