//! Requests become commands.

#[cfg(test)]
mod tests;

use zeroize::Zeroizing;

use crate::{
    domain::{
        ConnectionChanges, ConnectionId, ConnectionRef, Description, Etag, HubSpotCredentials, Invalid,
        InvalidReason, NewConnection, RequestId, ResourceName, SandboxName, Sandboxes, TablePath,
        Verification,
    },
    grpc::{
        page_token::{self, Query},
        violations::{Rejection, Violations, optional, parse_page_size, required},
    },
    proto,
    service::{CreateHubSpotConnection, Filter, ListHubSpotConnections, UpdateHubSpotConnection},
};

#[derive(Debug)]
pub(super) enum Create {
    Command(CreateHubSpotConnection),
    DryRun(NewConnection),
}

pub(super) fn create(
    request: proto::CreateHubSpotConnectionRequest,
    sandboxes: &Sandboxes,
) -> Result<Create, Rejection> {
    let proto::CreateHubSpotConnectionRequest {
        name,
        description,
        credentials,
        sandbox_name,
        request_id,
        validate_only,
        verification,
    } = request;

    let mut violations = Violations::new(sandboxes);
    let name = violations.check("name", ResourceName::parse(&name));
    let description = violations.check("description", Description::parse(&description));
    let credentials = parse_credentials(&mut violations, credentials);
    let sandbox = violations.sandbox(&sandbox_name);
    // A dry run ignores it.
    let request_id = if validate_only { "" } else { &request_id };
    let request_id = violations.check("request_id", optional(request_id, RequestId::parse));
    let verification = violations.check("verification", parse_verification(verification));
    let parsed = || Some((name?, description?, credentials?, sandbox?, request_id?, verification?));
    let (name, description, credentials, sandbox, request_id, verification) = violations.finish(parsed())?;

    let connection = NewConnection { sandbox, name, description, credentials };
    Ok(if validate_only {
        Create::DryRun(connection)
    } else {
        Create::Command(CreateHubSpotConnection { request_id, connection, verification })
    })
}

fn parse_credentials(
    violations: &mut Violations<'_>,
    credentials: Option<proto::HubSpotCredentials>,
) -> Option<HubSpotCredentials> {
    let credentials = credentials.ok_or_else(|| required("is required"));
    let credentials = violations.check("credentials", credentials)?;
    let proto::HubSpotCredentials { client_id, client_secret, access_token, refresh_token } = credentials;
    // The decoded values are wiped from memory. The message that they came in belongs to the codec.
    let values = [client_id, client_secret, access_token, refresh_token].map(Zeroizing::new);
    let mistakes = match HubSpotCredentials::parse(values.each_ref().map(|value| value.as_str())) {
        Ok(credentials) => return Some(credentials),
        Err(mistakes) => mistakes,
    };
    for (name, invalid) in mistakes {
        violations.check::<()>(format!("credentials.{name}"), Err(invalid));
    }
    None
}

fn parse_verification(verification: i32) -> Result<Verification, Invalid> {
    match proto::Verification::try_from(verification) {
        Ok(proto::Verification::Unspecified | proto::Verification::None) => Ok(Verification::None),
        Ok(proto::Verification::Report) => Ok(Verification::Report),
        Ok(proto::Verification::Require) => Ok(Verification::Require),
        Err(_) => Err(Invalid::new(
            InvalidReason::UnknownValue,
            "must be VERIFICATION_NONE, VERIFICATION_REPORT or VERIFICATION_REQUIRE",
        )),
    }
}

pub(super) fn connection(
    id: &str,
    sandbox_name: &str,
    sandboxes: &Sandboxes,
) -> Result<ConnectionRef, Rejection> {
    let mut violations = Violations::new(sandboxes);
    let at = parse_ref(&mut violations, id, sandbox_name);
    violations.finish(at)
}

fn parse_ref(violations: &mut Violations<'_>, id: &str, sandbox_name: &str) -> Option<ConnectionRef> {
    let id = violations.check("id", ConnectionId::parse(id));
    let sandbox = violations.sandbox(sandbox_name);
    Some(ConnectionRef { sandbox: sandbox?, id: id? })
}

#[derive(Debug)]
pub(super) enum List {
    Page(ListHubSpotConnections),
    /// Only the number of connections.
    Count {
        sandbox: SandboxName,
        filter: Filter,
    },
}

pub(super) fn list(
    request: proto::ListHubSpotConnectionsRequest,
    sandboxes: &Sandboxes,
) -> Result<List, Rejection> {
    let proto::ListHubSpotConnectionsRequest {
        sandbox_name,
        page_size,
        page_token,
        name,
        count_only,
        request_id,
    } = request;
    let mut violations = Violations::new(sandboxes);
    let sandbox = violations.sandbox(&sandbox_name);
    let page_size = violations.check("page_size", parse_page_size(page_size));
    violations.no_page_of_a_count(count_only, &page_token);
    let request_id = violations.check("request_id", optional(&request_id, RequestId::parse));
    let parsed = || Some((sandbox?, page_size?, request_id?));
    let (sandbox, page_size, request_id) = violations.finish(parsed())?;
    let filter = Filter { name: Some(name).filter(|name| !name.is_empty()), request_id };
    if count_only {
        return Ok(List::Count { sandbox, filter });
    }
    let query = Query::connections(&sandbox, &filter);
    let page = optional(&page_token, |token| page_token::decode(token, &query));
    let page = page.map_err(|invalid| Rejection::of("page_token", invalid))?;
    Ok(List::Page(ListHubSpotConnections { sandbox, filter, page_size, page }))
}

pub(super) fn update(
    request: proto::UpdateHubSpotConnectionRequest,
    sandboxes: &Sandboxes,
) -> Result<UpdateHubSpotConnection, Rejection> {
    let proto::UpdateHubSpotConnectionRequest {
        id,
        sandbox_name,
        etag,
        name,
        description,
        credentials,
        validate_only: _,
    } = request;
    let mut violations = Violations::new(sandboxes);
    let at = parse_ref(&mut violations, &id, &sandbox_name);
    let etag = violations.check("etag", optional(&etag, Etag::parse));
    let name = violations.check("name", name.as_deref().map(ResourceName::parse).transpose());
    let description =
        violations.check("description", description.as_deref().map(Description::parse).transpose());
    let credentials = match credentials {
        None => Some(None),
        some => parse_credentials(&mut violations, some).map(Some),
    };
    let changes = match (name, description, credentials) {
        (Some(name), Some(description), Some(credentials)) if violations.found.is_empty() => {
            violations.check("name", ConnectionChanges::new(name, description, credentials))
        }
        _ => None,
    };
    let parsed = || Some(UpdateHubSpotConnection { at: at?, etag: etag?, changes: changes? });
    violations.finish(parsed())
}

pub(super) fn table(
    request: &proto::GetHubSpotTableRequest,
    sandboxes: &Sandboxes,
) -> Result<(ConnectionRef, TablePath), Rejection> {
    let proto::GetHubSpotTableRequest { id, sandbox_name, table } = request;
    let mut violations = Violations::new(sandboxes);
    let at = parse_ref(&mut violations, id, sandbox_name);
    let table = violations.check("table", TablePath::parse(table));
    violations.finish(at.zip(table))
}
