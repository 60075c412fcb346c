//! The published API against its checked-in listing, so that no change of it happens unnoticed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
};

use super::FILE_DESCRIPTOR_SET;

/// Set to write the listing instead of comparing it.
const UPDATE: &str = "TIDELOG_UPDATE_LISTING";

fn published(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_published_api_is_as_listed() {
    let listing = listing(&FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap());
    let path = published("tidelog/v1/listing.txt");
    if env::var_os(UPDATE).is_some() {
        fs::write(&path, &listing).unwrap();
    }
    let listed = fs::read_to_string(&path).unwrap_or_default();
    let change = listing.lines().zip(listed.lines().chain(std::iter::repeat(""))).find(|(now, then)| now != then);
    assert!(
        listing == listed,
        "the API is not as {} says, first at {change:?}; if that is meant and keeps the rules of proto/README.md, \
         run `just api-listing`",
        path.display()
    );
}

#[test]
fn every_service_and_call_is_described() {
    for file in ["broker.proto", "admin.proto"] {
        let text = fs::read_to_string(published("tidelog/v1").join(file)).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2).filter(|pair| pair[1].starts_with("rpc ") || pair[1].starts_with("service ")) {
            assert!(pair[0].starts_with("//"), "{file}: no description of {}", pair[1]);
        }
    }
}

#[test]
fn enums_begin_with_a_number_that_says_nothing() {
    for file in FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file {
        for list in file.enum_type {
            assert!(list.value[0].name().ends_with("_UNSPECIFIED") && list.value[0].number() == 0, "{}", list.name());
        }
    }
}

fn listing(set: &FileDescriptorSet) -> String {
    let mut text = String::new();
    for file in &set.file {
        writeln!(text, "{} (package {})", file.name(), file.package()).unwrap();
        file.service.iter().for_each(|service| list_service(&mut text, service));
        file.message_type.iter().for_each(|message| list_message(&mut text, message));
        file.enum_type.iter().for_each(|list| list_enum(&mut text, list));
        text.push('\n');
    }
    text
}

fn list_service(text: &mut String, service: &ServiceDescriptorProto) {
    writeln!(text, "  service {}", service.name()).unwrap();
    let stream = |streaming| if streaming { "stream " } else { "" };
    for call in &service.method {
        let (input, output) = (short(call.input_type()), short(call.output_type()));
        let (up, down) = (stream(call.client_streaming()), stream(call.server_streaming()));
        writeln!(text, "    {}({up}{input}) returns ({down}{output})", call.name()).unwrap();
    }
}

fn list_message(text: &mut String, message: &DescriptorProto) {
    writeln!(text, "  message {}", message.name()).unwrap();
    for field in &message.field {
        writeln!(text, "    {} {}: {}", field.number(), field.name(), field_type(message, field)).unwrap();
    }
    for range in &message.reserved_range {
        writeln!(text, "    reserved {} to {}", range.start(), range.end() - 1).unwrap();
    }
    for name in &message.reserved_name {
        writeln!(text, "    reserved {name}").unwrap();
    }
    assert!(message.nested_type.is_empty() && message.enum_type.is_empty(), "{}: flat is simpler", message.name());
}

fn field_type(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let name = match field.r#type() {
        Type::Message | Type::Enum => short(field.type_name()).to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    let group = field.oneof_index.filter(|_| !field.proto3_optional());
    let group = group.and_then(|index| message.oneof_decl.get(usize::try_from(index).ok()?));
    match (group, field.label()) {
        (Some(group), _) => format!("{name}, oneof {}", group.name()),
        (None, Label::Repeated) => format!("repeated {name}"),
        (None, _) if field.proto3_optional() => format!("optional {name}"),
        (None, _) => name,
    }
}

fn list_enum(text: &mut String, list: &EnumDescriptorProto) {
    writeln!(text, "  enum {}", list.name()).unwrap();
    for value in &list.value {
        writeln!(text, "    {} {}", value.number(), value.name()).unwrap();
    }
}

/// Drops our own package from a full name.
fn short(name: &str) -> &str {
    name.trim_start_matches(".tidelog.v1.")
}
