//! JSON log lines in the form of `tracing_subscriber::fmt`, at a fraction of its cost: `fmt` parses the JSON of a
//! span's fields again for each line, and for each field that is recorded later. Here fields are written once.

use std::{cell::Cell, fmt, io::Write as _, time::SystemTime};

use serde::Serialize;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, fmt::MakeWriter, layer::Context, registry::LookupSpan};

thread_local! {
    /// The memory of a line, kept for the next one.
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Writes each event as one line, with the fields of the innermost span.
#[derive(Debug)]
pub(super) struct Json<W>(pub(super) W);

impl<S, W> Layer<S> for Json<W>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            // Enough for a call.
            let mut fields = SpanFields { json: Vec::with_capacity(384), starts: Vec::with_capacity(8) };
            attributes.record(&mut fields.visitor());
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<SpanFields>()
        {
            record.record(&mut fields.visitor());
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = LINE.take();
        line.clear();
        let metadata = event.metadata();
        // `humantime` cannot format a time before 1970.
        let now = humantime::format_rfc3339_micros(SystemTime::now().max(SystemTime::UNIX_EPOCH));
        // Writing to memory does not fail.
        let _ = write!(line, r#"{{"timestamp":"{now}","level":"{}""#, metadata.level());
        event.record(&mut Fields { json: &mut line, starts: None });
        add(&mut line, "target", metadata.target());
        if let Some(span) = context.event_span(event) {
            line.extend_from_slice(br#","span":{"name":"#);
            add_value(&mut line, span.name());
            if let Some(fields) = span.extensions().get::<SpanFields>() {
                line.extend_from_slice(&fields.json);
            }
            line.push(b'}');
        }
        line.extend_from_slice(b"}\n");
        // A broken log cannot be logged.
        let _ = self.0.make_writer_for(metadata).write_all(&line);
        LINE.set(line);
    }
}

/// The fields of a span, each as `,"name":value`, and where each begins.
struct SpanFields {
    json: Vec<u8>,
    starts: Vec<(&'static str, usize)>,
}

impl SpanFields {
    fn visitor(&mut self) -> Fields<'_> {
        Fields { json: &mut self.json, starts: Some(&mut self.starts) }
    }
}

/// Writes fields as `,"name":value`.
struct Fields<'a> {
    json: &'a mut Vec<u8>,
    /// For a span, whose fields can be recorded again.
    starts: Option<&'a mut Vec<(&'static str, usize)>>,
}

impl Fields<'_> {
    fn add(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        if let Some(starts) = &mut self.starts {
            remove(self.json, starts, field.name());
            starts.push((field.name(), self.json.len()));
        }
        add(self.json, field.name(), value);
    }
}

/// Removes the earlier value of a field.
fn remove(json: &mut Vec<u8>, starts: &mut Vec<(&'static str, usize)>, name: &str) {
    let Some(index) = starts.iter().position(|(other, _)| *other == name) else { return };
    let (_, start) = starts.remove(index);
    let end = starts.get(index).map_or(json.len(), |(_, next)| *next);
    json.drain(start..end);
    for (_, later) in &mut starts[index..] {
        *later -= end - start;
    }
}

fn add(json: &mut Vec<u8>, name: &str, value: &(impl Serialize + ?Sized)) {
    // Field names are Rust identifiers, and need no escaping.
    json.extend_from_slice(b",\"");
    json.extend_from_slice(name.as_bytes());
    json.extend_from_slice(b"\":");
    add_value(json, value);
}

fn add_value(json: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Neither writing to memory nor serializing a number or a text fails.
    let _ = serde_json::to_writer(json, value);
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tracing::field::Empty;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::telemetry::testing::Captured;

    /// What is logged, without the time.
    fn logged(log: impl FnOnce()) -> Vec<Value> {
        let captured = Captured::default();
        let subscriber = tracing_subscriber::registry().with(Json(captured.writer()));
        tracing::subscriber::with_default(subscriber, log);
        let text = captured.text();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let without_time = |mut line: Value| {
            let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
            assert!(humantime::parse_rfc3339(time.as_str().unwrap()).is_ok(), "{time}");
            line
        };
        lines.map(without_time).collect()
    }

    #[test]
    fn a_field_has_the_type_that_it_has_in_the_program() {
        let lines = logged(|| {
            tracing::warn!(
                target: "t",
                number = 1.5,
                nan = f64::NAN,
                negative = -1_i64,
                positive = u64::MAX,
                yes = true,
                text = "\"\\\n\u{1}ä",
                shown = %"a\tb",
                debugged = ?Some("x"),
                absent = None::<&str>,
                "the {}",
                "message"
            );
        });
        let expected = json!({
            "level": "WARN", "target": "t", "message": "the message", "number": 1.5, "nan": null,
            "negative": -1, "positive": u64::MAX, "yes": true, "text": "\"\\\n\u{1}ä", "shown": "a\tb",
            "debugged": "Some(\"x\")",
        });
        assert_eq!(lines, [expected]);
    }

    #[test]
    fn a_line_has_the_fields_of_the_innermost_span_as_they_are_at_the_time() {
        let lines = logged(|| {
            let outer = tracing::info_span!("outer", hidden = 1).entered();
            let inner = tracing::info_span!("inner", a = "1", b = Empty, c = Empty);
            inner.record("c", 3);
            inner.in_scope(|| tracing::info!(target: "t", "first"));
            inner.record("a", "longer").record("b", true).record("c", 4);
            inner.in_scope(|| tracing::info!(target: "t", "second"));
            drop(outer);
            tracing::info!(target: "t", "third");
        });
        let spans: Vec<_> = lines.iter().map(|line| line.get("span").cloned()).collect();
        let first = json!({"name": "inner", "a": "1", "c": 3});
        let second = json!({"name": "inner", "a": "longer", "b": true, "c": 4});
        assert_eq!(spans, [Some(first), Some(second), None]);
    }
}
