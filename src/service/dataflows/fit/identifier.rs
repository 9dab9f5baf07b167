//! Names of fields for the columns of a table.

use std::collections::HashSet;

/// The names of fields for these columns, in their order.
///
/// The Schema Registry takes letters, digits, `_` and `-`, and no `_` at the start. Data Prep would take a `-` for an
/// operator, and a name that begins with a digit for a number. No two names are equal if case is ignored.
pub(super) fn identifiers<'a>(columns: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let columns: Vec<_> = columns.into_iter().collect();
    // A column that needs no conversion keeps its name, whatever the others become.
    let mut taken = HashSet::new();
    let kept: Vec<_> = columns
        .iter()
        .map(|column| identifier(column) == *column && taken.insert(column.to_ascii_lowercase()))
        .collect();
    let name = |(column, is_kept): (&&str, bool)| {
        if is_kept {
            return (*column).to_owned();
        }
        let base = identifier(column);
        let numbered = (2_u32..).map(|number| format!("{base}_{number}"));
        let mut names = std::iter::once(base.clone()).chain(numbered);
        let free = names.find(|name| taken.insert(name.to_ascii_lowercase()));
        free.unwrap_or(base)
    };
    columns.iter().zip(kept).map(name).collect()
}

/// The name of a field for one column.
pub(super) fn identifier(column: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = column.chars().map(allowed).collect();
    let name = name.trim_start_matches('_');
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.to_owned()
    } else {
        format!("column_{name}").trim_end_matches('_').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_that_is_an_identifier_stays_and_others_are_converted() {
        for (column, name) in [
            ("Vid", "Vid"),
            ("Added_At", "Added_At"),
            ("first name", "first_name"),
            ("e-mail", "e_mail"),
            ("a.b", "a_b"),
            ("_private", "private"),
            ("2nd", "column_2nd"),
            ("größe", "gr__e"),
            ("日付", "column"),
            ("-", "column"),
        ] {
            assert_eq!(identifier(column), name, "{column}");
        }
    }

    #[test]
    fn a_converted_name_gives_way_to_a_column_that_has_it() {
        assert_eq!(identifiers(["a b", "a_b", "A.B", "a_b_2"]), ["a_b_3", "a_b", "A_B_4", "a_b_2"]);
        assert_eq!(identifiers(["Email", "email"]), ["Email", "email_2"]);
    }

    proptest! {
        #[test]
        fn every_column_gets_a_valid_name_of_its_own(columns in prop::collection::vec("\\PC{0,6}|[aA_ .-]{0,3}", 0..12)) {
            let names = identifiers(columns.iter().map(String::as_str));
            prop_assert_eq!(names.len(), columns.len());
            for name in &names {
                prop_assert!(name.starts_with(|c: char| c.is_ascii_alphabetic()), "{}", name);
                prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{}", name);
            }
            let distinct: HashSet<_> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
            prop_assert_eq!(distinct.len(), names.len());
        }
    }
}
