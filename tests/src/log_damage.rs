//! Files that rot, are cut, mixed up or missing: a log gives exactly what was written, repairs an index, or refuses and
//! names the place. Never a wrong record, never a panic.

mod blocks;
mod closed;
mod mixed_up_files;
mod sample;
mod unclean;
mod verdict;
