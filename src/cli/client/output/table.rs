//! Tables: of a list, one row for each item; of one resource, one row for each field.

use comfy_table::{Cell, Table, presets};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};
use prost_types::Timestamp;

use super::printable;

/// What a table shows of the items that have too many fields for a line: paths of fields.
const COLUMNS: [(&str, &[&str]); 3] = [
    ("HubSpotConnection", &["id", "name", "state", "sandbox_name", "create_time"]),
    ("HubSpotDataflow", &["id", "name", "state", "connection_id", "table", "last_run.state", "create_time"]),
    (
        "HubSpotDataflowRun",
        &[
            "id",
            "state",
            "start_time",
            "complete_time",
            "input_records",
            "output_records",
            "failed_records",
            "errors",
        ],
    ),
];
/// Fields of the responses that are lists, which no table shows.
const OF_A_PAGE: [&str; 2] = ["next_page_token", "total_size"];
const NOTHING: &str = "-";

/// The fields of a message, nested ones included.
#[derive(Default)]
struct Fields {
    rows: Vec<(String, String)>,
    /// The path of each list of messages, and its items.
    lists: Vec<(String, FieldDescriptor, Vec<DynamicMessage>)>,
}

/// A message as text; empty if it has nothing to show.
pub(super) fn render(message: &DynamicMessage) -> String {
    let mut fields = Fields::default();
    fields.add("", &unwrapped(message));
    let is_list = fields.rows.is_empty();
    let mut parts = Vec::new();
    if !is_list {
        let mut table = Table::new();
        for (path, value) in &fields.rows {
            table.add_row([Cell::new(path), Cell::new(value)]);
        }
        parts.push(aligned(table));
    }
    for (path, field, items) in &fields.lists {
        match (is_list, items.is_empty()) {
            (true, _) => parts.push(list(field, items)),
            (false, false) => parts.push(format!("{path}:\n{}", list(field, items))),
            (false, true) => {}
        }
    }
    if fields.lists.iter().all(|(_, _, items)| items.is_empty()) && is_list {
        return String::new();
    }
    parts.join("\n")
}

/// The only field of a message, if it is a message itself, such as the resource in the response of a read.
fn unwrapped(message: &DynamicMessage) -> DynamicMessage {
    let descriptor = message.descriptor();
    let mut fields = descriptor.fields();
    if let (Some(only), None) = (fields.next(), fields.next())
        && let Value::Message(inner) = &*message.get_field(&only)
    {
        return inner.clone();
    }
    message.clone()
}

impl Fields {
    fn add(&mut self, prefix: &str, message: &DynamicMessage) {
        for field in message.descriptor().fields() {
            let path = format!("{prefix}{}", field.name());
            if prefix.is_empty() && OF_A_PAGE.contains(&field.name()) {
                continue;
            }
            let value = message.get_field(&field);
            if let (Value::List(items), Kind::Message(_)) = (&*value, field.kind()) {
                let items = items.iter().filter_map(Value::as_message).cloned().collect();
                self.lists.push((path, field, items));
            } else if let Value::Message(inner) = &*value
                && !is_timestamp(inner)
            {
                if message.has_field(&field) {
                    self.add(&format!("{path}."), inner);
                }
            } else {
                self.rows.push((path, cell(message, &field)));
            }
        }
    }
}

/// One row for each item.
fn list(field: &FieldDescriptor, items: &[DynamicMessage]) -> String {
    let Kind::Message(of) = field.kind() else { return String::new() };
    let selected = COLUMNS.iter().find(|(name, _)| *name == of.name());
    let columns: Vec<String> = match selected {
        Some((_, paths)) => paths.iter().map(|path| (*path).to_owned()).collect(),
        None => of.fields().map(|field| field.name().to_owned()).collect(),
    };
    let mut table = Table::new();
    table.set_header(columns.iter().map(|path| path.replace(['.', '_'], " ").to_uppercase()));
    for item in items {
        table.add_row(columns.iter().map(|path| at(item, path)));
    }
    aligned(table)
}

/// The value at a path of fields.
fn at(message: &DynamicMessage, path: &str) -> String {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let Some(field) = message.descriptor().get_field_by_name(name) else { return NOTHING.to_owned() };
    match rest {
        None => cell(message, &field),
        Some(rest) if message.has_field(&field) => {
            message.get_field(&field).as_message().map_or_else(|| NOTHING.to_owned(), |inner| at(inner, rest))
        }
        Some(_) => NOTHING.to_owned(),
    }
}

fn cell(message: &DynamicMessage, field: &FieldDescriptor) -> String {
    if field.supports_presence() && !message.has_field(field) {
        return NOTHING.to_owned();
    }
    let text = text(&message.get_field(field), &field.kind());
    if text.is_empty() { NOTHING.to_owned() } else { text }
}

