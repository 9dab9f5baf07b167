//! `/connections/{id}/test` and `/connections/{id}/explore`: requests that the Flow Service passes on to HubSpot.

use serde_json::Value;

use crate::{
    adobe::{
        answer::success::{object, value},
        client::{Call, Route},
    },
    domain::{Column, ConnectionRef, Table, TablePath},
    error::Cause,
};

const EXPLORE: &str = "/connections/{id}/explore";

static TEST: Route = Route::read_source("/connections/{id}/test", &["result"]);
static TABLES: Route = Route::read_source(EXPLORE, &["items"]);
static COLUMNS: Route = Route::read_source(EXPLORE, &["schema", "columns"]);

pub(super) static ROUTES: [&Route; 3] = [&TEST, &TABLES, &COLUMNS];

pub(super) fn test(at: &ConnectionRef) -> Call<'_, bool> {
    Call { id: Some(at.id.as_str()), ..Call::new(&TEST, &at.sandbox, read_test) }
}

// Adobe's OpenAPI document writes the types of objects in upper case, its tutorials and its connection
// specifications in lower case.

pub(super) fn tables(at: &ConnectionRef) -> Call<'_, Vec<Table>> {
    let query = vec![("objectType", "root".to_owned())];
    Call { id: Some(at.id.as_str()), query, ..Call::new(&TABLES, &at.sandbox, read_tables) }
}

pub(super) fn columns<'a>(at: &'a ConnectionRef, table: &TablePath) -> Call<'a, Vec<Column>> {
    let query = vec![("objectType", "table".to_owned()), ("object", table.as_str().to_owned())];
    Call { id: Some(at.id.as_str()), query, ..Call::new(&COLUMNS, &at.sandbox, read_columns) }
}

/// Reads whether a connection works.
pub(crate) fn read_test(body: &[u8]) -> Result<bool, Cause> {
    let body = object("no result of a test", body)?;
    match (body.flag("result"), body.text("result").as_deref()) {
        (Some(result), _) => Ok(result),
        (None, Some("true")) => Ok(true),
        (None, Some("false")) => Ok(false),
        (None, _) => Err("no result of a test: neither true nor false".into()),
    }
}

/// Reads a list of tables, without the items that are no tables.
pub(crate) fn read_tables(body: &[u8]) -> Result<Vec<Table>, Cause> {
    let body = value("no list of tables", body)?;
    let items = body.as_array().or_else(|| body["items"].as_array()).ok_or("no list of tables")?;
    Ok(items.iter().filter_map(table).collect())
}

fn table(item: &Value) -> Option<Table> {
    let is_table = text(item, "type").is_none_or(|kind| kind.eq_ignore_ascii_case("table"));
    let path = text(item, "path").or_else(|| text(item, "name")).filter(|_| is_table)?;
    Some(Table {
        name: text(item, "name").unwrap_or(path).to_owned(),
        path: path.to_owned(),
        can_preview: item["canPreview"] == true,
        can_fetch_schema: item["canFetchSchema"] == true,
    })
}

/// Reads the columns of a table, without those that have no name.
pub(crate) fn read_columns(body: &[u8]) -> Result<Vec<Column>, Cause> {
    let body = value("no description of a table", body)?;
    let schema = body.get("schema").unwrap_or(&body);
    let columns = schema["columns"].as_array().ok_or("no description of a table: no columns")?;
    Ok(columns.iter().filter_map(column).collect())
}

fn column(item: &Value) -> Option<Column> {
    let xdm = |name| text(&item["xdm"], name);
    let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Some(Column {
        name: text(item, "name")?.to_owned(),
        kind: owned(text(item, "type")),
        xdm_type: owned(xdm("type")),
        xdm_format: owned(xdm("format").or_else(|| text(item, "meta:xdmType"))),
    })
}

fn text<'a>(item: &'a Value, name: &str) -> Option<&'a str> {
    item[name].as_str().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_test_result_is_true_or_false_or_an_error() {
        for (body, result) in [
            (r#"{"result": true}"#, Some(true)),
            (r#"{"result": false, "reason": "x"}"#, Some(false)),
            (r#"{"result": "false"}"#, Some(false)),
            (r#"{"result": null}"#, None),
            (r#"{"result": 0}"#, None),
            ("{}", None),
            (r#"{"result": true, "result": false}"#, None),
            (r#"{"result": [true]}"#, None),
            ("[true]", None),
            (r#"[["result", true]]"#, None),
            (r#"[{"result": true}]"#, None),
            ("true", None),
            ("", None),
        ] {
            assert_eq!(read_test(body.as_bytes()).ok(), result, "{body}");
        }
    }

    #[test]
    fn only_the_tables_of_a_list_are_read() {
        let listed = json!([
            {"type": "table", "name": "Hubspot.Contacts", "path": "Hubspot.Contacts", "canPreview": true,
             "canFetchSchema": true, "rows": 7},
            {"type": "TABLE", "name": "Contacts", "path": "contacts", "canPreview": "yes"},
            {"name": "Deals"},
            {"type": "folder", "name": "x", "path": "x"},
            {"type": "table"},
            null, 5, [],
        ]);
        let tables = read_tables(listed.to_string().as_bytes()).unwrap();
        let shown: Vec<_> =
            tables.iter().map(|t| (t.name.as_str(), t.path.as_str(), t.can_preview)).collect();
        assert_eq!(
            shown,
            [
                ("Hubspot.Contacts", "Hubspot.Contacts", true),
                ("Contacts", "contacts", false),
                ("Deals", "Deals", false)
            ]
        );
        assert_eq!(read_tables(json!({"items": listed}).to_string().as_bytes()).unwrap(), tables);
        for body in ["{}", "null", "", "<html>", "\"x\"", r#"{"items": {}}"#, r#"{"items": null}"#] {
            assert!(read_tables(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn columns_are_read_with_their_known_properties() {
        let body = json!({"format": "flat", "schema": {"columns": [
            {"name": "Added_At", "type": "string", "meta:xdmType": "date-time",
             "xdm": {"type": "string", "format": "date-time"}},
            {"name": "Vid", "type": {"name": "long"}, "xdm": null},
            {"type": "string"},
        ]}});
        let column = |name: &str, kind: &str, xdm_type: &str, xdm_format: &str| Column {
            name: name.to_owned(),
            kind: kind.to_owned(),
            xdm_type: xdm_type.to_owned(),
            xdm_format: xdm_format.to_owned(),
        };
        assert_eq!(
            read_columns(body.to_string().as_bytes()).unwrap(),
            [column("Added_At", "string", "string", "date-time"), column("Vid", "", "", "")]
        );
        for body in [
            "[]",
            "[[]]",
            r#"[{"columns": []}]"#,
            "{}",
            r#"{"schema": {"columns": {}}}"#,
            r#"{"schema": [[]]}"#,
            r#"{"schema": [{"columns": []}]}"#,
        ] {
            assert!(read_columns(body.as_bytes()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>) {
            let _ = (read_test(&body), read_tables(&body), read_columns(&body));
        }
    }
}
