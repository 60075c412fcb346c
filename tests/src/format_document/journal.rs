//! The journal of the document.

use std::path::Path;
use std::sync::Arc;

use tidelog_log::environment::Environment;
use tidelog_log::environment::simulated::SimulatedEnvironment;
use tidelog_proto::ids::{BrokerId, RaftIndex, RaftTerm};
use tidelog_raft::journal::{Journal, create};
use tidelog_raft::{HardState, PurgeMark, ReplicaId, Vote};

use super::{IDENTITY, document, fixture, hex};

/// The file that is live after the first opening.
const FILE: &str = "journal.b";

const DIR: &str = "/data";

fn vote() -> Vote {
    Vote { term: RaftTerm::new(5), replica: ReplicaId::new(BrokerId::new(1), 2), committed: true }
}

fn purge_mark() -> PurgeMark {
    PurgeMark { term: RaftTerm::new(4), index: RaftIndex::new(30) }
}

fn write_journal(machine: &SimulatedEnvironment) {
    machine.create_dir_all(Path::new(DIR)).expect("the simulated disk works");
    create(machine, Path::new(DIR)).expect("the directory is empty");
    let (journal, _) = Journal::open(Arc::new(machine.clone()), Path::new(DIR)).expect("the journal opens");
    let handle = journal.handle();
    handle.save_vote(IDENTITY, vote(), |_| {}).expect("the queue has room");
    handle.save_purged(IDENTITY, purge_mark(), |_| {}).expect("the queue has room");
    handle.note_committed(IDENTITY, RaftIndex::new(41));
    machine.run_until_idle();
    journal.shutdown().expect("the simulated disk works");
}

/// Reads the file up to its last record, which ends with a number that is not 0.
fn written(machine: &SimulatedEnvironment) -> Vec<u8> {
    let mut bytes = machine.read_contents(&Path::new(DIR).join(FILE)).expect("the file is there");
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| (last + 1).next_multiple_of(8));
    bytes.truncate(used);
    bytes
}

#[test]
fn the_journal_in_the_document_is_what_is_written() {
    let machine = SimulatedEnvironment::new(1);
    write_journal(&machine);
    let written = written(&machine);
    assert!(
        fixture(&document(), FILE) == written,
        "what is written differs from docs/FORMAT.md, it is now\n```hex {FILE}\n{}```\n",
        hex(&written)
    );
}

#[test]
fn the_journal_in_the_document_opens_and_holds_what_it_says() {
    let machine = SimulatedEnvironment::new(2);
    machine.create_dir_all(Path::new(DIR)).expect("the simulated disk works");
    machine.set_contents(&Path::new(DIR).join(FILE), &fixture(&document(), FILE));
    let (journal, groups) = Journal::open(Arc::new(machine.clone()), Path::new(DIR)).expect("the journal opens");
    let state = HardState { vote: Some(vote()), committed: Some(RaftIndex::new(41)), purged: Some(purge_mark()) };
    assert_eq!(groups.into_iter().collect::<Vec<_>>(), [(IDENTITY, state)]);
    journal.shutdown().expect("the simulated disk works");
}
