//! The parameters of a source connection.

use serde_json::{Map, Value};

use super::missing;
use crate::emulator::{
    connection_specs::Table,
    flow_service::{from_provider, source_error},
    problem::Problem,
    settings::{Settings, SourceParams},
};

/// Parses the parameters. Others than those of the table are accepted: no documentation refuses them.
///
/// # Errors
/// 1323-400 without the table, 1330-400 for one that does not exist where the settings explore it.
pub(super) fn parse(
    params: &Value,
    tables: &[Table],
    settings: &Settings,
) -> Result<Map<String, Value>, Problem> {
    let params = params.as_object().ok_or_else(|| from_provider("params must be an object"))?;
    let path = text(params, "path")?;
    let table_name = text(params, "tableName")?;
    let table = match (settings.source_params, path, table_name) {
        (None | Some(SourceParams::Both), Some(path), Some(table_name)) if path != table_name => {
            return Err(from_provider("params.path and params.tableName must be equal"));
        }
        (Some(SourceParams::Path), None, _) => return Err(missing("path", settings)),
        (Some(SourceParams::TableName), _, None) => return Err(missing("tableName", settings)),
        (Some(SourceParams::Path), _, Some(_)) => {
            return Err(from_provider("params.tableName is not a parameter of the source spec"));
        }
        (Some(SourceParams::TableName), Some(_), _) => {
            return Err(from_provider("params.path is not a parameter of the source spec"));
        }
        (Some(SourceParams::Both), None, _) | (None, None, None) => return Err(missing("path", settings)),
        (Some(SourceParams::Both), _, None) => return Err(missing("tableName", settings)),
        (_, Some(table), _) | (_, None, Some(table)) => table,
    };
    if params.get("columns").is_some_and(|columns| !columns.is_array()) {
        return Err(from_provider("params.columns must be an array"));
    }
    if settings.path_explores && !tables.iter().any(|known| known.path == table) {
        let detail = format!(
            "No columns were found for table {table}. Please provide a valid table name and try again."
        );
        return Err(source_error(settings, 1330, detail));
    }
    Ok(params.clone())
}

/// A string that is not empty.
fn text<'a>(params: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Problem> {
    match params.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(from_provider(&format!("params.{name} must be a string"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::connection_specs::HUBSPOT;
    use serde_json::json;

    /// What the error says, `None` for accepted parameters.
    fn error(params: &Value, settings: &Settings) -> Option<String> {
        let problem = parse(params, HUBSPOT.tables, settings).err()?;
        Some(String::from_utf8(problem.reply("REQUEST").body.to_vec()).unwrap())
    }

    #[test]
    fn a_setting_demands_one_name_of_the_table() {
        let path = json!({"path": "Hubspot.Contacts"});
        let table_name = json!({"tableName": "Hubspot.Contacts", "columns": []});
        let both = json!({"path": "Hubspot.Contacts", "tableName": "Hubspot.Contacts"});
        for (demanded, accepted) in [
            (None, [true, true, true]),
            (Some(SourceParams::Path), [true, false, false]),
            (Some(SourceParams::TableName), [false, true, false]),
            (Some(SourceParams::Both), [false, false, true]),
        ] {
            let settings = Settings { source_params: demanded, ..Settings::default() };
            let found = [&path, &table_name, &both].map(|params| error(params, &settings).is_none());
            assert_eq!(found, accepted, "{demanded:?}");
        }
    }

    #[test]
    fn each_mistake_has_its_error() {
        for (params, says) in [
            (json!("Hubspot.Contacts"), "params must be an object"),
            (json!({}), "FLOW-1323-400"),
            (json!({"path": ""}), "FLOW-1323-400"),
            (json!({"path": null}), "FLOW-1323-400"),
            (json!({"path": 5}), "params.path must be a string"),
            (json!({"path": "a", "tableName": "b"}), "must be equal"),
            (json!({"path": "a", "columns": {}}), "params.columns must be an array"),
        ] {
            let error = error(&params, &Settings::default()).unwrap();
            assert!(error.contains(says), "{params}: {error}");
        }
    }

    #[test]
    fn a_table_must_exist_where_it_is_explored() {
        let unknown = json!({"path": "Hubspot.Nothing"});
        assert_eq!(error(&unknown, &Settings::default()), None);
        let settings =
            Settings { path_explores: true, source_error_prefix: "CONN".to_owned(), ..Settings::default() };
        assert!(error(&unknown, &settings).unwrap().contains("CONN-1330-400"));
        assert_eq!(error(&json!({"path": "Hubspot.Contacts"}), &settings), None);
    }
}
