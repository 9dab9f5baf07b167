//! Mappings from the columns of a table to the fields of a schema.

use crate::domain::{
    Invalid,
    text::{check_line, names, text},
};

/// Where the value of one field comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMapping {
    pub source: MappingSource,
    pub destination: XdmPath,
    pub kind: MappingKind,
}

names! {
    /// What the source of a mapping is, with Data Prep's name for it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum MappingKind {
        /// A column.
        #[default]
        Attribute = "ATTRIBUTE",
        Expression = "EXPRESSION",
        /// A constant.
        Static = "STATIC",
    }
}

/// A column, an expression or a constant: 1 to 4,096 characters, as Data Prep limits its expressions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MappingSource(String);

text!(MappingSource);

impl MappingSource {
    /// # Errors
    /// [`Invalid`] when it is blank, too long or contains a control character.
    pub fn parse(source: &str) -> Result<Self, Invalid> {
        check_line(source, 4096, "is required: a column of the table, an expression or a constant")?;
        Ok(Self(source.to_owned()))
    }
}

/// The path of a field in a schema: names with dots between them, such as `person.name.firstName`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct XdmPath(String);

text!(XdmPath);

impl XdmPath {
    /// # Errors
    /// [`Invalid`] when it is blank, longer than 1,024 characters, or a name in it is empty or has other characters
    /// than letters, digits, `_`, `-`, `:` and brackets.
    pub fn parse(path: &str) -> Result<Self, Invalid> {
        check_line(path, 1024, "is required: the path of a field, such as person.name.firstName")?;
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_-:[]*".contains(c);
        if path.split('.').all(|name| !name.is_empty() && name.chars().all(is_allowed)) {
            Ok(Self(path.to_owned()))
        } else {
            Err("must be names with dots between them, such as person.name.firstName".into())
        }
    }
}
