//! Lists of connections as the Flow Service may show them.

use std::time::Duration;

/// A connection with the fields that are shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) id: String,
    pub(super) etag: Option<String>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) state: String,
    pub(super) client_id: Option<String>,
    pub(super) created_at_ms: Option<i64>,
    pub(super) created_client: String,
}

/// The ways in which a list alters a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Alteration {
    #[default]
    None,
    DescriptionMissing,
    DescriptionCut,
    DescriptionTrimmed,
    DescriptionWithCrLf,
    DescriptionHtmlEscaped,
    DescriptionPercentEscaped,
    DescriptionInCapitals,
    DescriptionDecomposed,
    NameInCapitals,
    NameHtmlEscaped,
    NameDecomposed,
    NameWithoutSpaces,
    NameMissing,
    CreatedAtInSeconds,
    CreatedAtInMicroseconds,
    CreatedAtMissing,
    EtagMissing,
    ClientIdInCapitals,
    ClientIdMasked,
}

impl Alteration {
    pub(super) const ALL: [Self; 19] = [
        Self::DescriptionMissing,
        Self::DescriptionCut,
        Self::DescriptionTrimmed,
        Self::DescriptionWithCrLf,
        Self::DescriptionHtmlEscaped,
        Self::DescriptionPercentEscaped,
        Self::DescriptionInCapitals,
        Self::DescriptionDecomposed,
        Self::NameInCapitals,
        Self::NameHtmlEscaped,
        Self::NameDecomposed,
        Self::NameWithoutSpaces,
        Self::NameMissing,
        Self::CreatedAtInSeconds,
        Self::CreatedAtInMicroseconds,
        Self::CreatedAtMissing,
        Self::EtagMissing,
        Self::ClientIdInCapitals,
        Self::ClientIdMasked,
    ];

    /// Whether the remaining fields show neither its creator nor its version.
    fn hides(self) -> bool {
        matches!(self, Self::DescriptionMissing | Self::DescriptionCut | Self::EtagMissing)
    }

    pub(super) fn apply(self, mut shown: Shown) -> Shown {
        let description = |shown: &mut Shown, change: fn(&str) -> String| {
            shown.description = shown.description.as_deref().map(change);
        };
        let name = |shown: &mut Shown, change: fn(&str) -> String| {
            shown.name = shown.name.as_deref().map(change);
        };
        match self {
            Self::None => {}
            Self::DescriptionMissing => shown.description = None,
            Self::DescriptionCut => description(&mut shown, |text| text.chars().take(12).collect()),
            Self::DescriptionTrimmed => description(&mut shown, |text| text.trim().to_owned()),
            Self::DescriptionWithCrLf => description(&mut shown, |text| text.replace('\n', "\r\n")),
            Self::DescriptionHtmlEscaped => description(&mut shown, html_escaped),
            Self::DescriptionPercentEscaped => description(&mut shown, percent_escaped),
            Self::DescriptionInCapitals => description(&mut shown, str::to_uppercase),
            Self::DescriptionDecomposed => description(&mut shown, decomposed),
            Self::NameInCapitals => name(&mut shown, str::to_uppercase),
            Self::NameHtmlEscaped => name(&mut shown, html_escaped),
            Self::NameDecomposed => name(&mut shown, decomposed),
            Self::NameWithoutSpaces => name(&mut shown, |text| text.replace("  ", " ")),
            Self::NameMissing => shown.name = None,
            Self::CreatedAtInSeconds => shown.created_at_ms = shown.created_at_ms.map(|ms| ms / 1000),
            Self::CreatedAtInMicroseconds => shown.created_at_ms = shown.created_at_ms.map(|ms| ms * 1000),
            Self::CreatedAtMissing => shown.created_at_ms = None,
            Self::EtagMissing => shown.etag = None,
            Self::ClientIdInCapitals => shown.client_id = shown.client_id.map(|id| id.to_uppercase()),
            // Cut to its length, by something that looks like an ID.
            Self::ClientIdMasked => {
                let masked =
                    |id: String| id.chars().map(|c| if c == '-' { '-' } else { '0' }).collect::<String>();
                shown.client_id =
                    shown.client_id.map(|id| format!("{}{}", &id[..4], &masked(id.clone())[4..]));
            }
        }
        shown
    }
}

fn html_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn percent_escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// The one letter in the model's texts that has another form.
fn decomposed(text: &str) -> String {
    text.replace('ä', "a\u{308}")
}

/// How lists are cut into pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pages {
    #[default]
    One,
    /// Two connections each, newest first.
    OfTwo,
    /// Two connections each, oldest first.
    OldestFirst,
    /// The last page names the first one as its next.
    InALoop,
    /// Each page names itself as its next.
    Repeating,
}

/// The other connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum OtherConnections {
    /// Nothing.
    #[default]
    None,
    /// Connections with other names, from seconds to years old.
    Many,
    /// The same, with a completely unreadable connection at the end of the list.
    ManyAndAnUnreadableOne,
}

/// The behaviour of lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lists {
    /// The time until a new connection is listed.
    pub(super) lag: Duration,
    pub(super) alteration: Alteration,
    /// Whether a connection is also altered when it is read by its ID.
    pub(super) is_read_altered: bool,
    pub(super) pages: Pages,
    pub(super) others: OtherConnections,
    /// The number of seconds by which the `Date` of a response is ahead of its content.
    pub(super) date_ahead: u64,
}

impl Lists {
    pub(super) fn altered(alteration: Alteration, is_read_altered: bool) -> Self {
        Self { alteration, is_read_altered, ..Self::default() }
    }

    pub(super) fn paged(pages: Pages, others: OtherConnections) -> Self {
        Self { pages, others, ..Self::default() }
    }

    /// Whether a list can leave the outcome of a creation unknown.
    pub(super) fn can_hide_it(&self) -> bool {
        self.alteration.hides() && self.is_read_altered
    }

    /// Whether no connection can be absent.
    pub(super) fn has_no_end(&self) -> bool {
        matches!(self.pages, Pages::InALoop | Pages::Repeating)
    }

    /// Whether a connection cannot be read by its ID, so that it cannot be verified either.
    pub(super) fn can_prevent_reading(&self) -> bool {
        use Alteration::{CreatedAtMissing, EtagMissing, NameMissing};
        self.is_read_altered && matches!(self.alteration, NameMissing | CreatedAtMissing | EtagMissing)
    }

    /// One page of the connections, newest first, with the name of the next page.
    pub(super) fn page(&self, mut all: Vec<Shown>, page: Option<&str>) -> (Vec<Shown>, Option<String>) {
        if self.pages == Pages::OldestFirst {
            all.reverse();
        }
        let from: usize = page.map_or(0, |page| page.parse().unwrap());
        let size = if self.pages == Pages::One { usize::MAX } else { 2 };
        let to = from.saturating_add(size).min(all.len());
        let is_last = to == all.len();
        let next = match self.pages {
            Pages::Repeating => Some(from),
            Pages::InALoop if is_last => Some(0),
            Pages::One | Pages::OfTwo | Pages::OldestFirst if is_last => None,
            Pages::One | Pages::OfTwo | Pages::OldestFirst | Pages::InALoop => Some(to),
        };
        (all.drain(from.min(to)..to).collect(), next.map(|next| next.to_string()))
    }
}
