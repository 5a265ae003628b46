//! The tables that a node gets in the background.

use super::support::proving_keys_folder;
use crate::metrics::Metrics;
use crate::node::tables::Wanted;
use crate::node::*;
use crate::stages::prove::Wanted as Shapes;

#[test]
fn tables_of_the_keys_are_got_as_far_as_there_is_room() {
    let keys = ProverKeys::open(&proving_keys_folder(), Shapes::TEST, |_| {}).unwrap();
    let keys = Arc::new(keys);
    let folder = tempfile::tempdir().unwrap();
    let metrics = Metrics::new();
    let wanted = |bytes_max| Wanted {
        keys: keys.clone(),
        folder: folder.path().to_owned(),
        bytes_max,
        metrics: metrics.clone(),
    };
    let large = 1 << 16;
    wanted(usize::MAX).get(large, &|| true);
    assert_eq!(keys.table_bytes(), 0, "shapes of tests are too small");
    wanted(usize::MAX).get(0, &|| false);
    assert_eq!(keys.table_bytes(), 0, "a node that stops");
    wanted(0).get(0, &|| true);
    assert_eq!(keys.table_bytes(), 0, "no room");
    wanted(usize::MAX).get(0, &|| true);
    // Nothing on a machine whose engine has none.
    assert_eq!(keys.table_bytes() > 0, keys.engine_name() == "accelerated");
    assert_eq!(metrics.prove_table_bytes.get(), keys.table_bytes() as i64);
}
