//! HubSpotConnectionService.

mod convert;
mod render;
mod service;
mod status;

pub(super) use self::{
    service::Connections,
    status::{not_found, table_not_found},
};
