//! Rules between fields that no single field's type can hold.

use model::{DeviceId, GatewayId, Labels, Millis};
use wire::*;

use crate::samples;

#[test]
fn breaking_the_glass_needs_a_reason_and_access_does_not() {
    let glass = |text: &str| {
        let kind = AccessKind::BreakGlass { reason: Reason::new(text).expect("short") };
        AccessRequest { kind, ..samples::access_request() }.to_bytes()
    };
    // What says nothing is no reason, in any script.
    for text in ["", "   ", "x", "...", "- - - -", "a b c"] {
        assert!(glass(text).is_err(), "{text:?}");
    }
    for text in ["fell", "no pulse", "\u{610f}\u{8b58}\u{4e0d}\u{660e}"] {
        assert!(glass(text).is_ok(), "{text:?}");
    }
    let kind = AccessKind::Access { reason: Reason::default() };
    let request = AccessRequest { kind, ..samples::access_request() };
    let bytes = request.to_bytes().expect("valid");
    assert_eq!(AccessRequest::from_bytes(&bytes), Ok(request));
    assert!(Reason::new(&"x".repeat(256)).is_ok() && Reason::new(&"x".repeat(257)).is_err());
    assert!(Reason::new("two\nlines").is_err());
}

#[test]
fn a_request_without_labels_or_validity_is_refused() {
    let empty = AccessRequest { labels: Labels::NONE, ..samples::access_request() };
    assert!(empty.to_bytes().is_err());
    let request = samples::access_request();
    let late = AccessRequest { valid_until: request.requested_at, ..request };
    assert!(late.to_bytes().is_err());
}

#[test]
fn the_signed_hash_depends_on_every_field() {
    let base = samples::access_request();
    let hash = base.signing_hash().expect("valid");
    let mut scope = base.scope;
    scope.chain_id += 1;
    let others = [
        AccessRequest { scope, ..base.clone() },
        AccessRequest { nonce: 100, ..base.clone() },
        AccessRequest { care_team: None, ..base.clone() },
        AccessRequest { source: Source::Any, ..base.clone() },
        AccessRequest { valid_until: base.valid_until.plus(1), ..base.clone() },
        samples::all_categories_request(),
    ];
    for other in others {
        assert_ne!(other.signing_hash().expect("valid"), hash);
    }
}

#[test]
fn a_holder_is_a_role_and_a_name() {
    let gateway = Holder::gateway(&GatewayId::new("x").expect("a name"));
    assert_eq!(gateway, Holder::new(Role::Gateway, "x"));
    assert_ne!(gateway, Holder::new(Role::Practitioner, "x"));
}

/// The sample device, changed.
fn device(change: impl FnOnce(&mut Vec<u32>, &mut Vec<GatewayId>)) -> Result<Vec<u8>, DecodeError> {
    let mut sample = samples::registry_changes().remove(3);
    match &mut sample {
        RegistryChange::Add(RegistryRecord::Device { signals, gateways, .. }) => {
            change(signals, gateways);
        }
        _ => unreachable!("the fourth sample is a device"),
    }
    sample.to_bytes()
}

#[test]
fn a_device_with_unknown_repeated_or_no_signals_is_refused() {
    assert!(device(|signals, _| *signals = vec![samples::ECG]).is_ok());
    for bad in [vec![], vec![1], vec![samples::ECG; 2], vec![147842, samples::ECG]] {
        assert!(device(|signals, _| *signals = bad).is_err());
    }
}

#[test]
fn a_device_without_a_gateway_or_with_more_than_it_may_name_is_refused() {
    let named = |n: usize| GatewayId::new(&format!("gw-{n:03}")).expect("a name");
    let most = limits::DEVICE_GATEWAYS_MAX;
    assert!(device(|_, gateways| *gateways = (0..most).map(named).collect()).is_ok());
    for bad in
        [vec![], vec![named(1); 2], vec![named(2), named(1)], (0..=most).map(named).collect()]
    {
        assert!(device(|_, gateways| *gateways = bad).is_err());
    }
}

#[test]
fn a_registry_change_of_the_first_version_is_refused() {
    for change in samples::registry_changes() {
        let mut bytes = change.to_bytes().expect("valid");
        bytes[0] = 1;
        let found = RegistryChange::from_bytes(&bytes);
        assert!(matches!(found, Err(DecodeError::FirstVersion { .. })), "{found:?}");
    }
}

#[test]
fn debug_output_shows_no_patient_device_or_reading() {
    let shown = format!(
        "{:?} {:?} {:?} {:?}",
        samples::client_messages(),
        samples::entries(),
        samples::registry_changes(),
        samples::readings(1, 2),
    );
    for hidden in ["monitor-1", "dr-x", "no pulse", "patient: 7", "PatientIndex(7)"] {
        assert!(!shown.contains(hidden), "{hidden}");
    }
    assert!(DeviceId::new("monitor-1").is_ok());
}

#[test]
fn device_times_convert_by_flooring() {
    let time = DeviceTime::from_micros(5_999).expect("small");
    assert_eq!(time.millis(), Millis::new(5).expect("small"));
    assert!(DeviceTime::from_micros(DeviceTime::LIMIT_MICROS).is_err());
}
