//! Rules between fields that no single field's type can hold.

use model::{DeviceId, GatewayId, Labels, Millis};
use wire::*;

use crate::samples;

#[test]
fn breaking_the_glass_needs_a_reason_and_access_does_not() {
    let kind = AccessKind::BreakGlass { reason: Reason::default() };
    assert!(AccessRequest { kind, ..samples::access_request() }.to_bytes().is_err());
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

#[test]
fn a_device_with_unknown_repeated_or_no_signals_is_refused() {
    let change = |signals: Vec<u32>| match samples::registry_changes().remove(3) {
        RegistryChange::Add(RegistryRecord::Device { id, organisation, patient, .. }) => {
            let device = RegistryRecord::Device { id, organisation, patient, signals };
            RegistryChange::Add(device).to_bytes()
        }
        _ => unreachable!("the fourth sample is a device"),
    };
    assert!(change(vec![samples::ECG]).is_ok());
    for bad in [vec![], vec![1], vec![samples::ECG; 2], vec![147842, samples::ECG]] {
        assert!(change(bad).is_err());
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
