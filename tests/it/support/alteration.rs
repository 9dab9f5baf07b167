//! How a list may alter a connection: the same one, shown in another way.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

/// The ways to alter a text.
const TEXT: [fn(&str, &mut fastrand::Rng) -> Option<String>; 13] = [
    |text, _| Some(text.trim().to_owned()),
    |text, _| Some(text.to_uppercase()),
    |text, _| Some(text.to_lowercase()),
    |text, _| Some(text.split_whitespace().collect::<Vec<_>>().join(" ")),
    |text, _| Some(text.replace('\n', "\r\n")),
    |text, _| Some(text.replace(' ', "\u{a0}")),
    |text, _| Some(html_escaped(text)),
    |text, _| Some(html_escaped(&html_escaped(text))),
    |text, _| Some(utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()),
    |text, _| Some(decomposed(text)),
    |text, _| Some(full_width(text)),
    |text, random| Some(truncated(text, random)),
    |_, _| None,
];

type Way = fn(&mut Map<String, Value>, &mut fastrand::Rng);

/// The ways to alter an item. The first one alters the fields that identify it.
const WAYS: [Way; 7] = [
    |item, random| alter_text(item, "description", random),
    |item, random| alter_text(item, "name", random),
    alter_time,
    alter_credentials,
    |item, _| mask(item.get_mut("createdClient")),
    |item, _| upper_case(item.get_mut("connectionSpec").and_then(|spec| spec.get_mut("id"))),
    |item, random| {
        let fields = ["etag", "version", "state", "auth", "connectionSpec", "updatedAt"];
        item.remove(fields[random.usize(..fields.len())]);
    },
];

/// Alters an item of a list. It keeps its ID.
pub(crate) fn alter(item: &mut Value, random: &mut fastrand::Rng) {
    let Some(item) = item.as_object_mut() else { return };
    let always = random.usize(..WAYS.len());
    for (number, way) in WAYS.into_iter().enumerate() {
        let share = if number == 0 { 60 } else { 20 };
        if number == always || random.u32(..100) < share {
            way(item, random);
        }
    }
}

/// Alters only the description.
pub(crate) fn alter_description(item: &mut Value, random: &mut fastrand::Rng) {
    if let Some(item) = item.as_object_mut() {
        alter_text(item, "description", random);
    }
}

fn alter_text(item: &mut Map<String, Value>, field: &str, random: &mut fastrand::Rng) {
    let Some(text) = item.get(field).and_then(Value::as_str) else { return };
    match random.choice(TEXT).unwrap()(text, random) {
        Some(altered) => item[field] = Value::from(altered),
        None if random.bool() => item[field] = Value::Null,
        None => drop(item.remove(field)),
    }
}

fn alter_time(item: &mut Map<String, Value>, random: &mut fastrand::Rng) {
    let Some(milliseconds) = item.get("createdAt").and_then(Value::as_i64) else { return };
    match random.u32(..6) {
        0 => item["createdAt"] = Value::from(milliseconds / 1000),
        1 => item["createdAt"] = Value::from(milliseconds * 1000),
        2 => item["createdAt"] = Value::from(milliseconds.to_string()),
        // Without the hour.
        4 => item["createdAt"] = Value::from(milliseconds - milliseconds % 86_400_000),
        // By another clock.
        3 => item["createdAt"] = Value::from(milliseconds + random.i64(-90_000..90_000)),
        _ => drop(item.remove("createdAt")),
    }
}

fn alter_credentials(item: &mut Map<String, Value>, random: &mut fastrand::Rng) {
    let parameters = item.get_mut("auth").and_then(|auth| auth.get_mut("params"));
    let Some(parameters) = parameters.and_then(Value::as_object_mut) else { return };
    match random.u32(..3) {
        0 => parameters.values_mut().for_each(|value| mask(Some(value))),
        1 => parameters.clear(),
        _ => upper_case(parameters.get_mut("clientId")),
    }
}

fn upper_case(text: Option<&mut Value>) {
    if let Some(text) = text {
        *text = Value::from(text.as_str().map(str::to_uppercase));
    }
}

/// Masks a text, and keeps its length.
fn mask(text: Option<&mut Value>) {
    if let Some(text) = text {
        let length = text.as_str().unwrap_or_default().chars().count();
        *text = Value::from("*".repeat(length));
    }
}

fn html_escaped(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    escaped.replace('"', "&quot;").replace('\'', "&#39;").replace('[', "&#91;").replace(']', "&#x5D;")
}

/// In the Unicode form with letters and their marks apart, as far as the texts of tests need it.
fn decomposed(text: &str) -> String {
    const MARKS: [(&str, &str, char); 5] = [
        ("àèìòùÀÈÌÒÙ", "aeiouAEIOU", '\u{300}'),
        ("áéíóúÁÉÍÓÚ", "aeiouAEIOU", '\u{301}'),
        ("âêîôûÂÊÎÔÛ", "aeiouAEIOU", '\u{302}'),
        ("ãõñÃÕÑ", "aonAON", '\u{303}'),
        ("äëïöüÄËÏÖÜ", "aeiouAEIOU", '\u{308}'),
    ];
    let apart = |letter: char| {
        let of_mark = |&(marked, plain, mark): &(&str, &str, char)| {
            let (_, plain) = marked.chars().zip(plain.chars()).find(|(marked, _)| *marked == letter)?;
            Some(format!("{plain}{mark}"))
        };
        MARKS.iter().find_map(of_mark).unwrap_or_else(|| letter.to_string())
    };
    text.chars().map(apart).collect()
}

/// In the wide forms of ASCII letters and signs, which are equal in a comparison by NFKC.
fn full_width(text: &str) -> String {
    let wide = |letter: char| match letter {
        '!'..='~' => char::from_u32(u32::from(letter) + 0xfee0).unwrap_or(letter),
        _ => letter,
    };
    text.chars().map(wide).collect()
}

fn truncated(text: &str, random: &mut fastrand::Rng) -> String {
    let length = text.chars().count();
    text.chars().take(random.usize(..length.max(1))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item() -> Value {
        json!({
            "id": "139f6a5f", "etag": "\"e\"", "version": "\"e\"", "state": "enabled", "createdAt": 5_000_000,
            "name": "Zürich <1>", "description": " für\n100 % [request 8f1f]", "createdClient": "demo",
            "connectionSpec": {"id": "cc6a", "version": "1.0"}, "auth": {"params": {"clientId": "canary"}},
        })
    }

    #[test]
    fn an_item_is_altered_in_every_way_and_keeps_its_id() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut descriptions = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let mut altered = item();
            alter(&mut altered, &mut random);
            assert_eq!(altered["id"], "139f6a5f");
            descriptions.insert(altered["description"].as_str().map(str::to_owned));
        }
        for expected in [
            "für\n100 % [request 8f1f]",
            " FÜR\n100 % [REQUEST 8F1F]",
            " für\r\n100 % [request 8f1f]",
            " für\n100 % &#91;request 8f1f&#x5D;",
            "%20f%C3%BCr%0A100%20%25%20%5Brequest%208f1f%5D",
            " fu\u{308}r\n100 % [request 8f1f]",
            " für\n100",
        ] {
            assert!(descriptions.contains(&Some(expected.to_owned())), "{expected}");
        }
        assert!(descriptions.contains(&None));
    }

    #[test]
    fn an_item_that_is_not_a_connection_stays_unchanged() {
        for mut odd in [json!(null), json!([]), json!({}), json!({"id": 5, "description": 7})] {
            let before = odd.clone();
            alter(&mut odd, &mut fastrand::Rng::with_seed(7));
            assert_eq!(odd, before);
        }
    }
}
