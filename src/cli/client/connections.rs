//! `connections`: base connections to HubSpot.

use std::ffi::OsString;

use clap::{Arg, ArgGroup, ArgMatches, Command};

use super::{
    Problem,
    arguments::{deletion, flag, id, name, optional_text, page_size, paging, request_id, subcommand, text},
    confirmation::confirm,
    creation, credentials,
    failure::Failure,
    options::Options,
    output,
    page::Page,
    service::Service,
    show,
};
use crate::{
    cli::option,
    proto::{
        CreateHubSpotConnectionRequest, DeleteHubSpotConnectionRequest, GetHubSpotConnectionRequest,
        GetHubSpotTableRequest, ListHubSpotConnectionsRequest, ListHubSpotTablesRequest,
        TestHubSpotConnectionRequest, UpdateHubSpotConnectionRequest, UpdateHubSpotConnectionResponse,
        Verification,
    },
};

const ID: &str = "ID of the connection";

pub(super) fn command() -> Command {
    let description = || option("description", "TEXT", "Description");
    let create =
        subcommand("create", "Create a connection, whatever fails in between: retries with one request id")
            .args([name("Name of the connection").required(true), description(), credentials::file_option()])
            .args([
                request_id(),
                option("verify", "HOW", "Test the connection: report the result, or require a success")
                    .value_parser(["report", "require"]),
                flag("dry-run", "Check everything, and create nothing"),
            ]);
    let update = subcommand("update", "Change the name, the description or the credentials")
        .args([id(ID), name("New name"), description(), credentials::file_option()])
        .arg(
            flag("ask-credentials", "Ask for new credentials on the terminal")
                .conflicts_with("credentials-file"),
        )
        .args([
            option("etag", "ETAG", "Change only this version"),
            flag("dry-run", "Check everything, and change nothing"),
        ])
        .group(
            ArgGroup::new("changes")
                .args(["name", "description", "credentials-file", "ask-credentials"])
                .multiple(true)
                .required(true),
        );
    let list = subcommand("list", "List the connections of a sandbox")
        .args([
            name("Only those with exactly this name"),
            option("request-id", "UUID", "Only the one that this request created"),
            flag("count", "Only their number"),
        ])
        .args(paging());
    let table: Arg = Arg::new("table").value_name("TABLE").required(true).help("Path of the table");
    Command::new("connections").about("Create and manage connections through a running service").subcommands(
        [
            create,
            subcommand("get", "Show a connection, never with its secrets").arg(id(ID)),
            list,
            update,
            subcommand("delete", "Delete a connection, unless a dataflow uses it")
                .arg(id(ID))
                .args(deletion()),
            subcommand("test", "Test a connection, and show which check failed").arg(id(ID)),
            subcommand("tables", "List the tables of a connection").arg(id(ID)),
            subcommand("columns", "List the columns of a table").args([id(ID), table]),
        ],
    )
}

pub(super) async fn run(
    command: &str,
    matches: &ArgMatches,
    arguments: &[OsString],
    options: &Options,
) -> Result<(), Problem> {
    let sandbox_name = options.sandbox.clone();
    match command {
        "create" => Box::pin(create(matches, arguments, options)).await,
        "get" => show(options, GetHubSpotConnectionRequest { id: text(matches, "id"), sandbox_name }).await,
        "list" => list(matches, options).await,
        "update" => update(matches, options).await,
        "delete" => {
            let id = text(matches, "id");
            confirm(matches, &format!("the connection {id}"))?;
            let allow_missing = matches.get_flag("allow-missing");
            show(options, DeleteHubSpotConnectionRequest { id, sandbox_name, allow_missing }).await
        }
        "test" => {
            let request = TestHubSpotConnectionRequest { id: text(matches, "id"), sandbox_name };
            let response = Service::new(options)?.call(request).await?;
            output::print::<TestHubSpotConnectionRequest>(options.format, &response, "")?;
            let passed = response.result.is_some_and(|result| result.passed);
            if passed { Ok(()) } else { Err(Problem::Check) }
        }
        "tables" => show(options, ListHubSpotTablesRequest { id: text(matches, "id"), sandbox_name }).await,
        _ => {
            let (id, table) = (text(matches, "id"), text(matches, "table"));
            show(options, GetHubSpotTableRequest { id, sandbox_name, table }).await
        }
    }
}

