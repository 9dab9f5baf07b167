//! The requests about connections that exist.

use super::{Error, Violations, optional, resolve};
use crate::{
    domain::{
        ConnectionChanges, ConnectionName, ConnectionRef, Description, Etag, Invalid, InvalidReason,
        RequestId, SandboxName, Sandboxes, TablePath,
    },
    grpc::page_token,
    proto,
    service::{Filter, ListHubSpotConnections, UpdateHubSpotConnection},
};

const DEFAULT_PAGE_SIZE: u8 = 50;
const LARGEST_PAGE_SIZE: u8 = 100;

/// Turns the fields that name a connection into where it is.
pub(crate) fn connection(
    id: &str,
    sandbox_name: &str,
    sandboxes: &Sandboxes,
) -> Result<ConnectionRef, Error> {
    let mut violations = Violations::default();
    match violations.connection(id, sandbox_name) {
        Some(found) => resolve(found, sandboxes),
        None => Err(Error::Invalid(violations.0)),
    }
}

/// What is asked for by a request to list connections.
#[derive(Debug)]
pub(crate) enum List {
    /// The connections.
    Page(ListHubSpotConnections),
    /// Their number, of all or of those that the filters select.
    Count { sandbox: SandboxName, filter: Filter },
}

/// Turns a request to list connections into the command.
pub(crate) fn list(
    request: proto::ListHubSpotConnectionsRequest,
    sandboxes: &Sandboxes,
) -> Result<List, Error> {
    let proto::ListHubSpotConnectionsRequest {
        sandbox_name,
        page_size,
        page_token,
        name,
        count_only,
        request_id,
    } = request;
    let mut violations = Violations::default();
    let sandbox = violations.check("sandbox_name", optional(&sandbox_name, SandboxName::parse));
    let page_size = violations.check("page_size", parse_page_size(page_size));
    if count_only && !page_token.is_empty() {
        let conflict = Invalid::new(InvalidReason::Conflicting, "must be empty where count_only is set");
        violations.check::<()>("page_token", Err(conflict));
    }
    let request_id = violations.check("request_id", optional(&request_id, RequestId::parse));
    let (Some(sandbox), Some(page_size), Some(request_id), true) =
        (sandbox, page_size, request_id, violations.0.is_empty())
    else {
        return Err(Error::Invalid(violations.0));
    };
    let sandbox = sandboxes.resolve(sandbox).map_err(Error::SandboxNotAllowed)?;
    let filter = Filter { name: Some(name).filter(|name| !name.is_empty()), request_id };
    if count_only {
        return Ok(List::Count { sandbox, filter });
    }
    let page = optional(&page_token, |token| page_token::decode(token, &sandbox, &filter));
    match violations.check("page_token", page) {
        Some(page) => Ok(List::Page(ListHubSpotConnections { sandbox, filter, page_size, page })),
        None => Err(Error::Invalid(violations.0)),
    }
}

fn parse_page_size(page_size: i32) -> Result<u8, Invalid> {
    match u8::try_from(page_size) {
        Ok(0) => Ok(DEFAULT_PAGE_SIZE),
        Err(_) if page_size < 0 => {
            Err(Invalid::new(InvalidReason::OutOfRange, "must not be negative: 1 to 100, or 0 for 50"))
        }
        // A client that asks for more gets as much as there is (AIP-158).
        Ok(page_size) => Ok(page_size.min(LARGEST_PAGE_SIZE)),
        Err(_) => Ok(LARGEST_PAGE_SIZE),
    }
}

/// Turns a request to change a connection into the command.
pub(crate) fn update(
    request: proto::UpdateHubSpotConnectionRequest,
    sandboxes: &Sandboxes,
) -> Result<UpdateHubSpotConnection, Error> {
    let proto::UpdateHubSpotConnectionRequest { id, sandbox_name, etag, name, description, credentials } =
        request;
    let mut violations = Violations::default();
    let at = violations.connection(&id, &sandbox_name);
    let etag = violations.check("etag", optional(&etag, Etag::parse));
    let name = violations.check("name", name.as_deref().map(ConnectionName::parse).transpose());
    let description =
        violations.check("description", description.as_deref().map(Description::parse).transpose());
    let credentials = match credentials {
        None => Some(None),
        some => violations.credentials(some).map(Some),
    };
    let (Some(at), Some(etag), Some(name), Some(description), Some(credentials)) =
        (at, etag, name, description, credentials)
    else {
        return Err(Error::Invalid(violations.0));
    };
    match violations.check("name", ConnectionChanges::new(name, description, credentials)) {
        Some(changes) => Ok(UpdateHubSpotConnection { at: resolve(at, sandboxes)?, etag, changes }),
        None => Err(Error::Invalid(violations.0)),
    }
}

