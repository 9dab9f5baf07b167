//! HubSpotDataflowService.

mod convert;
mod render;
mod service;
mod status;

pub(super) use self::service::Dataflows;
