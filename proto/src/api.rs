//! The network API: messages of package `tidelog.v1`, generated from the `.proto` files beside this crate, and what turns
//! their fields into the types that the rest of Tidelog speaks.
//!
//! - [`v1`]: the messages, and with the features `client` and `server` the stubs that call and serve them
//! - [`TopicSelector`], [`Position`], [`Acks`], [`IsolationLevel`]: fields that have one meaning in many messages
//! - [`offset`], [`leader_epoch`], [`topic_id`], [`producer`]: numbers and ids, checked
//! - [`FieldError`]: why a field was refused, and the [`v1::Error`] that says so
//! - [`grpc_status`], [`encode_status_details`], [`decode_status_details`]: errors of a whole call
//!
//! Every conversion takes any input and answers with a typed error.
//!
//! ```
//! use tidelog_proto::api::{FieldError, TopicSelector, v1};
//! use tidelog_proto::error_code::ErrorCode;
//! use tidelog_proto::ids::TopicName;
//!
//! let orders = TopicSelector::Name(TopicName::new("orders")?);
//! let on_the_wire = v1::TopicRef::from(&orders);
//! assert_eq!(TopicSelector::from_field(Some(&on_the_wire)), Ok(orders));
//!
//! let refused = TopicSelector::from_field(None).unwrap_err();
//! assert_eq!(refused, FieldError::Missing { field: "topic" });
//! let error = refused.into_error("batches[3]");
//! assert_eq!(error.known_code(), Some(ErrorCode::InvalidRequest));
//! assert_eq!(error.field.as_deref(), Some("batches[3].topic"));
//! # Ok::<(), tidelog_proto::ids::TopicNameError>(())
//! ```

mod acks;
mod error;
#[cfg(test)]
mod error_tests;
mod field_error;
mod fields;
mod isolation;
#[cfg(test)]
mod listing_tests;
#[cfg(test)]
mod payload_tests;
mod position;
mod records;
mod status;
mod topic;

pub use acks::Acks;
pub use field_error::FieldError;
pub use fields::{leader_epoch, offset, producer, topic_id};
pub use isolation::IsolationLevel;
pub use position::Position;
pub use status::{decode_status_details, encode_status_details, grpc_status};
pub use topic::TopicSelector;

/// Messages, enums and stubs of package `tidelog.v1`, as the `.proto` files describe them.
#[allow(
    clippy::allow_attributes_without_reason,
    clippy::missing_errors_doc,
    clippy::too_many_lines,
    reason = "the shape of the stubs is the generator's; every call fails with a gRPC status"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/tidelog.v1.rs"));
}

/// All files of the API, as an encoded `google.protobuf.FileDescriptorSet` without comments: what reflection serves.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tidelog.v1.bin"));
