//! What a creation would do: checks everything against Adobe's services, and creates nothing.

use tokio::time::Instant;

use super::{
    Dataflows,
    error::{CreateDataflowError, Part, Violation},
    fit::{Fit, fit, violations_of},
    reads::{Reads, call},
};
use crate::{
    adobe::{NewMappingSet, Platform, TitledKind},
    domain::{
        CallProgress, Check, CheckName, CheckState, Stage,
        dataflow::{
            DataflowResources, FieldMapping, NewDataflow, NewDataset, SchemaSource, StartTime, Target,
        },
    },
    service::finding::{finding, is_of_token, respond_by},
};

/// The result of a dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What exists already.
    pub resources: DataflowResources,
    pub mappings: Vec<FieldMapping>,
    pub unmapped_columns: Vec<String>,
    /// `None`: as soon as is safe.
    pub start: Option<StartTime>,
    /// In order: `adobe_token`, `connection`, `table`, `flow_spec`, `dataset`, `schema`, `mapping`, `schedule`.
    pub checks: Vec<Check>,
}

impl<P: Platform> Dataflows<P> {
    /// Checks a creation against Adobe's services. Violations of fields are errors, any other finding is a failed
    /// check.
    ///
    /// # Errors
    /// [`CreateDataflowError::Invalid`] and [`CreateDataflowError::TooMany`].
    pub async fn plan_hubspot_dataflow(
        &self,
        dataflow: &NewDataflow,
        deadline: Instant,
        progress: &CallProgress,
    ) -> Result<Plan, CreateDataflowError> {
        progress.enter(Stage::Read);
        let Some(_permit) = self.limits.call() else {
            self.creations.engine.metrics.shed.inc();
            return Err(CreateDataflowError::TooMany);
        };
        let deadline = respond_by(deadline);
        let platform = &*self.platform;
        let (mut reads, drift, title) = tokio::join!(
            Reads::of(platform, &self.specs, dataflow, deadline),
            self.specs.drift(platform, &dataflow.sandbox, deadline),
            title_is_free(platform, dataflow, deadline),
        );
        let mut errors = std::mem::take(&mut reads.errors);
        let drifted = match drift {
            Ok(drift) => drift,
            Err(error) => {
                errors.push(call(CheckName::FlowSpec, Part::FlowSpec)(error));
                Vec::new().into()
            }
        };
        errors.extend(title.err());
        let (fitted, mut violations) = fit(dataflow, reads.known((self.creations.engine.wall_clock)()));
        if violations.is_empty()
            && let Some(schema) = &reads.schema
            && !fitted.mappings.is_empty()
        {
            let (sandbox, mappings) = (&dataflow.sandbox, &fitted.mappings[..]);
            let set = NewMappingSet { sandbox, name: "hubspot-plan", schema: &schema.id, mappings };
            match validate(platform, dataflow, &set, deadline).await {
                Ok(()) => {}
                Err(CreateDataflowError::Invalid(found)) => violations.extend(found),
                Err(error) => errors.push((CheckName::Mapping, error)),
            }
        }
        if !violations.is_empty() {
            return Err(CreateDataflowError::Invalid(violations));
        }
        let checks = checks(dataflow, &reads, &fitted, &drifted, errors);
        let dataset = match &dataflow.target {
            Target::Dataset(id) => Some(id.clone()).filter(|_| reads.schema.is_some()),
            Target::NewDataset(_) => None,
        };
        let schema = reads.schema.map(|schema| schema.id);
        Ok(Plan {
            resources: DataflowResources { dataset, schema, ..DataflowResources::default() },
            mappings: fitted.mappings,
            unmapped_columns: fitted.unmapped_columns,
            start: dataflow.schedule.start,
            checks,
        })
    }
}

/// Lets Data Prep check mappings.
///
/// # Errors
/// [`CreateDataflowError::Invalid`] with everything that is wrong; [`CreateDataflowError::Call`].
pub(super) async fn validate<P: Platform>(
    platform: &P,
    dataflow: &NewDataflow,
    set: &NewMappingSet<'_>,
    deadline: Instant,
) -> Result<(), CreateDataflowError> {
    let found = platform.validate_mappings(set, deadline).await;
    let found = found.map_err(|error| super::refusal::at(Part::MappingSet, error))?;
    let violations: Vec<Violation> = violations_of(dataflow, set.mappings, &found);
    if violations.is_empty() { Ok(()) } else { Err(CreateDataflowError::Invalid(violations)) }
}

/// Makes sure that nothing has the title of a new schema.
async fn title_is_free<P: Platform>(
    platform: &P,
    dataflow: &NewDataflow,
    deadline: Instant,
) -> Result<(), (CheckName, CreateDataflowError)> {
    let Target::NewDataset(NewDataset { schema: SchemaSource::Table(table), .. }) = &dataflow.target else {
        return Ok(());
    };
    let title = table.title.as_str();
    let titles = platform.list_titles(&dataflow.sandbox, TitledKind::Schema, title, deadline).await;
    let titles = titles.map_err(call(CheckName::Schema, Part::Schema))?;
    match titles.into_iter().find(|known| known.title == title) {
        Some(known) => {
            let error = CreateDataflowError::TitleTaken { title: title.to_owned(), owner: known.id };
            Err((CheckName::Schema, error))
        }
        None => Ok(()),
    }
}

