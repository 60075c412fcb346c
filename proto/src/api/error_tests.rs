//! The codes of the published files against those of this crate.

use proptest::prelude::*;

use super::v1;
use crate::error_code::ErrorCode;

const ERRORS_PROTO: &str = include_str!("../../tidelog/v1/errors.proto");

/// Lists the published codes: number, name without its prefix, description.
fn published_codes() -> Vec<(u16, String, String)> {
    let (_, list) = ERRORS_PROTO.split_once("enum ErrorCode {").unwrap();
    let mut codes = Vec::new();
    let mut description = String::new();
    for line in list.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("//") {
            description.push_str(comment);
        } else if let Some((name, number)) = line.split_once(" = ") {
            let number = number.trim_end_matches(';').parse().unwrap();
            let name = name.strip_prefix("ERROR_CODE_").unwrap().to_owned();
            codes.push((number, name, std::mem::take(&mut description)));
        }
    }
    codes
}

#[test]
fn the_published_codes_are_ours_by_number_and_name() {
    let mut published = published_codes();
    assert_eq!(published.remove(0).0, 0, "the first is the one that is never sent");
    let published: Vec<(u16, &str)> = published.iter().map(|(number, name, _)| (*number, name.as_str())).collect();
    let ours: Vec<(u16, &str)> = ErrorCode::ALL.iter().map(|code| (code.number(), code.name())).collect();
    assert_eq!(published, ours);
}

#[test]
fn generated_codes_are_ours_by_number_and_name() {
    for code in ErrorCode::ALL {
        let generated = v1::ErrorCode::try_from(i32::from(code.number())).unwrap();
        assert_eq!(generated.as_str_name(), format!("ERROR_CODE_{}", code.name()));
    }
    let known = (0..=i32::from(u16::MAX)).filter(|number| v1::ErrorCode::is_valid(*number));
    assert_eq!(known.count(), ErrorCode::ALL.len() + 1);
}

#[test]
fn published_descriptions_say_whether_to_try_again() {
    for (number, name, description) in published_codes().into_iter().skip(1) {
        let retriable = ErrorCode::from_number(number).unwrap().retriable();
        let verdict = if retriable { " Retriable." } else { " Not retriable." };
        assert!(description.ends_with(verdict), "{name}: {description}");
    }
}

#[test]
fn errors_carry_their_code_and_whether_to_try_again() {
    for code in ErrorCode::ALL {
        let error = v1::Error::new(*code, "why");
        assert_eq!(error.known_code(), Some(*code));
        assert_eq!((error.retriable, error.is_retriable()), (code.retriable(), code.retriable()));
        assert_eq!(error.to_string(), format!("{}: why", code.name()));
    }
}

proptest! {
    #[test]
    fn any_code_is_known_or_goes_by_what_the_sender_says(code: i32, retriable: bool) {
        let error = v1::Error { code, retriable, ..v1::Error::default() };
        match error.known_code() {
            Some(known) => prop_assert_eq!(i32::from(known.number()), code),
            None => prop_assert_eq!(error.is_retriable(), retriable),
        }
    }
}
