//! What a broker makes of input that is wrong, too much, or meant to hurt: a table over every call.
//!
//! Each row says what is sent and what must come back. After each one the broker still serves a good produce and fetch,
//! and has stored nothing of what it refused; after all of them the process has the descriptors and about the memory of
//! before.
//!
//! - `row.rs`: a row, and what can come back
//! - `host.rs`: the broker under attack, and the checks after each row
//! - `names.rs`: bad topics and partitions in every call that takes one
//! - `amounts.rs`: too many elements, too many bytes
//! - `batches.rs`, `sequences.rs`: record batches, and the numbers of idempotent producers
//! - `produce.rs`, `fetch.rs`, `lookups.rs`, `administration.rs`: what each call promises beyond that
//! - `streams.rs`: streams and connections that are opened and left alone
//! - `wire.rs`: bytes that no client sends

mod administration;
mod amounts;
mod batches;
mod fetch;
mod host;
mod lookups;
mod names;
mod produce;
mod row;
mod sequences;
mod streams;
mod wire;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use host::{Host, Resources};
use row::Row;

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all rows together may leave behind in memory. The largest of them is a bomb of 65 MiB, and some of that stays
/// with the allocator; a leak of a message of the largest size per row would be far above it.
const GROWTH_BYTES_MAX: u64 = 192 * 1024 * 1024;

/// What the table promises to have.
const ROWS_MIN: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_ends_as_the_table_says_and_costs_nothing_for_good() {
    let rows = table();
    assert!(rows.len() >= ROWS_MIN, "{} rows", rows.len());
    let host = Host::start().await;
    host.check("before all rows").await;
    let before = Resources::of_this_process(&host);
    let mut wrong = Vec::new();
    for Row { says, must, sent } in rows {
        match unharmed(sent(&host)).await {
            Some(seen) if seen == must => {}
            Some(seen) => wrong.push(format!("{says}:\n    must be {must:?}\n    but is {seen:?}")),
            None => wrong.push(format!("{says}: did not end, or not as anything in this table")),
        }
        if unharmed(host.check(&says)).await.is_none() {
            wrong.push(format!("{says}: the broker is not as before"));
        }
    }
    assert!(wrong.is_empty(), "{} rows end otherwise:\n{}", wrong.len(), wrong.join("\n"));
    host.wait_for_connections(before.connections).await;
    let after = Resources::of_this_process(&host);
    let growth = after.resident_bytes.saturating_sub(before.resident_bytes);
    assert!(growth <= GROWTH_BYTES_MAX, "memory grew by {growth} bytes");
    host.stop().await;
}

/// Waits for a row or a check; `None` where it fails or takes too long, so that the other rows are still told.
async fn unharmed<T>(tried: impl Future<Output = T>) -> Option<T> {
    let tried = AssertUnwindSafe(tried).catch_unwind();
    tokio::time::timeout(PATIENCE, tried).await.ok()?.ok()
}

/// Every row.
fn table() -> Vec<Row> {
    let groups = [
        names::rows(),
        amounts::rows(),
        batches::rows(),
        sequences::rows(),
        produce::rows(),
        fetch::rows(),
        lookups::rows(),
        administration::rows(),
        streams::rows(),
        wire::rows(),
    ];
    groups.into_iter().flatten().collect()
}
