//! How a request names a topic.

use bytes::Bytes;

use super::{FieldError, topic_id, v1};
use crate::ids::{TopicId, TopicName};

/// A topic, by its id or by its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicSelector {
    /// The one topic of this id.
    Id(TopicId),
    /// The topic that has this name now.
    Name(TopicName),
}

impl TopicSelector {
    /// Reads the field `topic` of any message.
    ///
    /// # Errors
    /// If it is absent or empty, the id has another length, or the name breaks the rule.
    pub fn from_field(topic: Option<&v1::TopicRef>) -> Result<Self, FieldError> {
        match topic.and_then(|topic| topic.by.as_ref()) {
            None => Err(FieldError::Missing { field: "topic" }),
            Some(v1::topic_ref::By::Id(id)) => topic_id("topic.id", id).map(Self::Id),
            Some(v1::topic_ref::By::Name(name)) => topic_name("topic.name", name).map(Self::Name),
        }
    }
}

/// Checks a name before it is copied.
fn topic_name(field: &'static str, name: &str) -> Result<TopicName, FieldError> {
    if name.len() > TopicName::BYTES_MAX {
        let (value, allowed) = (name.len() as u64, TopicName::BYTES_MAX as u64);
        return Err(FieldError::TopicNameTooLong { field, value, allowed });
    }
    TopicName::new(name).map_err(|error| FieldError::TopicName { field, error })
}

impl From<&TopicSelector> for v1::TopicRef {
    fn from(topic: &TopicSelector) -> Self {
        let by = match topic {
            TopicSelector::Id(id) => v1::topic_ref::By::Id(Bytes::copy_from_slice(id.as_bytes())),
            TopicSelector::Name(name) => v1::topic_ref::By::Name(name.as_str().to_owned()),
        };
        Self { by: Some(by) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::TopicNameError;

    fn by_name(name: &str) -> Result<TopicSelector, FieldError> {
        TopicSelector::from_field(Some(&v1::TopicRef { by: Some(v1::topic_ref::By::Name(name.to_owned())) }))
    }

    #[test]
    fn absent_and_malformed_topics_are_refused() {
        let missing = Err(FieldError::Missing { field: "topic" });
        assert_eq!(TopicSelector::from_field(None), missing);
        assert_eq!(TopicSelector::from_field(Some(&v1::TopicRef { by: None })), missing);

        let short = v1::TopicRef { by: Some(v1::topic_ref::By::Id(Bytes::from_static(&[0; 15]))) };
        assert_eq!(
            TopicSelector::from_field(Some(&short)),
            Err(FieldError::TopicIdLength { field: "topic.id", bytes: 15 })
        );

        let field = "topic.name";
        assert_eq!(by_name(""), Err(FieldError::TopicName { field, error: TopicNameError::Empty }));
        assert_eq!(by_name("a/b"), Err(FieldError::TopicName { field, error: TopicNameError::Character('/') }));
        let too_long = FieldError::TopicNameTooLong { field, value: 250, allowed: 249 };
        assert_eq!(by_name(&"x".repeat(250)), Err(too_long));
    }

    proptest! {
        #[test]
        fn topics_round_trip(id: [u8; 16], name in "[A-Za-z0-9_-]{1,249}") {
            for topic in [TopicSelector::Id(TopicId::new(id)), TopicSelector::Name(TopicName::new(name).unwrap())] {
                prop_assert_eq!(TopicSelector::from_field(Some(&v1::TopicRef::from(&topic))), Ok(topic));
            }
        }

        #[test]
        fn any_name_is_taken_or_refused(name: String) {
            prop_assert_eq!(by_name(&name).is_ok(), TopicName::new(name).is_ok());
        }
    }
}