async fn create(matches: &ArgMatches, arguments: &[OsString], options: &Options) -> Result<(), Problem> {
    let credentials = match credentials::from_file(matches)? {
        Some(credentials) => credentials,
        None => credentials::from_prompt()?,
    };
    let verification = match optional_text(matches, "verify").as_deref() {
        Some("require") => Verification::Require,
        Some(_) => Verification::Report,
        None => Verification::Unspecified,
    };
    options.warn_of_plaintext("the credentials")?;
    creation::run(matches, arguments, options, |request_id| CreateHubSpotConnectionRequest {
        name: text(matches, "name"),
        description: text(matches, "description"),
        credentials: Some(credentials),
        sandbox_name: options.sandbox.clone(),
        request_id,
        validate_only: matches.get_flag("dry-run"),
        verification: verification.into(),
    })
    .await
}

async fn list(matches: &ArgMatches, options: &Options) -> Result<(), Problem> {
    let request = ListHubSpotConnectionsRequest {
        sandbox_name: options.sandbox.clone(),
        page_size: page_size(matches),
        page_token: text(matches, "page-token"),
        name: text(matches, "name"),
        count_only: matches.get_flag("count"),
        request_id: text(matches, "request-id"),
    };
    let count_only = request.count_only;
    let response = Service::new(options)?.call(request).await?;
    let page = Page { count: count_only.then_some(response.total_size), next: &response.next_page_token };
    page.print::<ListHubSpotConnectionsRequest>(options.format, &response)
}

async fn update(matches: &ArgMatches, options: &Options) -> Result<(), Problem> {
    let credentials = match credentials::from_file(matches)? {
        None if matches.get_flag("ask-credentials") => Some(credentials::from_prompt()?),
        given => given,
    };
    if credentials.is_some() {
        options.warn_of_plaintext("the credentials")?;
    }
    let request = UpdateHubSpotConnectionRequest {
        id: text(matches, "id"),
        sandbox_name: options.sandbox.clone(),
        etag: text(matches, "etag"),
        name: optional_text(matches, "name"),
        description: optional_text(matches, "description"),
        credentials,
        validate_only: matches.get_flag("dry-run"),
    };
    if !request.validate_only {
        return show(options, request).await;
    }
    let response = Service::new(options)?.call(request).await?;
    output::print::<UpdateHubSpotConnectionRequest>(options.format, &response, "")?;
    if !is_of_dry_run(&response) {
        return Err(Failure::dry_run_ignored().into());
    }
    let failed = output::has_failed_check::<UpdateHubSpotConnectionRequest>(&response);
    if failed { Err(Problem::Check) } else { Ok(()) }
}

/// Whether an update was only checked: a server that does not know of that makes the change.
fn is_of_dry_run(response: &UpdateHubSpotConnectionResponse) -> bool {
    response.id.is_empty() && response.etag.is_empty() && !response.checks.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Check;

    #[test]
    fn the_response_of_a_server_that_ignores_a_dry_run_is_recognized() {
        let nothing = UpdateHubSpotConnectionResponse::default();
        let checked = UpdateHubSpotConnectionResponse { checks: vec![Check::default()], ..nothing.clone() };
        assert!(is_of_dry_run(&checked));
        let changed = |id: &str, etag: &str| UpdateHubSpotConnectionResponse {
            id: id.to_owned(),
            etag: etag.to_owned(),
            ..checked.clone()
        };
        for ignored in [nothing, changed("c", ""), changed("", "e")] {
            assert!(!is_of_dry_run(&ignored), "{ignored:?}");
        }
    }
}