fn text(value: &Value, kind: &Kind) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::I32(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::U32(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::F32(value) => value.to_string(),
        Value::F64(value) => value.to_string(),
        Value::String(value) => printable(value),
        Value::Bytes(value) => format!("{} bytes", value.len()),
        Value::EnumNumber(number) => enum_value(*number, kind),
        Value::Message(message) if is_timestamp(message) => {
            message.transcode_to::<Timestamp>().map_or_else(|_| String::new(), |time| time.to_string())
        }
        Value::Message(message) => {
            let fields = message.fields().map(|(field, value)| text(value, &field.kind()));
            fields.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
        }
        Value::List(values) => values.iter().map(|value| text(value, kind)).collect::<Vec<_>>().join(", "),
        // The API has none.
        Value::Map(_) => String::new(),
    }
}

/// In lower case, without the prefix of its enum; the number, if this version does not know it.
fn enum_value(number: i32, kind: &Kind) -> String {
    let Kind::Enum(of) = kind else { return number.to_string() };
    let first = of.default_value();
    let prefix = first.name().trim_end_matches("UNSPECIFIED");
    let value = of.get_value(number);
    value.map_or_else(
        || number.to_string(),
        |value| value.name().strip_prefix(prefix).unwrap_or_else(|| value.name()).to_lowercase(),
    )
}

fn is_timestamp(message: &DynamicMessage) -> bool {
    message.descriptor().full_name() == "google.protobuf.Timestamp"
}

/// Columns that are separated by spaces alone.
fn aligned(mut table: Table) -> String {
    table.load_style(presets::NOTHING);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}

#[cfg(test)]
mod tests {
    use super::{super::dynamic, *};
    use crate::proto::{
        Check, GetHubSpotConnectionRequest, GetHubSpotConnectionResponse, HubSpotConnection,
        ListHubSpotConnectionsRequest, ListHubSpotConnectionsResponse, TestHubSpotConnectionRequest,
        TestHubSpotConnectionResponse, TestResult, check::State,
    };

    fn connection(id: &str) -> HubSpotConnection {
        HubSpotConnection {
            id: id.to_owned(),
            name: "HubSpot\u{1b}[2J EU".to_owned(),
            state: crate::proto::ConnectionState::Enabled.into(),
            create_time: Some(Timestamp { seconds: 60, nanos: 0 }),
            ..HubSpotConnection::default()
        }
    }

    #[test]
    fn a_list_has_a_line_for_each_item() {
        let response = ListHubSpotConnectionsResponse {
            connections: vec![connection("a-1"), connection("b")],
            next_page_token: "more".to_owned(),
            ..ListHubSpotConnectionsResponse::default()
        };
        assert_eq!(
            render(&dynamic::<ListHubSpotConnectionsRequest>(&response)),
            "ID   NAME            STATE    SANDBOX NAME  CREATE TIME\n\
             a-1  HubSpot [2J EU  enabled  -             1970-01-01T00:01:00Z\n\
             b    HubSpot [2J EU  enabled  -             1970-01-01T00:01:00Z\n"
        );
        let none = ListHubSpotConnectionsResponse::default();
        assert_eq!(render(&dynamic::<ListHubSpotConnectionsRequest>(&none)), "");
    }

    #[test]
    fn one_resource_has_a_line_for_each_field() {
        let response = GetHubSpotConnectionResponse { connection: Some(connection("a")) };
        let table = render(&dynamic::<GetHubSpotConnectionRequest>(&response));
        assert_eq!(table.lines().count(), 13, "{table}");
        for line in ["id                 a", "client_secret_set  false", "update_time        -"] {
            assert!(table.lines().any(|shown| shown == line), "{line}: {table}");
        }
    }

    #[test]
    fn the_checks_of_a_test_follow_its_result() {
        let check = Check {
            name: "tables".to_owned(),
            state: State::Failed.into(),
            message: "HubSpot says no".to_owned(),
        };
        let result = Some(TestResult { passed: false, checks: vec![check] });
        assert_eq!(
            render(&dynamic::<TestHubSpotConnectionRequest>(&TestHubSpotConnectionResponse { result })),
            "passed  false\n\nchecks:\nNAME    STATE   MESSAGE\ntables  failed  HubSpot says no\n"
        );
    }

    #[test]
    fn every_selected_column_exists() {
        for (name, paths) in COLUMNS {
            let full = format!("hubspot_connection.v1.{name}");
            for path in paths {
                let mut of = crate::cli::client::output::API.get_message_by_name(&full).unwrap();
                for name in path.split('.') {
                    let field = of.get_field_by_name(name).unwrap_or_else(|| panic!("{full}: {path}"));
                    if let Kind::Message(inner) = field.kind() {
                        of = inner;
                    }
                }
            }
        }
    }
}
