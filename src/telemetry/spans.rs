//! The spans of traces: one for a call, and below it one for each request to Adobe.
//!
//! They are no spans of the log: those exist to give its lines their fields, and are always there. The
//! context of a span travels with the tasks as OpenTelemetry's current context. Where nothing is
//! exported a span is nothing but the context of its parent, which is passed on as it came.

use std::{borrow::Cow, sync::OnceLock};

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, TraceContextExt as _, TraceId, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;

/// Set once, where traces are exported.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// From here on spans are made.
pub(super) fn make_with(tracer: SdkTracer) {
    // The first one stays: a process has one.
    let _ = TRACER.set(tracer);
}

/// Begins a span.
pub(crate) fn begin(
    parent: &Context,
    kind: SpanKind,
    name: impl FnOnce() -> Cow<'static, str>,
    attributes: impl FnOnce() -> Vec<KeyValue>,
) -> Context {
    match TRACER.get() {
        None => parent.clone(),
        Some(tracer) => {
            let span = tracer.span_builder(name()).with_kind(kind).with_attributes(attributes());
            parent.with_span(span.start_with_context(tracer, parent))
        }
    }
}

/// The trace that a context belongs to.
pub(crate) fn trace_id(context: &Context) -> Option<TraceId> {
    let id = context.span().span_context().trace_id();
    (id != TraceId::INVALID).then_some(id)
}

/// Notes something about the call: in the lines of the log, and in the span of its trace. `field` is one
/// of those that the span of the log has.
pub(crate) fn note(field: &'static str, value: &str) {
    tracing::Span::current().record(field, value);
    Context::map_current(|context| {
        let span = context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new(format!("hubspot_connection.{field}"), value.to_owned()));
        }
    });
}
