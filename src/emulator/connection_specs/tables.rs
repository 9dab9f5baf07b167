//! The tables of the sources.

use serde_json::{Value, json};

/// A table. Its name is its path.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Such as `Hubspot.Contacts`.
    pub path: &'static str,
    pub columns: &'static [Column],
    /// How many rows a run copies that takes everything.
    pub rows: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: ColumnType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    Text,
    /// Text in a date-time format.
    DateTime,
    Number,
    Boolean,
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: ColumnType::Text }
}

const fn date_time(name: &'static str) -> Column {
    Column { name, kind: ColumnType::DateTime }
}

const fn number(name: &'static str) -> Column {
    Column { name, kind: ColumnType::Number }
}

const fn boolean(name: &'static str) -> Column {
    Column { name, kind: ColumnType::Boolean }
}

/// The documented tables. Only the columns of `Hubspot.Contacts` are documented; those of the others are invented
/// after HubSpot's objects.
pub(super) const HUBSPOT: &[Table] = &[
    Table {
        path: "Hubspot.All_Deals",
        columns: &[
            text("Deal_Id"),
            text("Properties_Dealname_Value"),
            number("Properties_Amount_Value"),
            date_time("Properties_Closedate_Value"),
            boolean("Is_Deleted"),
        ],
        rows: 3,
    },
    Table {
        path: "Hubspot.Blog_Authors",
        columns: &[text("Id"), text("Full_Name"), text("Email"), date_time("Created")],
        rows: 2,
    },
    Table {
        path: "Hubspot.Blog_Comments",
        columns: &[text("Id"), text("User_Name"), text("Comment"), date_time("Created_At")],
        rows: 4,
    },
    Table {
        path: "Hubspot.Contacts",
        columns: &[
            text("Properties_Firstname_Value"),
            text("Properties_Lastname_Value"),
            date_time("Added_At"),
            text("Portal_Id"),
            text("Vid"),
        ],
        rows: 5,
    },
];

pub(super) const SALESFORCE: &[Table] = &[
    Table { path: "Account", columns: &[text("Id"), text("Name"), date_time("CreatedDate")], rows: 7 },
    Table { path: "Contact", columns: &[text("Id"), text("Email"), boolean("IsDeleted")], rows: 6 },
];

impl Table {
    /// The table in the list of tables.
    pub fn item(&self) -> Value {
        json!({
            "type": "table",
            "name": self.path,
            "path": self.path,
            "canPreview": true,
            "canFetchSchema": true,
        })
    }

    /// The columns, as exploring the table shows them.
    pub fn schema(&self) -> Value {
        let columns: Vec<Value> = self.columns.iter().map(Column::item).collect();
        json!({"format": "flat", "schema": {"columns": columns}})
    }
}

impl Column {
    fn item(&self) -> Value {
        let Self { name, kind } = self;
        let plain = |kind: &str| json!({"name": name, "type": kind, "xdm": {"type": kind}});
        match kind {
            ColumnType::Text => plain("string"),
            ColumnType::Number => plain("number"),
            ColumnType::Boolean => plain("boolean"),
            ColumnType::DateTime => json!({
                "name": name,
                "type": "string",
                "meta:xdmType": "date-time",
                "xdm": {"type": "string", "format": "date-time"},
            }),
        }
    }
}
