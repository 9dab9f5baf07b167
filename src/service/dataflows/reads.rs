//! What a creation depends on, read from Adobe concurrently.

use tokio::time::Instant;

use super::{
    error::{CreateDataflowError, Part},
    fit::Known,
    specs::Specs,
};
use crate::{
    adobe::{CallError, Platform, Refusal, TableParameter},
    domain::{
        CheckName, Column, ConnectionRef,
        dataflow::{NewDataflow, NewDataset, Schema, SchemaId, SchemaSource, Target},
    },
    service::columns::{Unread, columns},
};

/// What could be read, and why the rest could not.
#[derive(Debug, Default)]
pub(super) struct Reads {
    pub(super) columns: Option<Vec<Column>>,
    pub(super) parameter: Option<TableParameter>,
    /// Where it is needed.
    pub(super) tenant: Option<String>,
    /// The schema, where it exists before.
    pub(super) schema: Option<Schema>,
    /// In the order of the checks.
    pub(super) errors: Vec<(CheckName, CreateDataflowError)>,
}

type Read<T> = Result<T, (CheckName, CreateDataflowError)>;

impl Reads {
    pub(super) async fn of<P: Platform>(
        platform: &P,
        specs: &Specs,
        dataflow: &NewDataflow,
        deadline: Instant,
    ) -> Self {
        let this = Reader { platform, dataflow, deadline };
        let (connection, columns, parameter, schema, tenant) = tokio::join!(
            this.connection(),
            this.columns(),
            specs.table_parameter(platform, &dataflow.sandbox, deadline),
            this.schema(),
            this.tenant(),
        );
        let mut reads = Self::default();
        let errors = &mut reads.errors;
        errors.extend(connection.err());
        reads.columns = columns.map_err(|error| errors.push(error)).ok();
        let parameter = parameter.map_err(call(CheckName::FlowSpec, Part::FlowSpec));
        reads.parameter = parameter.map_err(|error| errors.push(error)).ok();
        reads.schema = schema.map_err(|error| errors.push(error)).ok().flatten();
        reads.tenant = tenant.map_err(|error| errors.push(error)).ok().flatten();
        reads
    }

    pub(super) fn known(&self, now_ms: i64) -> Known<'_> {
        let (columns, tenant) = (self.columns.as_deref(), self.tenant.as_deref());
        Known { columns, schema: self.schema.as_ref(), tenant, now_ms }
    }
}

struct Reader<'a, P> {
    platform: &'a P,
    dataflow: &'a NewDataflow,
    deadline: Instant,
}

impl<P: Platform> Reader<'_, P> {
    fn at(&self) -> ConnectionRef {
        ConnectionRef { sandbox: self.dataflow.sandbox.clone(), id: self.dataflow.connection.clone() }
    }

    /// Makes sure that the connection is to HubSpot.
    async fn connection(&self) -> Read<()> {
        let is_missing = match self.platform.get_connection(&self.at(), self.deadline).await {
            Ok(connection) => connection.is_none(),
            Err(CallError::OtherSource) => true,
            Err(error) if error.refusal() == Some(Refusal::NotFound) => true,
            Err(error) => return Err(call(CheckName::Connection, Part::Connection)(error)),
        };
        if is_missing {
            let error = CreateDataflowError::ConnectionNotFound(self.dataflow.connection.clone());
            return Err((CheckName::Connection, error));
        }
        Ok(())
    }

    async fn columns(&self) -> Read<Vec<Column>> {
        let (platform, table) = (self.platform, &self.dataflow.table);
        columns(platform, &self.at(), table, self.deadline).await.map_err(|unread| match unread {
            Unread::NoTable => (CheckName::Table, CreateDataflowError::TableNotFound(table.clone())),
            Unread::Refused(error) | Unread::Failed(error) => call(CheckName::Table, Part::Table)(error),
        })
    }

    /// The schema, where it exists before: that of the dataset, or the one that is named.
    async fn schema(&self) -> Read<Option<Schema>> {
        let Self { platform, dataflow: NewDataflow { sandbox, target, .. }, deadline } = self;
        let id: SchemaId = match target {
            Target::NewDataset(NewDataset { schema: SchemaSource::Table(_), .. }) => return Ok(None),
            Target::NewDataset(NewDataset { schema: SchemaSource::Existing(id), .. }) => id.clone(),
            Target::Dataset(id) => {
                let failed = call(CheckName::Dataset, Part::Dataset);
                let dataset = platform.get_dataset(sandbox, id, *deadline).await.map_err(&failed)?;
                let missing = || (CheckName::Dataset, CreateDataflowError::DatasetNotFound(id.clone()));
                let dataset = dataset.ok_or_else(missing)?;
                let unreadable = || CallError::Undecodable("the dataset names no schema".into());
                dataset.schema.ok_or_else(|| failed(unreadable()))?.id
            }
        };
        let schema = platform.get_schema(sandbox, &id, *deadline).await;
        match schema.map_err(call(CheckName::Schema, Part::Schema))? {
            Some(schema) => Ok(Some(schema)),
            None => Err((CheckName::Schema, CreateDataflowError::SchemaNotFound(id))),
        }
    }

    /// The tenant, where fields below it are made, or looked for.
    async fn tenant(&self) -> Read<Option<String>> {
        let makes_schema = matches!(
            &self.dataflow.target,
            Target::NewDataset(NewDataset { schema: SchemaSource::Table(_), .. })
        );
        if !makes_schema && !self.dataflow.mappings.is_empty() {
            return Ok(None);
        }
        let tenant = self.platform.tenant(&self.dataflow.sandbox, self.deadline).await;
        tenant.map(Some).map_err(call(CheckName::Schema, Part::Schema))
    }
}

/// A failed call, as the finding of a check.
pub(super) fn call(check: CheckName, part: Part) -> impl Fn(CallError) -> (CheckName, CreateDataflowError) {
    move |error| (check, CreateDataflowError::Call { part, error })
}
