//! What a creation would do: checks everything against Adobe's services, and creates nothing.

use tokio::time::Instant;

use super::{Dataflows, error::CreateDataflowError};
use crate::{
    adobe::Platform,
    domain::{
        CallProgress, Check,
        dataflow::{DataflowResources, FieldMapping, NewDataflow, StartTime},
    },
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
        _dataflow: &NewDataflow,
        _deadline: Instant,
        _call: &CallProgress,
    ) -> Result<Plan, CreateDataflowError> {
        unimplemented!()
    }
}
