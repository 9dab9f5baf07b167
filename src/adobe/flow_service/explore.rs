//! What the Flow Service finds out at HubSpot: `/connections/{id}/test` and `/connections/{id}/explore`;
//! and what it says of HubSpot, `/connectionSpecs/{id}`.

use futures_util::FutureExt as _;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use crate::adobe::{
    client::call::Call,
    flow_service::{EXPLORE, HttpFlowService, SPEC, TEST, connections::with_query},
};
use crate::{
    adobe::{CallError, Refusal, flow_service::wire},
    domain::{Column, ConnectionRef, SandboxName, Table, TablePath},
    secret::redaction::without,
};

impl HttpFlowService {
    pub(crate) async fn test(&self, at: &ConnectionRef, deadline: Instant) -> Result<bool, CallError> {
        let url = self.url_of(&at.id, Some("test"));
        let call = Call { is_its_own: false, ..Call::get(url, TEST, &at.sandbox, &["result"]) };
        self.call(&call, deadline, |body| wire::read_test(body)).await
    }

    pub(crate) async fn tables(
        &self,
        at: &ConnectionRef,
        deadline: Instant,
    ) -> Result<Vec<Table>, CallError> {
        let call = self.explore(at, &[("objectType", "root")], &["items"]);
        self.call(&call, deadline, |body| wire::read_tables(body)).await
    }

    pub(crate) async fn columns(
        &self,
        at: &ConnectionRef,
        table: &TablePath,
        deadline: Instant,
    ) -> Result<Vec<Column>, CallError> {
        let parameters = [("objectType", "table"), ("object", table.as_str())];
        let call = self.explore(at, &parameters, &["schema", "columns"]);
        self.call(&call, deadline, |body| wire::read_columns(body)).await
    }

    /// Adobe's OpenAPI document writes the types of objects in upper case, its tutorials and its
    /// connection specifications in lower case.
    fn explore<'a>(
        &self,
        at: &'a ConnectionRef,
        parameters: &[(&str, &str)],
        fields: &'static [&'static str],
    ) -> Call<'a> {
        let url = with_query(self.url_of(&at.id, Some("explore")), parameters);
        Call { is_its_own: false, ..Call::get(url, EXPLORE, &at.sandbox, fields) }
    }

    pub(crate) async fn drift(
        &self,
        sandbox: &SandboxName,
        deadline: Instant,
    ) -> Result<Vec<String>, CallError> {
        let call = Call::get(self.spec.clone(), SPEC, sandbox, &["items", "authSpec"]);
        let without_token = |drift: Vec<String>| match self.tokens.token().now_or_never() {
            Some(Ok(token)) => drift.iter().map(|text| without(text, &[token.expose_secret()])).collect(),
            Some(Err(_)) | None => drift,
        };
        match self.call(&call, deadline, |body| wire::spec_drift(body).map(without_token)).await {
            Err(error) if error.refusal() == Some(Refusal::NotFound) => {
                Ok(vec!["it does not exist any more".to_owned()])
            }
            drift => drift,
        }
    }
}
