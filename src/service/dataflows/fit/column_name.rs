//! Which columns of a table a request names.

use crate::domain::Column;

/// So many names fit into an error.
const MOST_NAMES: usize = 20;

/// The sentence about a name that no column has.
pub(super) fn missing(name: &str, columns: &[Column]) -> String {
    match nearest(name, columns.iter().map(|column| column.name.as_str())) {
        Some(near) => format!("is no column of the table: did you mean {near:?}?"),
        None => format!(
            "is no column of the table: use {}",
            one_of(columns.iter().map(|column| column.name.as_str()))
        ),
    }
}

/// The name that is most like this one, if any is.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let likeness = |other: &str| strsim::jaro_winkler(&lower, &other.to_lowercase());
    let (near, likeness) = names.map(|other| (other, likeness(other))).max_by(|a, b| a.1.total_cmp(&b.1))?;
    (likeness > 0.85).then_some(near)
}

/// The first names, for an error.
pub(super) fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    let shown = names.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "another table: it has none".to_owned(),
        1 => shown,
        more if more > MOST_NAMES => format!("one of {shown}, … ({more} in all)"),
        _ => format!("one of {shown}"),
    }
}
