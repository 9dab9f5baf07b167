//! Reads replies: what an error body says, who sent it, what it means, and what to do about it.

pub(crate) mod advice;
pub(crate) mod author;
pub(crate) mod classify;
pub(crate) mod error_body;
pub(crate) mod presentable;
pub(crate) mod problem;
pub(crate) mod reply;
pub(crate) mod success;
