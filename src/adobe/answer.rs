pub(crate) mod advice;
pub(crate) mod classify;
pub(crate) mod error_body;
pub(crate) mod presentable;
pub(crate) mod reply;
pub(crate) mod retry_after;
