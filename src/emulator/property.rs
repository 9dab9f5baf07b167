//! The syntax of filters: the `property` parameter that every list takes.

/// Why a filter is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The field is not one to filter by.
    #[error("Invalid field {0} in filter params.")]
    UnknownField(String),
    /// The operator does not apply to the field.
    #[error("Operator {operator} not supported for field {field}.")]
    UnsupportedOperator {
        /// The operator.
        operator: &'static str,
        /// The field.
        field: String,
    },
    /// It is not a field, an operator and a value.
    #[error("Invalid query value {0} provided in query param.")]
    Malformed(String),
}

/// What may stand between field and value; those that begin like another come before it.
const OPERATORS: [&str; 9] = ["==", "!=", "!>", ">=", "<=", "=", ">", "<", "~"];

/// Parses `field==value`, with `=` tolerated: the value is one or several separated by commas, each
/// bare or in double quotes. Gives what stands beside the field in `fields`, and the values.
///
/// # Errors
/// [`FilterError`] when the field is unknown, the operator another, or there is no value.
pub(super) fn parse<F: Copy>(property: &str, fields: &[(&str, F)]) -> Result<(F, Vec<String>), FilterError> {
    let malformed = || FilterError::Malformed(property.to_owned());
    let end = property.find(['=', '!', '>', '<', '~']).ok_or_else(malformed)?;
    let (path, rest) = property.split_at(end);
    let operator = OPERATORS.into_iter().find(|operator| rest.starts_with(operator));
    let operator = operator.ok_or_else(malformed)?;
    let value = &rest[operator.len()..];
    if path.is_empty() || value.is_empty() {
        return Err(malformed());
    }
    let Some((_, field)) = fields.iter().find(|(known, _)| *known == path) else {
        return Err(FilterError::UnknownField(path.to_owned()));
    };
    if !matches!(operator, "==" | "=") {
        return Err(FilterError::UnsupportedOperator { operator, field: path.to_owned() });
    }
    Ok((*field, split_values(value)))
}

/// Splits at commas, except those within double quotes. A quoted value ends at a quote that a comma
/// or the end follows, so it may hold quotes of its own.
fn split_values(mut text: &str) -> Vec<String> {
    let mut values = Vec::new();
    loop {
        let quoted = text.strip_prefix('"').and_then(|rest| {
            let (value, rest) = rest
                .split_once("\",")
                .map(|(value, rest)| (value, Some(rest)))
                .or_else(|| rest.strip_suffix('"').map(|value| (value, None)))?;
            Some((value, rest))
        });
        let (value, rest) = quoted.unwrap_or_else(|| match text.split_once(',') {
            Some((value, rest)) => (value, Some(rest)),
            None => (text, None),
        });
        values.push(value.to_owned());
        match rest {
            Some(rest) => text = rest,
            None => return values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIELDS: [(&str, u8); 3] = [("id", 1), ("name", 2), ("state", 3)];

    #[test]
    fn values_are_bare_or_quoted_one_or_several() {
        for (property, values) in [
            ("name==TestConn", vec!["TestConn"]),
            ("name=\"abc\"", vec!["abc"]),
            ("name==\"hubspot\"", vec!["hubspot"]),
            ("name==a,b", vec!["a", "b"]),
            ("name==\"a,b\",c", vec!["a,b", "c"]),
            ("name==\"say \"hi\"\"", vec!["say \"hi\""]),
            ("name==a==b", vec!["a==b"]),
            ("name==\"", vec!["\""]),
            ("name==\"\"", vec![""]),
            ("name==grüße 🎉", vec!["grüße 🎉"]),
        ] {
            let values = values.into_iter().map(str::to_owned).collect();
            assert_eq!(parse(property, &FIELDS), Ok((2, values)), "{property}");
        }
    }

    #[test]
    fn a_mistake_is_told_apart() {
        let unsupported =
            |operator, field: &str| FilterError::UnsupportedOperator { operator, field: field.to_owned() };
        for (property, error) in [
            ("providerId==x", FilterError::UnknownField("providerId".to_owned())),
            ("id>=x", unsupported(">=", "id")),
            ("name!=x", unsupported("!=", "name")),
            ("name", FilterError::Malformed("name".to_owned())),
            ("name==", FilterError::Malformed("name==".to_owned())),
            ("==x", FilterError::Malformed("==x".to_owned())),
            ("name!x", FilterError::Malformed("name!x".to_owned())),
            ("", FilterError::Malformed(String::new())),
        ] {
            assert_eq!(parse(property, &FIELDS), Err(error), "{property}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "(id|name|state)?[=!<>~]{0,3}.*") {
            let _ = parse(&text, &FIELDS);
        }

        #[test]
        fn a_quoted_value_without_quotes_is_taken_as_it_is(value in "[^\"]*") {
            prop_assert_eq!(parse(&format!("name==\"{value}\""), &FIELDS), Ok((2, vec![value])));
        }
    }
}
