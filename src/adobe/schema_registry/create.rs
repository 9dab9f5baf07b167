//! The bodies that create schemas and field groups, and the replies.

use serde_json::{Map, Value, json};

use crate::{
    adobe::{
        CallError, NewFieldGroup, NewSchema, Titled,
        answer::success::object,
        client::{self, Call, Route},
        wire,
    },
    domain::dataflow::{SchemaField, SchemaId},
    error::Cause,
};

static CREATE_SCHEMA: Route = Route::create_part("/tenant/schemas", &["$id"]);
static CREATE_FIELD_GROUP: Route = Route::create_part("/tenant/fieldgroups", &["$id"]);

pub(super) static ROUTES: [&Route; 2] = [&CREATE_SCHEMA, &CREATE_FIELD_GROUP];

pub(crate) fn field_group<'a>(group: &NewFieldGroup<'a>) -> Call<'a, SchemaId> {
    let NewFieldGroup { sandbox, title, description, class, fields } = *group;
    let body = json!({
        "title": title,
        "description": description,
        "type": "object",
        "meta:intendedToExtend": [class.as_str()],
        "definitions": {"fields": {"properties": properties(fields)}},
        "allOf": [{"$ref": "#/definitions/fields"}],
    });
    Call { body: Some(client::json(&body)), ..Call::new(&CREATE_FIELD_GROUP, sandbox, read_created) }
}

pub(crate) fn schema<'a>(schema: &NewSchema<'a>) -> Call<'a, SchemaId> {
    let NewSchema { sandbox, title, description, class, field_group } = *schema;
    let body = json!({
        "title": title,
        "description": description,
        "type": "object",
        "allOf": [{"$ref": class.as_str()}, {"$ref": field_group.as_str()}],
    });
    Call { body: Some(client::json(&body)), ..Call::new(&CREATE_SCHEMA, sandbox, read_created) }
}

/// The fields as a tree of objects.
fn properties(fields: &[SchemaField]) -> Map<String, Value> {
    let mut root = Map::new();
    for SchemaField { path, kind, format } in fields {
        let mut names: Vec<_> = path.as_str().split('.').collect();
        let Some(name) = names.pop() else { continue };
        let mut parent = Some(&mut root);
        for name in names {
            let object = parent.map(|parent| {
                parent.entry(name).or_insert_with(|| json!({"type": "object", "properties": {}}))
            });
            parent = object.and_then(|object| object.get_mut("properties")?.as_object_mut());
        }
        let kind = if kind.is_empty() { "string" } else { kind };
        let mut field = json!({"title": name, "type": kind});
        if !format.is_empty() {
            field["format"] = json!(format);
        }
        // A field cannot be below one that has a value.
        if let Some(parent) = parent {
            parent.insert(name.to_owned(), field);
        }
    }
    root
}

/// Reads the reply to a creation.
pub(crate) fn read_created(body: &[u8]) -> Result<SchemaId, Cause> {
    let created = object("the success holds no $id", body)?;
    wire::id(&created, "$id", SchemaId::parse).ok_or_else(|| "the success holds no usable $id".into())
}

/// What a creation resulted in: the refusal of a title names what has it.
pub(crate) fn titled(outcome: Result<SchemaId, CallError>) -> Result<Titled, CallError> {
    match outcome {
        Ok(id) => Ok(Titled::Created(id)),
        Err(error) => {
            let problem = error.problem().filter(|problem| !problem.is_unrecognized());
            let message = problem.filter(|problem| matches!(problem.status, 400 | 409));
            match message.and_then(|problem| owner(problem.message.as_deref()?)) {
                Some(id) => Ok(Titled::Taken(id)),
                None => Err(error),
            }
        }
    }
}

/// The ID in a text such as "Title must be unique. An object https://… already exists with the same title."
pub(crate) fn owner(message: &str) -> Option<SchemaId> {
    let text = message.to_ascii_lowercase();
    if !(text.contains("title") && (text.contains("unique") || text.contains("already exists"))) {
        return None;
    }
    let start = message.find("https://")?;
    let ends =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '\\' | ',' | '}' | ')' | ']');
    let id = message[start..].split(ends).next()?;
    SchemaId::parse(id.trim_end_matches(['.', ';', ':'])).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::dataflow::XdmPath;

    #[test]
    fn the_owner_of_a_title_is_read_from_the_refusal() {
        let id = "https://ns.adobe.com/t/schemas/1f2e";
        for message in [
            format!("Title must be unique. An object {id} already exists with the same title."),
            format!("Title must be unique: '{id}'."),
        ] {
            assert_eq!(owner(&message).as_ref().map(SchemaId::as_str), Some(id), "{message}");
        }
        assert_eq!(owner(&format!("the $ref {id} is unknown")), None);
        assert_eq!(owner("Title must be unique."), None);
    }

    #[test]
    fn fields_become_a_tree() {
        let field = |path: &str, kind: &str, format: &str| SchemaField {
            path: XdmPath::parse(path).unwrap(),
            kind: kind.to_owned(),
            format: format.to_owned(),
        };
        let tree = properties(&[
            field("_t.a", "", ""),
            field("_t.b", "string", "date-time"),
            field("_t.a.c", "", ""),
        ]);
        let expected = json!({"_t": {"type": "object", "properties": {
            "a": {"title": "a", "type": "string"},
            "b": {"title": "b", "type": "string", "format": "date-time"},
        }}});
        assert_eq!(Value::from(tree), expected);
    }
}
