//! A log whose last file is missing or was cut short is refused, until somebody accepts the loss;
//! then it ends with what is left and goes on there.

use journal::fault::{Cut, FaultMedium, Files, salts};
use journal::{Entry, FileName, Log, OpenError};

use crate::support::{GENESIS, all_entries, appended, groups, record_bounds};

const LEAST: u64 = 2_048;

fn script() -> Vec<Vec<Entry>> {
    groups(90, &[2, 1, 3, 1, 2, 2, 1, 1, 2], 600)
}

fn holding(files: &Files) -> FaultMedium {
    FaultMedium::holding(files.clone()).with_lengths(LEAST, LEAST)
}

/// The script in at least three files.
fn whole() -> Files {
    let files = appended(FaultMedium::default().with_lengths(LEAST, LEAST), &script()).files();
    assert!(files.len() >= 3, "expected at least three files, found {}", files.len());
    files
}

/// The last file, and where its records end; before the first one is its header.
struct LastFile {
    name: FileName,
    bounds: Vec<usize>,
}

impl LastFile {
    fn of(files: &Files) -> LastFile {
        let name = FileName::Log(files.len() as u64);
        LastFile { name, bounds: record_bounds(&files[&name]) }
    }

    /// Groups of the log that are left where this file ends at `len`. The mark says nothing that
    /// is needed.
    fn groups_left(&self, len: usize) -> usize {
        let lost = self.bounds[1..].iter().filter(|end| **end - 8 > len).count();
        script().len() - lost
    }
}

/// Each loss of an end, and how many groups it leaves.
fn losses() -> Vec<(Files, usize)> {
    let (whole, last) = (whole(), LastFile::of(&whole()));
    let with = |bytes: Option<Vec<u8>>| {
        let mut files = whole.clone();
        match bytes {
            None => files.remove(&last.name),
            Some(bytes) => files.insert(last.name, bytes),
        };
        files
    };
    let mut losses = vec![
        (with(None), last.groups_left(0)),
        (with(Some(Vec::new())), last.groups_left(0)),
        (with(Some(vec![0; LEAST as usize])), last.groups_left(0)),
    ];
    let content = &whole[&last.name];
    for len in (128..LEAST as usize).step_by(61) {
        losses.push((with(Some(content[..len].to_vec())), last.groups_left(len)));
    }
    // One that ends with a group, and one that ends within its mark.
    let end = last.bounds[1];
    for len in [end, end - 1, end - 8, end - 9] {
        losses.push((with(Some(content[..len].to_vec())), last.groups_left(len)));
    }
    // Each also with the file that was made ahead behind it, as a writer mostly leaves one.
    let next = FileName::Log(whole.len() as u64 + 1);
    let ahead = losses.iter().cloned().map(|(mut files, left)| {
        files.insert(next, vec![0; LEAST as usize]);
        (files, left)
    });
    let ahead: Vec<_> = ahead.collect();
    losses.extend(ahead);
    losses
}

#[test]
fn a_lost_end_is_refused_and_goes_on_behind_what_is_left_once_it_is_accepted() {
    let script = script();
    for (files, left) in losses() {
        let medium = holding(&files);
        let refused = Log::open(medium.clone(), GENESIS, salts()).map(drop);
        assert!(matches!(refused, Err(OpenError::File { .. })), "{refused:?}");
        assert_eq!((medium.calls(), medium.files()), (0, files), "nothing is changed");

        let (mut log, _) = Log::open_shortened(medium.clone(), GENESIS, salts()).expect("accepted");
        assert_eq!(log.head().group as usize, left);
        assert_eq!(all_entries(&log), script[..left].concat());
        script[left..].iter().for_each(|group| drop(log.append(group).expect("goes on")));
        drop(log);
        // Like any other log from then on.
        let image = medium.after_power_cut(Cut::Drop, 0);
        let (log, _) = Log::open(image, GENESIS, salts()).expect("opens");
        assert_eq!(all_entries(&log), script.concat());
    }
}

#[test]
fn a_power_cut_while_a_loss_is_accepted_loses_no_more() {
    for (files, left) in losses() {
        for call in 1..=20 {
            let medium = holding(&files);
            medium.power_off_at(call);
            drop(Log::open_shortened(medium.clone(), GENESIS, salts()));
            for cut in Cut::ALL {
                let image = medium.after_power_cut(cut, call);
                let (log, _) = Log::open_shortened(image, GENESIS, salts())
                    .unwrap_or_else(|error| panic!("call {call}, {cut:?}: {error}"));
                assert_eq!(log.head().group as usize, left, "call {call}, {cut:?}");
            }
        }
    }
}

#[test]
fn a_whole_log_is_not_changed_by_whoever_would_accept_a_loss() {
    let medium = holding(&whole());
    let (log, _) = Log::open_shortened(medium.clone(), GENESIS, salts()).expect("open");
    assert_eq!(all_entries(&log), script().concat());
    assert_eq!(medium.files(), whole());
}

#[test]
fn nothing_before_the_last_file_can_be_given_up() {
    for file in 1..whole().len() as u64 {
        let (mut gone, mut short) = (whole(), whole());
        gone.remove(&FileName::Log(file));
        short.get_mut(&FileName::Log(file)).expect("present").truncate(1_024);
        for files in [gone, short] {
            let refused = Log::open_shortened(holding(&files), GENESIS, salts()).map(drop);
            assert!(matches!(refused, Err(OpenError::File { .. })), "{refused:?}");
        }
    }
}
