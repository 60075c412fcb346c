//! How large the messages of the network API are at most, as `broker.proto` promises.

/// The largest message in either direction.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a message with one batch has around it at most: topic, numbers, lengths.
const AROUND_A_BATCH_BYTES: u32 = 1024;

/// The largest batch that fits into a message, whatever the topic allows.
pub const BATCH_BYTES_CEILING: u32 = 8 * 1024 * 1024 - AROUND_A_BATCH_BYTES;

const _: () = assert!(BATCH_BYTES_CEILING as usize + AROUND_A_BATCH_BYTES as usize == MESSAGE_BYTES_MAX);

/// The most elements of a message: messages within it and parts of lists. In memory they take a hundred bytes each, so this is
/// less than a message may take itself.
pub const ELEMENTS_MAX: usize = 65_536;
