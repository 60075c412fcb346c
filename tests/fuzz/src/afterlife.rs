//! Going on with a log that was opened after damage: what was recovered once must stay, and the log must work.

use tidelog_log::environment::simulated::SimulatedEnvironment;
use tidelog_log::{Log, OpenError};

use crate::input::Input;
use crate::readback::{Content, Trust, check_all, check_some};
use crate::sample_logs::{SampleLog, sample_frame};

/// A forged log may end where no sample reaches; nothing is appended there.
const PLACE_MAX: u64 = 1 << 32;

/// Reads a log on `machine` that should hold `content`, changes it as `input` says, lets the machine end, and opens it
/// once more.
///
/// # Panics
/// If the log does not hold what it should, or loses something that was synced, except where `trust` excuses it.
pub fn go_on(
    sample: &SampleLog,
    machine: &SimulatedEnvironment,
    mut log: Log,
    mut content: Content,
    trust: Trust,
    input: &mut Input<'_>,
) {
    let how = input.byte();
    let step_bytes = [u64::MAX, u64::MAX, 2000, 300][usize::from(how % 4)];
    if how & 4 != 0 {
        let outcome = log.reader.advance_committed(log.reader.end_index());
        assert!(outcome.is_ok() || trust != Trust::Exact, "{outcome:?}");
    }
    check_all(&log.reader, &content, trust, step_bytes);
    check_some(&log.reader, &content, trust, input);
    write(&mut log, &mut content, trust, input);
    let outcome = if how & 8 == 0 { log.writer.sync() } else { log.writer.close() };
    assert!(outcome.is_ok() || trust != Trust::Exact, "{outcome:?}");
    if outcome.is_err() {
        return;
    }
    let machine = if how & 16 == 0 { machine.kill() } else { machine.crash(input.u64()) };
    match sample.open(&machine) {
        Ok(log) => check_all(&log.reader, &content, trust, u64::MAX),
        Err(error) => {
            let excused = match trust {
                Trust::Exact => false,
                Trust::Damaged(_) => matches!(error, OpenError::Damaged(_)),
                Trust::Forged => true,
            };
            assert!(excused, "{error}");
        }
    }
}

/// Cuts, rolls and appends.
fn write(log: &mut Log, content: &mut Content, trust: Trust, input: &mut Input<'_>) {
    let how = input.byte();
    if how & 1 != 0 {
        let len = input.below(content.entries.len() + 1);
        if log.writer.truncate_suffix(content.raft_start + len as u64).is_ok() {
            content.truncate(len);
        }
    }
    if how & 2 != 0 {
        let outcome = log.writer.roll();
        assert!(outcome.is_ok() || trust != Trust::Exact, "{outcome:?}");
    }
    for _ in 0..how % 4 {
        let (index, offset) = (log.writer.end_index(), log.writer.end_offset());
        if index.get() > PLACE_MAX || offset.get() > PLACE_MAX {
            return;
        }
        let frame = sample_frame(index, offset);
        match log.writer.append(std::slice::from_ref(&frame)) {
            Ok(_) => content.push(frame),
            Err(error) => {
                assert_ne!(trust, Trust::Exact, "{error}");
                return;
            }
        }
    }
}
