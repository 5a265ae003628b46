//! FHIR Consents: looked through, signed as rules, and written from them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::command_line::{done, enrol, folder_with_identities, vitals};
use crate::node::{Behaviour, Node};

const NAMES: &str = r#"
[patients]
"Patient/ex-patient" = 7
[actors]
"Practitioner/ex-practitioner" = "practitioner:dr-001"
"Group/ex-privilegedUsers" = "care-team:emergency"
[document]
organization = "Organization/ex-organization"
policy = "http://example.org/policies/basePrivacyConsentPolicy.txt"
"#;

/// A patient with a record, and beside its key the names and examples of PCF by their names.
struct Case {
    node: Node,
    folder: tempfile::TempDir,
}

impl Case {
    async fn new() -> Case {
        let node = Node::start(Behaviour::default());
        let folder = folder_with_identities(&node);
        enrol(folder.path(), &node).await;
        std::fs::write(folder.path().join("names.toml"), NAMES).unwrap();
        let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../pcf/data");
        for file in std::fs::read_dir(examples.join("ihe-pcf")).unwrap() {
            let path = file.unwrap().path();
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        let core = examples.join("hl7-core/r4-basic.json");
        std::fs::copy(core, folder.path().join("core.json")).unwrap();
        Case { node, folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn import(document: &str) -> String {
        format!(
            "consent import DIR/{document} --names DIR/names.toml --zone UTC \
             --patient-key DIR/anna.key --identity DIR/wallet --yes"
        )
    }

    async fn done(&self, line: &str) -> Value {
        done(self.path(), &self.node, line).await
    }

    /// What a command that fails reports.
    async fn refused(&self, line: &str) -> Value {
        let output = vitals(self.path(), &self.node, line).await;
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one object")
    }

    /// Sentences of the live rules.
    async fn rules(&self) -> Vec<String> {
        let show = "consent show --patient-key DIR/anna.key --identity DIR/wallet";
        let shown = self.done(show).await;
        let live = shown["rules"].as_array().unwrap().iter().filter(|rule| rule["ended"] == false);
        live.map(|rule| {
            let (slot, says) = (rule["slot"].as_str().unwrap(), rule["says"].as_str().unwrap());
            // From when on is the time of the test.
            format!("{slot} {}", says.split(", from ").next().unwrap())
        })
        .collect()
    }
}

fn verbs(report: &Value) -> Vec<String> {
    let changes = report["changes"].as_array().unwrap().iter();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    changes.map(|one| format!("{} {}", text(one, "does"), text(one, "slot"))).collect()
}

#[tokio::test]
async fn a_consent_is_shown_signed_once_and_comes_back_as_a_document() {
    let case = Case::new().await;
    let focused = Case::import("ex-consent-advanced-normal-focused-psy.json");
    let question = "--preview-actor practitioner:dr-001 --preview-category ecg";
    let shown = case.done(&format!("{focused} --dry-run {question}")).await;
    assert_eq!(verbs(&shown), ["write permit:0", "write permit:1"]);
    assert_eq!(shown["applied"], false);
    assert!(shown["before"].as_str().unwrap().starts_with("no, practitioner dr-001"));
    assert!(shown["after"].as_str().unwrap().starts_with("yes, practitioner dr-001"));
    assert_eq!(case.rules().await, [""; 0]);

    let signed = case.done(&focused).await;
    assert_eq!(signed["applied"], true);
    assert!(signed["changes"][1]["position"].is_u64(), "{signed}");
    let both = [
        "permit:0 permits anybody to read every category for treatment, payment, operations, \
         labelled normal",
        "permit:1 permits practitioner dr-001 to read every category for treatment, payment, \
         operations, labelled psychiatry",
    ];
    assert_eq!(case.rules().await, both);
    // What the record says already is not signed again, from this document or from its own.
    let export = "consent export --patient-key DIR/anna.key --identity DIR/wallet \
                  --names DIR/names.toml --out DIR/out.json";
    let written = case.done(export).await;
    assert!(written["profile"].as_str().unwrap().ends_with("consentAdvanced"));
    for document in ["ex-consent-advanced-normal-focused-psy.json", "out.json"] {
        let again = case.done(&Case::import(document)).await;
        assert_eq!(verbs(&again), [""; 0], "{document}");
    }
    assert_eq!(case.rules().await, both);
    files::check_secret(&case.path().join("out.json")).unwrap();

    // Another document takes the place of the first: what permits ends before anything begins.
    let emergency = case.done(&Case::import("ex-dissent-intermediate-break-glass.json")).await;
    assert_eq!(verbs(&emergency), ["revoke permit:0", "revoke permit:1", "write policy:0"]);
    let glass = "policy:0 lets care-team emergency break the glass to read in an emergency every \
                 category for emergency-treatment";
    assert_eq!(case.rules().await, [glass]);
    assert_eq!(emergency["names_not_checked"], json!(["care-team emergency"]));
}

#[tokio::test]
async fn what_no_rule_can_say_is_refused_by_its_element_and_nothing_is_signed() {
    let case = Case::new().await;
    let before = case.node.log().operations.len();
    let by_id = case.refused(&Case::import("ex-consent-intermediate-data.json")).await;
    assert_eq!(by_id["findings"][0]["element"], "provision.data[0].meaning");
    assert_eq!(by_id["findings"][0]["code"], "data-by-id");
    let core = case.refused(&Case::import("core.json")).await;
    assert_eq!(core["findings"][0]["code"], "not-pcf");
    // A document of somebody else is not this patient's, whoever signs it.
    let other = NAMES.replace("= 7", "= 8");
    std::fs::write(case.path().join("names.toml"), other).unwrap();
    let other = case.refused(&Case::import("ex-consent-basic-treat.json")).await;
    assert!(other["refused"].as_str().unwrap().contains("another patient"), "{other}");
    assert_eq!(case.node.log().operations.len(), before);
}

#[tokio::test]
async fn a_lint_says_what_a_document_says_and_what_of_it_can_be_enforced() {
    let case = Case::new().await;
    let named = "--names DIR/names.toml --zone Europe/Berlin";
    let line = format!("consent lint DIR/ex-consent-intermediate-not-authoredby.json {named}");
    let good = case.done(&line).await;
    assert_eq!(
        (&good["enforceable"], &good["findings"][0]["refused"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(good["findings"][0]["code"], "source-no-device");
    assert_eq!(good["rules"].as_array().unwrap().len(), 2);
    let core = case.refused("consent lint DIR/core.json").await;
    assert_eq!(
        core["document"][1].as_str().unwrap().split(',').next(),
        Some("provision: does not say whether it permits or forbids")
    );
    // Without a zone a date is nobody's.
    let dated = "consent lint DIR/ex-consent-expired-treat.json --names DIR/names.toml";
    assert_eq!(case.refused(dated).await["findings"][0]["code"], "zone");
    let no_consent = vitals(case.path(), &case.node, "consent lint DIR/names.toml").await;
    assert_eq!(no_consent.status.code(), Some(2));
}
