//! Logs whose machine dies, at every operation and at random ones, or fails them: what was acknowledged is there, what
//! was not is there whole or not at all, what was cut stays away, and the log always opens.

mod failed_operations;
mod full_disk;
mod points;
mod random_crashes;
mod script;
