//! `dataflows`: dataflows, which bring tables of connections into datasets.

mod create;

use std::ffi::OsString;

use clap::{Arg, ArgGroup, ArgMatches, Command};
use prost_types::Timestamp;

use super::{
    Problem,
    arguments::{deletion, flag, id, name, page_size, paging, subcommand, text, timestamp},
    confirmation::confirm,
    options::Options,
    page::Page,
    service::Service,
    show,
};
use crate::{
    cli::option,
    domain::RequestId,
    proto::{
        DeleteHubSpotDataflowRequest, GetHubSpotDataflowRequest, ListHubSpotDataflowRunsRequest,
        ListHubSpotDataflowsRequest, PauseHubSpotDataflowRequest, ResumeHubSpotDataflowRequest, RunState,
        delete_hub_spot_dataflow_request::Dataflow,
    },
};

const ID: &str = "ID of the dataflow";
/// The states of runs, as the tables show them.
const RUN_STATES: [&str; 6] =
    ["scheduled", "queued", "in_progress", "succeeded", "partially_succeeded", "failed"];

pub(super) fn command() -> Command {
    let list = subcommand("list", "List the dataflows of a sandbox")
        .args([
            option("connection", "ID", "Only those of this connection"),
            name("Only those with exactly this name"),
            flag("count", "Only their number"),
        ])
        .args(paging());
    let delete = subcommand("delete", "Delete a dataflow and what only it uses, never data")
        .arg(Arg::new("id").value_name("ID").help(ID))
        .arg(
            option(
                "create-request-id",
                "UUID",
                "Delete what the creation with this request id has left instead",
            )
            .value_parser(RequestId::parse),
        )
        .group(ArgGroup::new("dataflow").args(["id", "create-request-id"]).required(true))
        .args(deletion());
    let time = |name, help| option(name, "TIME", help).value_parser(timestamp);
    let runs =
        subcommand("runs", "List the runs of a dataflow, with their numbers of records and their errors")
            .args([
                id(ID),
                option("state", "STATE", "Only those in this state").value_parser(RUN_STATES),
                time("after", "Only those that started after this time, as in 2030-01-31T12:00:00Z"),
                time("before", "Only those that started before this time"),
            ])
            .args(paging());
    Command::new("dataflows").about("Create and manage dataflows through a running service").subcommands([
        create::command(),
        subcommand("get", "Show a dataflow with its schedule and its last run").arg(id(ID)),
        list,
        subcommand("pause", "Stop the schedule").arg(id(ID)),
        subcommand("resume", "Continue the schedule").arg(id(ID)),
        delete,
        runs,
    ])
}

pub(super) async fn run(
    command: &str,
    matches: &ArgMatches,
    arguments: &[OsString],
    options: &Options,
) -> Result<(), Problem> {
    let sandbox_name = options.sandbox.clone();
    match command {
        "create" => Box::pin(create::run(matches, arguments, options)).await,
        "get" => show(options, GetHubSpotDataflowRequest { id: text(matches, "id"), sandbox_name }).await,
        "list" => list(matches, options).await,
        "pause" => show(options, PauseHubSpotDataflowRequest { id: text(matches, "id"), sandbox_name }).await,
        "resume" => {
            show(options, ResumeHubSpotDataflowRequest { id: text(matches, "id"), sandbox_name }).await
        }
        "delete" => delete(matches, options).await,
        _ => runs(matches, options).await,
    }
}

async fn delete(matches: &ArgMatches, options: &Options) -> Result<(), Problem> {
    let (what, dataflow) = match matches.get_one::<RequestId>("create-request-id") {
        Some(id) => (
            format!("what the creation with the request id {id} has left"),
            Dataflow::CreateRequestId(id.to_string()),
        ),
        None => {
            let id = text(matches, "id");
            (format!("the dataflow {id}"), Dataflow::Id(id))
        }
    };
    confirm(matches, &what)?;
    let request = DeleteHubSpotDataflowRequest {
        dataflow: Some(dataflow),
        sandbox_name: options.sandbox.clone(),
        allow_missing: matches.get_flag("allow-missing"),
    };
    show(options, request).await
}

async fn list(matches: &ArgMatches, options: &Options) -> Result<(), Problem> {
    let request = ListHubSpotDataflowsRequest {
        sandbox_name: options.sandbox.clone(),
        page_size: page_size(matches),
        page_token: text(matches, "page-token"),
        connection_id: text(matches, "connection"),
        name: text(matches, "name"),
        count_only: matches.get_flag("count"),
    };
    let count_only = request.count_only;
    let response = Service::new(options)?.call(request).await?;
    let page = Page { count: count_only.then_some(response.total_size), next: &response.next_page_token };
    page.print::<ListHubSpotDataflowsRequest>(options.format, &response)
}

async fn runs(matches: &ArgMatches, options: &Options) -> Result<(), Problem> {
    let state = matches.get_one::<String>("state");
    let state =
        state.and_then(|state| RunState::from_str_name(&format!("RUN_STATE_{}", state.to_uppercase())));
    let time = |argument| matches.get_one::<Timestamp>(argument).copied();
    let request = ListHubSpotDataflowRunsRequest {
        id: text(matches, "id"),
        sandbox_name: options.sandbox.clone(),
        page_size: page_size(matches),
        page_token: text(matches, "page-token"),
        state: state.unwrap_or_default().into(),
        started_after: time("after"),
        started_before: time("before"),
    };
    let response = Service::new(options)?.call(request).await?;
    let page = Page { count: None, next: &response.next_page_token };
    page.print::<ListHubSpotDataflowRunsRequest>(options.format, &response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_a_run_can_be_selected() {
        for state in RUN_STATES {
            let name = format!("RUN_STATE_{}", state.to_uppercase());
            assert!(RunState::from_str_name(&name).is_some(), "{state}");
        }
    }
}
