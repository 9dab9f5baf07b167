//! Adobe's classes and field groups: a small part of them, with some of their fields.

use serde_json::{Map, Value, json};

/// XDM Individual Profile, a record.
pub(super) const PROFILE: &str = "https://ns.adobe.com/xdm/context/profile";

/// XDM ExperienceEvent, a time series.
pub(super) const EXPERIENCE_EVENT: &str = "https://ns.adobe.com/xdm/context/experienceevent";

const PERSON_DETAILS: &str = "https://ns.adobe.com/xdm/context/profile-person-details";
const PERSONAL_DETAILS: &str = "https://ns.adobe.com/xdm/context/profile-personal-details";

/// The class of this `$id`.
pub(super) fn class(id: &str) -> Option<&'static str> {
    [PROFILE, EXPERIENCE_EVENT].into_iter().find(|class| *class == id)
}

/// What a class is based on.
pub(super) fn behavior(class: &str) -> &'static str {
    if class == EXPERIENCE_EVENT {
        "https://ns.adobe.com/xdm/data/time-series"
    } else {
        "https://ns.adobe.com/xdm/data/record"
    }
}

/// The class that a standard field group is for.
pub(super) fn field_group_class(id: &str) -> Option<&'static str> {
    [PERSON_DETAILS, PERSONAL_DETAILS].contains(&id).then_some(PROFILE)
}

/// The fields of a class or a field group.
pub(super) fn properties(id: &str) -> Option<Map<String, Value>> {
    let properties = match id {
        PROFILE => json!({
            "_id": string("Identifier"),
            "_repo": object("Repository", json!({
                "createDate": date_time("Create date"),
                "modifyDate": date_time("Modify date"),
            })),
            "createdByBatchID": string("Created by batch identifier"),
            "modifiedByBatchID": string("Modified by batch identifier"),
            "personID": string("Person ID"),
            "repositoryCreatedBy": string("Created by user identifier"),
            "repositoryLastModifiedBy": string("Modified by user identifier"),
        }),
        EXPERIENCE_EVENT => json!({
            "_id": string("Identifier"),
            "timestamp": date_time("Timestamp"),
            "eventType": string("Event type"),
            "producedBy": string("Produced by"),
            "eventMergeId": string("ExperienceEvent merge ID"),
        }),
        PERSON_DETAILS => json!({
            "person": object("Person", json!({
                "name": object("Full name", json!({
                    "firstName": string("First name"),
                    "lastName": string("Last name"),
                    "middleName": string("Middle name"),
                    "fullName": string("Full name"),
                    "courtesyTitle": string("Courtesy title"),
                    "suffix": string("Suffix"),
                })),
                "birthDate": {"title": "Birth date", "type": "string", "format": "date"},
                "birthDayAndMonth": string("Birth date (MM-DD)"),
                "birthYear": {"title": "Birth year", "type": "integer"},
                "gender": string("Gender"),
                "maritalStatus": string("Marital status"),
                "nationality": string("Nationality"),
                "taxId": string("Tax ID"),
            })),
        }),
        PERSONAL_DETAILS => json!({
            "personalEmail": object("Personal email", json!({
                "address": string("Address"),
                "label": string("Label"),
                "primary": boolean("Primary"),
                "status": string("Status"),
                "type": string("Type"),
            })),
            "homePhone": phone("Home phone"),
            "mobilePhone": phone("Mobile phone"),
            "faxPhone": phone("Fax phone"),
            "homeAddress": object("Home address", json!({
                "street1": string("Street 1"),
                "street2": string("Street 2"),
                "city": string("City"),
                "stateProvince": string("State or province"),
                "postalCode": string("Postal code"),
                "country": string("Country"),
                "countryCode": string("Country code"),
                "region": string("Region"),
                "primary": boolean("Primary"),
            })),
        }),
        _ => return None,
    };
    properties.as_object().cloned()
}

fn string(title: &str) -> Value {
    json!({"title": title, "type": "string"})
}

fn boolean(title: &str) -> Value {
    json!({"title": title, "type": "boolean"})
}

fn date_time(title: &str) -> Value {
    json!({"title": title, "type": "string", "format": "date-time"})
}

fn object(title: &str, properties: Value) -> Value {
    json!({"title": title, "type": "object", "properties": properties})
}

fn phone(title: &str) -> Value {
    object(title, json!({"number": string("Number"), "primary": boolean("Primary")}))
}