/// Turns a request for a table into where it is.
pub(crate) fn table(
    request: &proto::GetHubSpotTableRequest,
    sandboxes: &Sandboxes,
) -> Result<(ConnectionRef, TablePath), Error> {
    let proto::GetHubSpotTableRequest { id, sandbox_name, table } = request;
    let mut violations = Violations::default();
    let at = violations.connection(id, sandbox_name);
    let table = violations.check("table", TablePath::parse(table));
    match at.zip(table) {
        Some((at, table)) => Ok((resolve(at, sandboxes)?, table)),
        None => Err(Error::Invalid(violations.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{adobe::PageToken, domain::AllowedSandboxes, grpc::convert::violated};

    fn sandboxes() -> Sandboxes {
        Sandboxes::new(SandboxName::parse("prod").unwrap(), AllowedSandboxes::Any).unwrap()
    }

    #[test]
    fn a_page_has_fifty_connections_unless_another_size_is_asked_for() {
        let size = |page_size| proto::ListHubSpotConnectionsRequest { page_size, ..Default::default() };
        for (asked, given) in [(0, 50), (1, 1), (100, 100), (101, 100), (256 + 50, 100), (i32::MAX, 100)] {
            match list(size(asked), &sandboxes()).unwrap() {
                List::Page(command) => assert_eq!(command.page_size, given),
                List::Count { .. } => panic!("a count"),
            }
        }
        for asked in [-1, -256 + 50, i32::MIN] {
            let violations = violated(list(size(asked), &sandboxes()));
            assert_eq!(violations, [("page_size", InvalidReason::OutOfRange)], "{asked}");
        }
    }

    #[test]
    fn a_list_can_be_of_one_creation() {
        let id = "8F1F6C0E-52A1-4D0E-9D53-6D1FB1D3E2A7";
        let created_by = |request_id: &str, count_only| {
            let request_id = request_id.to_owned();
            let request =
                proto::ListHubSpotConnectionsRequest { request_id, count_only, ..Default::default() };
            list(request, &sandboxes())
        };
        let filter = |listed| match listed {
            List::Page(command) => command.filter.request_id,
            List::Count { filter, .. } => filter.request_id,
        };
        for count_only in [false, true] {
            assert_eq!(filter(created_by("", count_only).unwrap()), None);
            assert_eq!(filter(created_by(id, count_only).unwrap()), Some(RequestId::parse(id).unwrap()));
            let invalid = violated(created_by("1", count_only));
            assert_eq!(invalid, [("request_id", InvalidReason::Malformed)]);
        }
    }

    #[test]
    fn a_page_token_belongs_to_its_query() {
        let prod = SandboxName::parse("prod").unwrap();
        let request = |token: &str, name: &str| proto::ListHubSpotConnectionsRequest {
            page_token: token.to_owned(),
            name: name.to_owned(),
            ..Default::default()
        };
        let token = page_token::encode(
            &PageToken("next".to_owned()),
            &prod,
            &Filter { name: Some("HubSpot".to_owned()), request_id: None },
        );
        assert!(list(request(&token, "HubSpot"), &sandboxes()).is_ok());
        let other_query = violated(list(request(&token, ""), &sandboxes()));
        assert_eq!(other_query, [("page_token", InvalidReason::Malformed)]);
        let count = proto::ListHubSpotConnectionsRequest { count_only: true, ..request(&token, "HubSpot") };
        assert_eq!(violated(list(count, &sandboxes())), [("page_token", InvalidReason::Conflicting)]);
    }

    #[test]
    fn an_update_names_everything_that_is_wrong_with_it() {
        let request = proto::UpdateHubSpotConnectionRequest {
            id: "a/b".to_owned(),
            sandbox_name: "Prod".to_owned(),
            etag: "a b".to_owned(),
            name: Some(String::new()),
            description: Some("x".repeat(1001)),
            credentials: Some(proto::HubSpotCredentials::default()),
        };
        assert_eq!(
            violated(update(request, &sandboxes())),
            [
                ("id", InvalidReason::Malformed),
                ("sandbox_name", InvalidReason::Malformed),
                ("etag", InvalidReason::Malformed),
                ("name", InvalidReason::Required),
                ("description", InvalidReason::TooLong),
                ("credentials.client_id", InvalidReason::Required),
                ("credentials.client_secret", InvalidReason::Required),
                ("credentials.access_token", InvalidReason::Required),
                ("credentials.refresh_token", InvalidReason::Required),
            ]
        );
    }

    #[test]
    fn an_update_changes_something() {
        let nothing = proto::UpdateHubSpotConnectionRequest { id: "a".to_owned(), ..Default::default() };
        assert_eq!(violated(update(nothing.clone(), &sandboxes())), [("name", InvalidReason::Required)]);
        let removal = proto::UpdateHubSpotConnectionRequest { description: Some(String::new()), ..nothing };
        let command = update(removal, &sandboxes()).unwrap();
        assert!(matches!(command.changes.description(), Some(None)));
    }
}
