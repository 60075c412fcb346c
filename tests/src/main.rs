//! The one integration binary: everything that needs two crates, and the rules of the source tree.
//!
//! One binary with modules instead of a file per subject means one link step.

#![forbid(unsafe_code)]

mod descriptors;
mod end_to_end;
mod format_document;
mod hostile;
mod interop;
mod log_crash;
mod log_damage;
mod log_fixture;
mod log_model;
mod tidy;
