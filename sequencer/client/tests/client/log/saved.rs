//! The file of headers that an auditor saved.

use client::headers;
use client::log::{Before, before_first};
use model::{BatchHeader, BatchNumber, Position, Word};
use statement::scope;

use super::world::{CLOSE, Fault, World, deployment};

#[test]
fn saved_headers_are_read_in_both_forms_and_must_follow_each_other() {
    let (first, _) = World::new(Fault::None).files();
    let previous = scope::header_hash(&first);
    let second = BatchHeader { number: BatchNumber(2), previous, ..first.clone() };
    let words = |header: &BatchHeader| hex::encode(header.to_bytes());
    let plain = format!(
        r#"{{"schema":"vitals-headers-1","headers":["0x{}","0x{}"]}}"#,
        words(&first),
        words(&second)
    );
    let read = |text: &str| headers::from_json(text.as_bytes(), deployment());
    assert_eq!(read(&plain).unwrap(), [first.clone(), second.clone()]);
    assert_eq!(before_first(&read(&plain).unwrap()), Before::Known(None));
    assert_eq!(before_first(std::slice::from_ref(&second)), Before::Unknown);

    let with_hash = |hash: &[u8; 32], contract: &str| {
        format!(
            r#"{{"schema":"vitals-headers-1","chain_id":31337,"settlement":"0x{contract}",
                "headers":[{{"hash":"{}","words":"{}"}}]}}"#,
            hex::encode(hash),
            words(&first)
        )
    };
    let ours = "09".repeat(20);
    let found = read(&with_hash(&previous, &ours)).unwrap();
    let edges = |text: &str| {
        let hash = hex::encode(previous);
        let json = with_hash(&previous, &ours)
            .replace(&format!("\"{hash}\""), &format!("\"{hash}\",\"edges\":[{text}]"));
        headers::edges_from_json(json.as_bytes())
    };
    let two = [Word::from_u64(3), Word::from_u64(4)];
    let text = two.map(|edge| format!("\"{}\"", edge.to_hex())).join(",");
    assert_eq!(edges(&text).unwrap()[&BatchNumber(1)], two);
    assert_eq!(edges("").unwrap()[&BatchNumber(1)], []);
    assert!(matches!(edges("\"zz\""), Err(headers::HeadersError::Edge { index: 0 })));
    assert_eq!(found, std::slice::from_ref(&first));
    let hash = read(&with_hash(&[1; 32], &ours)).unwrap_err();
    assert!(matches!(hash, headers::HeadersError::Hash { index: 0 }));
    let other = read(&with_hash(&previous, &"08".repeat(20))).unwrap_err();
    assert!(matches!(other, headers::HeadersError::Deployment));
    let swapped = plain.replace(&words(&second), &words(&first));
    let link = read(&swapped).unwrap_err();
    assert!(matches!(link, headers::HeadersError::Link { index: 1 }));

    let one = [first.clone()];
    let settled = |position| headers::find_settling(&one, Position(position));
    assert_eq!(settled(CLOSE).map(|header| header.number), Some(BatchNumber(1)));
    assert_eq!(settled(CLOSE + 1), None);
}
