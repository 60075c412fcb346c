//! How findings look.

use serde_json::{Value, json};
use tidelog_log::inspect::Finding;
use tidelog_proto::ids::{Offset, RaftIndex};

use crate::command_error::CommandError;
use crate::output::Output;

/// Writes a finding.
///
/// # Errors
/// It could not be written.
pub(super) fn write_finding(output: &mut Output, finding: &Finding) -> Result<(), CommandError> {
    let severity = finding.reason.severity();
    output.line(format_args!("{:<8}{finding}", severity.to_string()), || object(finding))
}

fn object(finding: &Finding) -> Value {
    json!({
        "type": finding.reason.severity().to_string(),
        "file": finding.path.to_string_lossy(),
        "position": finding.position_bytes,
        "raft_index": finding.index.map(RaftIndex::get),
        "offset": finding.offset.map(Offset::get),
        "reason": finding.reason.to_string(),
    })
}
