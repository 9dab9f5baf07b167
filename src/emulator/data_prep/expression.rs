//! The syntax of expressions, as far as it is obvious: brackets, quotes and operators.

/// The longest calculated field.
const MAX_LENGTH: usize = 4096;

/// What is wrong with an expression. `None` means that nothing is found, not that it is valid.
pub(super) fn mistake(expression: &str) -> Option<String> {
    if expression.chars().count() > MAX_LENGTH {
        return Some(format!("The expression is longer than {MAX_LENGTH} characters."));
    }
    let mut open = Vec::new();
    let mut characters = expression.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' | '\'' if !skip_text(&mut characters, c) => {
                return Some(format!("The expression has an unclosed {c}."));
            }
            '(' | '[' | '{' => open.push(c),
            ')' | ']' | '}' => {
                let is_closed =
                    matches!((open.pop(), c), (Some('('), ')') | (Some('['), ']') | (Some('{'), '}'));
                if !is_closed {
                    return Some(format!("The expression has an unexpected {c}."));
                }
            }
            _ => {}
        }
    }
    if let Some(c) = open.pop() {
        return Some(format!("The expression has an unclosed {c}."));
    }
    match expression.trim().chars().last() {
        None => Some("The expression is empty.".to_owned()),
        Some(c) if "+-*/=<>&|,.!".contains(c) => Some(format!("The expression ends with {c}.")),
        Some(_) => None,
    }
}

/// Skips the rest of a text. `false` if it does not end.
fn skip_text(characters: &mut impl Iterator<Item = char>, quote: char) -> bool {
    while let Some(c) = characters.next() {
        if c == '\\' {
            characters.next();
        } else if c == quote {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_obviously_wrong_is_a_mistake() {
        for expression in [
            "uuid()",
            "concat(First_Name, \" \", Last_Name)",
            "iif(${a-b} == 'x)', 1, 2)",
            "'it\\'s'",
            "a + 1",
            "{a: [1, 2]}",
        ] {
            assert_eq!(mistake(expression), None, "{expression}");
        }
        let long = "a".repeat(MAX_LENGTH + 1);
        for expression in ["", " ", "concat(a", "concat a)", "(a]", "'a", "\"a\\\"", "a +", "a,", &long] {
            assert!(mistake(expression).is_some(), "{expression}");
        }
    }
}
