//! What a run with a dataflow is about.

/// Where the dataflow writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum To {
    #[default]
    Dataset,
    NewDataset,
    NewSchema,
}

/// What else happens to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum Fate {
    #[default]
    Kept,
    /// The creation is withdrawn so many milliseconds after the first call.
    Withdrawn(u64),
    /// The dataflow is deleted by its ID once it is created.
    Deleted,
}

/// What lists do not show of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum Hidden {
    #[default]
    Nothing,
    Description,
    Source,
}

/// A dataflow, and how Adobe treats it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Variant {
    pub(in super::super) to: To,
    pub(in super::super) fate: Fate,
    pub(in super::super) hidden: Hidden,
    /// What Adobe always refuses to create.
    pub(in super::super) refused: Option<&'static str>,
    /// How many seconds after the first call it starts, where the caller says so.
    pub(in super::super) start_after: Option<i64>,
    /// Whether those who create call only once.
    pub(in super::super) leaves: bool,
    /// How many seconds something new cannot be read by its ID.
    pub(in super::super) unread: u64,
    /// How many seconds lists still show what is deleted.
    pub(in super::super) stale: u64,
    /// Different orders of concurrent calls.
    pub(in super::super) order: u64,
}

impl Variant {
    pub(in super::super) fn writing(to: To) -> Self {
        Self { to, ..Self::default() }
    }

    pub(in super::super) fn withdrawn(self, after_ms: u64) -> Self {
        Self { fate: Fate::Withdrawn(after_ms), ..self }
    }

    pub(in super::super) fn deleted(self) -> Self {
        Self { fate: Fate::Deleted, ..self }
    }

    pub(in super::super) fn hiding(self, hidden: Hidden) -> Self {
        Self { hidden, ..self }
    }

    pub(in super::super) fn starting_after(self, seconds: i64) -> Self {
        Self { start_after: Some(seconds), ..self }
    }

    pub(in super::super) fn refused(self, what: &'static str) -> Self {
        Self { refused: Some(what), ..self }
    }
}
