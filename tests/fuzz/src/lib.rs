//! What the fuzz targets share.
//!
//! - [`input`]: reading decisions off the front of a fuzzer's input
//! - [`checksums`]: every checksum of the formats, computed by the document and not by the code under test
//! - [`batch_checks`]: everything that reads or rewrites a record batch, each held against the others
//! - [`compressed`]: compressed streams made by other means than ours
//! - [`edits`]: damage to a file
//! - [`sample_logs`]: sound logs on simulated machines, to be damaged
//! - [`readback`]: what may be read from a damaged log
//! - [`afterlife`]: going on with a log that was opened after damage
//!
//! Most inputs begin with a byte or two that choose a mode. Without checksums that are made true again after the
//! fuzzer's changes, coverage would end at the first of them.

#![forbid(unsafe_code)]

pub mod afterlife;
pub mod batch_checks;
pub mod checksums;
pub mod compressed;
pub mod edits;
pub mod input;
pub mod readback;
pub mod sample_logs;
