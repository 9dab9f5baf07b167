//! The calls that are measured, as the bytes of their messages.

use std::{
    fmt,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{BufMut as _, Bytes};
use hubspot_connection_service::proto::{
    CreateHubSpotConnectionRequest, GetHubSpotConnectionRequest, HubSpotCredentials,
};
use prost::Message;

/// The calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// A creation with a request id.
    Create,
    /// A creation without a request id.
    CreateWithoutId,
    Get,
    Health,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::CreateWithoutId => "create without a request id",
            Self::Get => "get",
            Self::Health => "health check",
        })
    }
}

impl Workload {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Create | Self::CreateWithoutId => {
                "/hubspot_connection.v1.HubSpotConnectionService/CreateHubSpotConnection"
            }
            Self::Get => "/hubspot_connection.v1.HubSpotConnectionService/GetHubSpotConnection",
            Self::Health => "/grpc.health.v1.Health/Check",
        }
    }
}

/// As many digits as the last group of a UUID has.
const PLACEHOLDER: &str = "000000000000";
const ID: &str = "139f6a5f-a78b-4744-9f6a-000000000000";

/// Creations never share a name or a request id, and creations of different runs hardly ever do.
static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(fastrand::u64(..1 << 47)));

/// The messages of one workload: the same bytes except for a number.
#[derive(Clone, Debug)]
pub(crate) struct Messages {
    template: Arc<[u8]>,
    positions: Arc<[usize]>,
}

impl Messages {
    pub(crate) fn new(workload: Workload) -> Self {
        let message = match workload {
            Workload::Create => create(ID).encode_to_vec(),
            Workload::CreateWithoutId => create("").encode_to_vec(),
            Workload::Get => {
                GetHubSpotConnectionRequest { id: ID.to_owned(), sandbox_name: String::new() }.encode_to_vec()
            }
            Workload::Health => Vec::new(),
        };
        // The compression flag (off) and the length.
        let mut template = vec![0];
        template.put_u32(message.len().try_into().unwrap());
        template.extend_from_slice(&message);
        let is_create = matches!(workload, Workload::Create | Workload::CreateWithoutId);
        let is_place = |at: &usize| template[*at..].starts_with(PLACEHOLDER.as_bytes());
        let positions = (0..template.len()).filter(is_place).filter(|_| is_create).collect();
        Self { template: template.into(), positions }
    }

    pub(crate) fn next(&self) -> Bytes {
        let mut message = self.template.to_vec();
        if !self.positions.is_empty() {
            let number = format!("{:012x}", NEXT.fetch_add(1, Ordering::Relaxed));
            for position in &*self.positions {
                message[*position..*position + PLACEHOLDER.len()].copy_from_slice(number.as_bytes());
            }
        }
        message.into()
    }
}

/// With credentials as long as HubSpot's.
pub(crate) fn create(request_id: &str) -> CreateHubSpotConnectionRequest {
    CreateHubSpotConnectionRequest {
        name: format!("HubSpot {PLACEHOLDER}"),
        description: "The HubSpot account of the marketing department".to_owned(),
        credentials: Some(HubSpotCredentials {
            client_id: "4f2c1a9e-7b36-4d0e-9c55-2e8f71b6a3d4".to_owned(),
            client_secret: "b81d6c2f-0e47-4a93-8f1b-6d5c92e7304a".to_owned(),
            access_token: "CJTb4aHnMhIHAAEAQAAAARjQ".repeat(10),
            refresh_token: "9e3b7a51-c4d2-4f86-a0e9-17f5b28c6d43".to_owned(),
        }),
        request_id: request_id.to_owned(),
        ..CreateHubSpotConnectionRequest::default()
    }
}
