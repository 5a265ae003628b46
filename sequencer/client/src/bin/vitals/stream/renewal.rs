//! What is said of a certificate that is renewed while readings are sent.

use std::sync::{Mutex, PoisonError};

use client::Renewal;
use model::calendar::Utc;
use model::with_causes;

/// A sentence, if it is not the one that was said last: a request waits for days.
pub(super) fn news(step: &Renewal, told: &Mutex<Option<String>>) -> Option<String> {
    let sentence = sentence(step);
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    if told.as_ref() == Some(&sentence) {
        return None;
    }
    *told = Some(sentence.clone());
    Some(sentence)
}

fn sentence(step: &Renewal) -> String {
    match step {
        Renewal::Asked { until } => format!(
            "a certificate is asked for, since this one ends at {}: the operator issues it \
             (`sequencer identity renew --all`)",
            Utc(*until)
        ),
        Renewal::Renewed { until } => {
            format!("the certificate is renewed, and good until {}", Utc(*until))
        }
        Renewal::Failed(why) => format!("the certificate is not renewed yet: {}", with_causes(why)),
    }
}

#[cfg(test)]
mod tests {
    use model::Millis;

    use super::*;

    #[test]
    fn what_waits_is_said_once_and_what_is_new_at_once() {
        let (told, until) = (Mutex::default(), Millis::from_unix_ms(1_800_000_000_000));
        let asked = Renewal::Asked { until };
        let first = news(&asked, &told).unwrap();
        assert!(first.contains("2027-01-15") && first.contains("renew --all"), "{first}");
        assert_eq!(news(&asked, &told), None);
        let renewed = news(&Renewal::Renewed { until }, &told).unwrap();
        assert!(renewed.contains("is renewed"), "{renewed}");
        assert!(news(&asked, &told).is_some(), "the next one");
    }
}