/// The checks up to the first that fails; those after it are skipped.
fn checks(
    dataflow: &NewDataflow,
    reads: &Reads,
    fitted: &Fit,
    drifted: &[String],
    errors: Vec<(CheckName, CreateDataflowError)>,
) -> Vec<Check> {
    let is_of_token = |error: &CreateDataflowError| matches!(error, CreateDataflowError::Call { error, .. } if is_of_token(error));
    let of_check = |(check, error): (CheckName, CreateDataflowError)| {
        let check = if is_of_token(&error) { CheckName::AdobeToken } else { check };
        (check, finding_of(&error))
    };
    let mut findings: Vec<_> = errors.into_iter().map(of_check).collect();
    if !drifted.is_empty() {
        let drifted = drifted.join("; ");
        let cure = "an operator has to look for a newer version of this service";
        let finding = format!("Adobe's flow specification is not what this service sends: {drifted}: {cure}");
        findings.push((CheckName::FlowSpec, finding));
    }
    let mut failed: Option<CheckName> = None;
    let mut check = |&name: &CheckName| {
        let found = findings.iter().find(|(check, _)| *check == name).map(|(_, finding)| finding.clone());
        let (state, message) = match (failed, found) {
            (Some(failed), _) => {
                (CheckState::Skipped, format!("not checked, because {} failed", failed.name()))
            }
            (None, Some(finding)) => {
                failed = Some(name);
                (CheckState::Failed, finding)
            }
            (None, None) => (CheckState::Passed, passed(name, dataflow, reads, fitted)),
        };
        Check { name, state, message }
    };
    CheckName::OF_DATAFLOW.iter().map(&mut check).collect()
}

/// What a check has found that passed.
fn passed(name: CheckName, dataflow: &NewDataflow, reads: &Reads, fitted: &Fit) -> String {
    let makes_dataset = matches!(dataflow.target, Target::NewDataset(_));
    match name {
        CheckName::AdobeToken => "Adobe gives this service an access token and accepts it".to_owned(),
        CheckName::Connection => "the connection is to HubSpot".to_owned(),
        CheckName::Table => {
            format!("the table has {} columns", reads.columns.as_ref().map_or(0, Vec::len))
        }
        CheckName::FlowSpec => "Adobe takes flows as this service sends them".to_owned(),
        CheckName::Dataset if makes_dataset => "a new dataset will be created".to_owned(),
        CheckName::Dataset => "the dataset exists".to_owned(),
        CheckName::Schema if reads.schema.is_none() => {
            format!("a new schema with {} fields will be created", fitted.fields.len())
        }
        CheckName::Schema => "the schema exists".to_owned(),
        CheckName::Mapping if reads.schema.is_none() => format!(
            "{} fields will be mapped, {} columns will not; Data Prep checks that once the schema exists",
            fitted.mappings.len(),
            fitted.unmapped_columns.len()
        ),
        CheckName::Mapping => format!(
            "{} fields will be mapped, {} columns will not",
            fitted.mappings.len(),
            fitted.unmapped_columns.len()
        ),
        CheckName::Schedule => "the schedule fits the table".to_owned(),
        CheckName::Sandbox
        | CheckName::ConnectionTest
        | CheckName::Tables
        | CheckName::ConnectionSpec
        | CheckName::HubspotApp
        | CheckName::HubspotRefreshToken
        | CheckName::HubspotAccessToken
        | CheckName::HubspotScopes => String::new(),
    }
}

/// What is wrong, and what to do about it.
fn finding_of(error: &CreateDataflowError) -> String {
    match error {
        CreateDataflowError::Call { part, error } => {
            finding(error, part.service(), &part.kind().replace('_', " "))
        }
        CreateDataflowError::ConnectionNotFound(_) => {
            format!("{error}: use the id of one of this sandbox")
        }
        CreateDataflowError::TableNotFound(_) => {
            format!("{error}: ListHubSpotTables shows the paths of those that it has")
        }
        CreateDataflowError::TitleTaken { .. } => {
            format!("{error}: choose another title, or set new_dataset.schema_id")
        }
        CreateDataflowError::DatasetNotFound(_) | CreateDataflowError::SchemaNotFound(_) => {
            format!("{error}: use the id of one of this sandbox")
        }
        CreateDataflowError::Invalid(_)
        | CreateDataflowError::NothingMade
        | CreateDataflowError::TakenOver
        | CreateDataflowError::Store(_)
        | CreateDataflowError::TooMany => error.to_string(),
    }
}
