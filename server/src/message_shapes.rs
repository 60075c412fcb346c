//! Which fields of a request hold messages or lists, read from the descriptors of the API.

use std::collections::HashMap;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// The requests of every call of the API.
#[derive(Debug)]
pub(crate) struct MessageShapes {
    shapes: Vec<Shape>,
    /// The request of each call, by its path: `/package.Service/Method`.
    requests: HashMap<String, ShapeId>,
}

/// One message type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShapeId(usize);

/// The fields of one message type that may multiply, by number.
#[derive(Debug, Default)]
struct Shape {
    fields: HashMap<u32, Field>,
}

/// What a field that is there costs memory for, however few bytes it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// A message.
    Message(ShapeId),
    /// One of a list of bytes or strings.
    Element,
}

impl MessageShapes {
    /// Reads the descriptors of the API.
    ///
    /// # Panics
    /// Never: they were made with this program, and a test reads them.
    pub(crate) fn new(descriptors: &[u8]) -> Self {
        let set = FileDescriptorSet::decode(descriptors).expect("descriptors are made with this program");
        let mut found: Vec<(String, &DescriptorProto)> = Vec::new();
        for file in &set.file {
            found.extend(file.message_type.iter().flat_map(|message| nested(&format!(".{}", file.package()), message)));
        }
        let ids: HashMap<&str, ShapeId> =
            found.iter().enumerate().map(|(place, (name, _))| (name.as_str(), ShapeId(place))).collect();
        let shapes = found.iter().map(|(_, message)| {
            let fields = message.field.iter().filter_map(|field| Some((number(field)?, kind(field, &ids)?)));
            Shape { fields: fields.collect() }
        });
        let mut requests = HashMap::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    requests.extend(ids.get(method.input_type()).map(|id| (path, *id)));
                }
            }
        }
        Self { shapes: shapes.collect(), requests }
    }

    /// Gives the request of a call.
    pub(crate) fn request(&self, path: &str) -> Option<ShapeId> {
        self.requests.get(path).copied()
    }

    /// Gives what a field is, if it may multiply.
    pub(crate) fn field(&self, shape: ShapeId, number: u32) -> Option<Field> {
        self.shapes.get(shape.0)?.fields.get(&number).copied()
    }
}

/// Lists a message type and those within it, with their whole names.
fn nested<'a>(scope: &str, message: &'a DescriptorProto) -> Vec<(String, &'a DescriptorProto)> {
    let name = format!("{scope}.{}", message.name());
    let mut found: Vec<_> = message.nested_type.iter().flat_map(|inner| nested(&name, inner)).collect();
    found.push((name, message));
    found
}

fn number(field: &FieldDescriptorProto) -> Option<u32> {
    u32::try_from(field.number()).ok()
}

fn kind(field: &FieldDescriptorProto, ids: &HashMap<&str, ShapeId>) -> Option<Field> {
    match field.r#type() {
        Type::Message => ids.get(field.type_name()).copied().map(Field::Message),
        Type::Bytes | Type::String if field.label() == Label::Repeated => Some(Field::Element),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tidelog_proto::api::FILE_DESCRIPTOR_SET;

    use super::*;

    #[test]
    fn requests_are_found_by_their_call_with_the_fields_that_multiply() {
        let shapes = MessageShapes::new(FILE_DESCRIPTOR_SET);
        let produce = shapes.request("/tidelog.v1.Broker/Produce").unwrap();
        assert_eq!(shapes.field(produce, 1), None, "acks is a number");
        let Some(Field::Message(batch)) = shapes.field(produce, 3) else { panic!("batches are messages") };
        assert!(matches!(shapes.field(batch, 2), Some(Field::Message(_))), "a topic");
        assert_eq!(shapes.field(batch, 4), None, "one record batch");
        assert_eq!(shapes.request("/tidelog.v1.Broker/Nothing"), None);
    }
}
