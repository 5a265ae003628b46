//! Two commands of operators at once, on the socket of a whole node.

use model::{Interval, WalletId};
use wire::{RegistryChange, RegistryKey, RegistryRecord};

use super::super::*;
use super::support::Site;
use crate::doors::admin::{self, AdminError, Given};

fn wallet(fingerprint: u8) -> RegistryChange {
    RegistryChange::Add(RegistryRecord::Wallet {
        id: WalletId::new("anna").unwrap(),
        fingerprint: [fingerprint; 32],
        valid: Interval::ALWAYS,
    })
}

async fn ask(node: &Node, change: &RegistryChange, given: Given) -> Result<(), String> {
    let request = admin::change_request(change, given).unwrap();
    match admin::ask(&node.layout().admin_socket(), &request).await {
        Ok(_) => Ok(()),
        Err(AdminError::Refused(why)) => Err(why),
        Err(other) => panic!("expected an answer, found {other:?}"),
    }
}

fn registered(node: &Node) -> Option<u8> {
    let registry = node.core.view.registry();
    let found = registry.wallets().find(|(id, _)| id.as_str() == "anna");
    found.map(|(_, one)| one.fingerprint[0])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_issue_one_id_at_once_the_second_is_refused_and_replaces_nothing() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    // Both looked at the registry before either asked for its change.
    let (first, second) = (wallet(1), wallet(2));
    let outcomes =
        tokio::join!(ask(&node, &first, Given::NoRecord), ask(&node, &second, Given::NoRecord));
    let (winner, refused) = match outcomes {
        (Ok(()), Err(why)) => (1, why),
        (Err(why), Ok(())) => (2, why),
        other => panic!("expected one of them to be refused, found {other:?}"),
    };
    assert!(refused.contains("expected an id without a wallet, found one"), "{refused}");
    assert_eq!(registered(&node), Some(winner));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_does_not_bring_back_who_was_revoked_meanwhile() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    assert_eq!(ask(&node, &wallet(1), Given::NoRecord).await, Ok(()));
    assert_eq!(ask(&node, &wallet(2), Given::Record).await, Ok(()));
    assert_eq!(registered(&node), Some(2));
    let key = RegistryKey::Wallet(WalletId::new("anna").unwrap());
    let end = RegistryChange::End { key, at: model::Clock::now(&model::SystemClock) };
    assert_eq!(ask(&node, &end, Given::Nothing).await, Ok(()));
    let refused = ask(&node, &wallet(3), Given::Record).await.unwrap_err();
    assert!(refused.contains("it was revoked meanwhile"), "{refused}");
    assert_eq!(registered(&node), Some(2));
    assert_eq!(ask(&node, &wallet(4), Given::NoRecord).await, Ok(()), "its id is free again");
    node.stop().await.unwrap();
}
