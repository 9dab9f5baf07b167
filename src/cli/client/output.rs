//! The output: tables for people, and protobuf JSON. Both read the fields of a message from its descriptor, so that
//! none can be forgotten.

mod table;

use std::{
    io::{self, Write as _},
    sync::LazyLock,
};

use clap::{Arg, ArgMatches};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions, Value};
use prost_types::Any;
use tonic::Code;
use tonic_types::pb;

use super::rpc::Rpc;
use crate::proto::{self, check::State};

/// How to print a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Table,
    Json,
}

static API: LazyLock<DescriptorPool> = LazyLock::new(|| pool(proto::FILE_DESCRIPTOR_SET));
static ERRORS: LazyLock<DescriptorPool> = LazyLock::new(|| pool(pb::FILE_DESCRIPTOR_SET));

fn pool(descriptors: &[u8]) -> DescriptorPool {
    DescriptorPool::decode(descriptors).expect("the descriptors are compiled in")
}

pub(super) fn option() -> Arg {
    Arg::new("output")
        .long("output")
        .short('o')
        .value_name("FORMAT")
        .value_parser(["table", "json"])
        .default_value("table")
        .help("Output: json prints the response with all fields, or the status of an error")
}

pub(super) fn format(matches: &ArgMatches) -> Format {
    match matches.get_one::<String>("output").map(String::as_str) {
        Some("json") => Format::Json,
        Some(_) | None => Format::Table,
    }
}

/// Prints a response. `done` stands for one that has nothing to show in a table.
pub(super) fn print<Q: Rpc>(format: Format, response: &Q::Response, done: &str) -> io::Result<()> {
    let message = dynamic::<Q>(response);
    let text = match format {
        Format::Json => json(&message).map_err(io::Error::other)?,
        Format::Table => {
            let table = table::render(&message);
            if table.is_empty() { done.to_owned() } else { table.trim_end().to_owned() }
        }
    };
    writeln!(io::stdout(), "{text}").map_err(|error| unprinted(&message, &error))
}

/// The call has succeeded all the same, and what it has created has an ID.
fn unprinted(message: &DynamicMessage, error: &io::Error) -> io::Error {
    let id = message.get_field_by_name("id");
    let id = id.as_deref().and_then(Value::as_str).filter(|id| !id.is_empty());
    let exists = id.map(|id| format!(" and {id} exists")).unwrap_or_default();
    let what = format!("the call succeeded{exists}, but the response cannot be printed: {error}");
    io::Error::new(error.kind(), what)
}

/// Whether a response has a check that failed.
pub(super) fn has_failed_check<Q: Rpc>(response: &Q::Response) -> bool {
    let message = dynamic::<Q>(response);
    let Some(checks) = message.get_field_by_name("checks") else { return false };
    let state = |check: &Value| check.as_message()?.get_field_by_name("state")?.as_enum_number();
    checks
        .as_list()
        .is_some_and(|checks| checks.iter().any(|check| state(check) == Some(State::Failed.into())))
}

fn dynamic<Q: Rpc>(response: &Q::Response) -> DynamicMessage {
    let service = API.get_service_by_name(Q::SERVICE).expect("its descriptor is compiled in");
    let method = service.methods().find(|method| method.name() == Q::METHOD);
    let output = method.expect("its descriptor is compiled in").output();
    DynamicMessage::decode(output, &*response.encode_to_vec()).expect("it has just been encoded")
}

/// With the fields that have their default value.
fn json(message: &DynamicMessage) -> serde_json::Result<String> {
    let options = SerializeOptions::new().skip_default_fields(false);
    let mut text = Vec::new();
    message.serialize_with_options(&mut serde_json::Serializer::pretty(&mut text), &options)?;
    // JSON is UTF-8.
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Prints a `google.rpc.Status` as JSON, with the details of an encoded one.
pub(super) fn print_status(code: Code, message: &str, encoded: &[u8]) -> io::Result<()> {
    writeln!(io::stdout(), "{}", status_json(code, message, encoded))
}

fn status_json(code: Code, message: &str, encoded: &[u8]) -> String {
    let with = |details: Vec<Any>| {
        let status = pb::Status { code: code.into(), message: message.to_owned(), details };
        let descriptor = ERRORS.get_message_by_name("google.rpc.Status").expect("it is compiled in");
        let status = DynamicMessage::decode(descriptor, &*status.encode_to_vec());
        json(&status.expect("it has just been encoded"))
    };
    let mut details = pb::Status::decode(encoded).unwrap_or_default().details;
    // Without those of a type that is not known here, such as one of a proxy.
    details.retain(|detail| with(vec![detail.clone()]).is_ok());
    with(details).unwrap_or_else(|_| "{}".to_owned())
}

/// The name of a code in the specification of gRPC.
pub(super) fn name_of_code(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// A text of another party, without what could control the terminal.
pub(super) fn printable(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;
    use tonic::Status;
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;
    use crate::proto::{TestHubSpotConnectionRequest, TestHubSpotConnectionResponse, TestResult};

    #[test]
    fn json_has_the_fields_with_a_default_value_too() {
        let response = TestHubSpotConnectionResponse { result: Some(TestResult::default()) };
        let text = json(&dynamic::<TestHubSpotConnectionRequest>(&response)).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value, json!({"result": {"passed": false, "checks": []}}));
    }

    #[test]
    fn an_error_in_json_has_its_details() {
        let metadata = HashMap::from([("request_id".to_owned(), "r".to_owned())]);
        let details =
            ErrorDetails::with_error_info("INVALID_REQUEST", "hubspot-connection-service", metadata);
        let status = Status::with_error_details(Code::InvalidArgument, "no", details);
        let value: serde_json::Value =
            serde_json::from_str(&status_json(status.code(), "no", status.details())).unwrap();
        assert_eq!((&value["code"], &value["message"]), (&json!(3), &json!("no")));
        let info = &value["details"][0];
        assert_eq!(info["@type"], "type.googleapis.com/google.rpc.ErrorInfo");
        assert_eq!(
            (&info["reason"], &info["metadata"]["request_id"]),
            (&json!("INVALID_REQUEST"), &json!("r"))
        );
    }

    #[test]
    fn an_error_with_unknown_details_is_printed_without_them_and_with_the_known_ones() {
        let printed = |encoded: &[u8]| -> serde_json::Value {
            serde_json::from_str(&status_json(Code::Unavailable, "no", encoded)).unwrap()
        };
        let known = Status::with_error_details(Code::Unavailable, "", ErrorDetails::with_help_link("a", "b"));
        let mut status = pb::Status::decode(known.details()).unwrap();
        for (type_url, value) in [
            ("type.example/Unknown", vec![8, 1]),
            ("no type", vec![]),
            ("type.googleapis.com/google.rpc.ErrorInfo", vec![255]),
        ] {
            status.details.insert(0, Any { type_url: type_url.to_owned(), value });
        }
        let help = json!({"@type": "type.googleapis.com/google.rpc.Help", "links": [{"description": "a", "url": "b"}]});
        assert_eq!(printed(&status.encode_to_vec()), json!({"code": 14, "message": "no", "details": [help]}));
        for without in [&[][..], &[255]] {
            assert_eq!(printed(without), json!({"code": 14, "message": "no", "details": []}));
        }
    }
}
