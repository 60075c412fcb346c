//! Filling a topic with the records of one row, and what they are as batches.

use tidelog_benches::Outcome;
use tidelog_benches::raw::settle;

use crate::scale::Scale;
use crate::shape::Shape;
use crate::tidelog::{Produced, Reading, Tidelog};
use crate::values::Values;

/// What was produced before the clock starts, to connect.
const WARM_UP_RECORDS: u64 = 1;

/// What a topic holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filled {
    pub(crate) produced: Produced,
    /// Records that were sent while the clock ran.
    pub(crate) records: u64,
    /// Batches, and their bytes as they are sent and stored.
    pub(crate) batches: u64,
    pub(crate) batch_bytes: u64,
}

impl Filled {
    /// Returns how large a batch is on average.
    pub(crate) fn mean_batch_bytes(&self) -> Outcome<usize> {
        Ok(usize::try_from(self.batch_bytes.div_ceil(self.batches.max(1)))?)
    }
}

/// Creates a topic, fills it, and counts what is in it, outside the clock.
pub(crate) fn fill(tidelog: &Tidelog, shape: Shape, values: &Values, scale: &Scale) -> Outcome<(String, Filled)> {
    let topic = tidelog.create_topic(shape.partitions)?;
    let records = scale.records(shape.record_bytes);
    let sent = values.records(&topic, records);
    let producer = tidelog.warm_producer(&topic, shape.compression)?;
    settle(tidelog.data_dir())?;
    let produced = tidelog.produce(producer, sent)?;
    let stored = tidelog.consume(&topic, shape.partitions, Reading::Batches)?;
    expect_records(records, stored.records)?;
    let filled = Filled { produced, records, batches: stored.batches, batch_bytes: stored.batch_bytes };
    Ok((topic, filled))
}

/// Makes sure that a topic into which that many records were sent holds them all, once.
pub(crate) fn expect_records(sent: u64, found: u64) -> Outcome<()> {
    let expected = sent + WARM_UP_RECORDS;
    if found == expected { Ok(()) } else { Err(format!("{expected} records were sent and {found} were found").into()) }
}
