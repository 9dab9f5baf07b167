//! Lists that are read to their end, to find what has a certain name, tag or ID. What cannot be read may be it, and is
//! an error.

use tokio::time::Instant;

use super::{
    CallError, PageToken, PageTrail,
    client::{AdobeClient, Call},
};

/// One page.
#[derive(Debug)]
pub(crate) struct MarkerPage<T> {
    pub(crate) items: Vec<MarkerItem<T>>,
    /// The next page; `None` on the last one.
    pub(crate) next: Option<PageToken>,
}

#[derive(Debug)]
pub(crate) struct MarkerItem<T> {
    /// What tells it from the other items.
    pub(crate) id: String,
    /// `None` for one that does not match.
    pub(crate) matching: Option<T>,
}

impl AdobeClient {
    /// Reads every page, and returns what matches, each item once.
    pub(super) async fn list<'a, T: Send + 'a>(
        &'a self,
        call: impl Fn(Option<&PageToken>) -> Call<'a, MarkerPage<T>> + Send,
        deadline: Instant,
    ) -> Result<Vec<T>, CallError> {
        let (mut trail, mut next) = (PageTrail::<String>::default(), None);
        let mut found: Vec<(String, T)> = Vec::new();
        loop {
            let page = self.call(call(next.as_ref()), deadline).await?;
            let ids = page.items.iter().map(|item| Some(item.id.clone()));
            trail.follow_ids(ids, page.next.as_ref()).map_err(CallError::Undecodable)?;
            for MarkerItem { id, matching } in page.items {
                if let Some(matching) = matching
                    && found.iter().all(|(other, _)| *other != id)
                {
                    found.push((id, matching));
                }
            }
            next = page.next;
            if next.is_none() {
                return Ok(found.into_iter().map(|(_, matching)| matching).collect());
            }
        }
    }
}
