//! The lists of a file against its header, as [`check_lists`] has it; what it finds gets its place
//! in the report here.

use model::BatchHeader;
use statement::batch::{List, ListsError, PublicFile, check_lists};

use super::parts::Context;
use crate::broken::{Broken, Item, Show};

/// Keys, lengths, roots, padding, tags, counters and segments.
pub(super) fn check(
    context: &Context,
    header: &BatchHeader,
    file: &PublicFile,
) -> Result<(), Broken> {
    match check_lists(header, file, &context.layouts()) {
        Ok(_) => Ok(()),
        Err(error) => Err(name(header, error)),
    }
}

fn name(header: &BatchHeader, error: ListsError) -> Broken {
    let broken = |item, expected: String, found: String| {
        Broken::inside(header.number, item, expected, found)
    };
    let differ =
        |item, expected: &dyn Show, found: &dyn Show| broken(item, expected.show(), found.show());
    let total = |list: List, part| Item::Total { section: list.name(), part };
    match error {
        ListsError::Header => {
            broken(Item::File("header"), "the settled header".into(), "another".into())
        }
        ListsError::Key { list, chunk, found } => {
            let circuit = match list {
                List::Operations => 1,
                List::Claims => 2,
            };
            let expected = format!("the id of an accepted key of circuit {circuit}");
            broken(of_chunk(list, chunk, "key"), expected, found.show())
        }
        ListsError::Length { list, chunk, expected, found } => {
            differ(of_chunk(list, chunk, "number of leaves"), &expected, &found)
        }
        ListsError::Root { list, chunk, expected, found } => {
            differ(of_chunk(list, chunk, "root of the leaves"), &expected, &found)
        }
        ListsError::Padding { list, chunk, leaf } => {
            let item = match list {
                List::Operations => Item::OperationLeaf { chunk, row: leaf },
                List::Claims => Item::ClaimLeaf { chunk, leaf },
            };
            broken(item, "padding to the end of the list".into(), "a leaf behind it".into())
        }
        ListsError::Tag { chunk, leaf, found } => {
            let expected = "a tag if and only if the slot has claims";
            broken(Item::ClaimLeaf { chunk, leaf }, expected.into(), found.show())
        }
        ListsError::Count { list, chunk, what, expected, found } => {
            differ(of_chunk(list, chunk, what), &expected, &found)
        }
        ListsError::Total { list, what, expected, found } => {
            differ(total(list, what), &expected, &found)
        }
        ListsError::TotalRoot { list, expected, found } => {
            let part = match list {
                List::Operations => "operations root",
                List::Claims => "claims root",
            };
            differ(total(list, part), &expected, &found)
        }
        ListsError::Idle { list, found } => {
            let expected = match list {
                List::Operations => "no chunk: nothing changed",
                List::Claims => "no chunk: no claim",
            };
            broken(Item::File(list.name()), expected.into(), found.show())
        }
        ListsError::DataRoot { expected, found } => {
            differ(Item::File("segments"), &expected, &found)
        }
    }
}

fn of_chunk(list: List, chunk: usize, part: &'static str) -> Item {
    match list {
        List::Operations => Item::Operations { chunk, part },
        List::Claims => Item::Claims { chunk, part },
    }
}
