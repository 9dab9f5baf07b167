//! What runs bring into a dataset.

use super::*;

async fn read(chain: &Chain, path: &str) -> Value {
    chain.caller.platform(Method::GET, path, &json!({})).await
}

fn planned(flow: &str, outcome: Outcome) -> PlannedRun {
    PlannedRun {
        flow: flow.to_owned(),
        outcome,
        input_records: Some(4),
        failed_records: None,
        message: None,
        count: 1,
    }
}

#[tokio::test]
async fn a_run_adds_a_batch_to_its_dataset() {
    let chain = Chain::new().await;
    let flow = chain.new_flow(&chain.once(later())).await;
    let (dataset, id) = (format!("/catalog/dataSets/{}", chain.dataset), &chain.dataset);
    let batches = format!("/catalog/batches?dataSet={id}");
    assert_eq!(read(&chain, &batches).await, json!({}));
    assert_eq!(read(&chain, &dataset).await[id].get("lastBatchId"), None);

    chain.make_run(planned(&flow, Outcome::Succeeded));
    let found = read(&chain, &batches).await;
    let (batch, content) = found.as_object().unwrap().iter().next().unwrap();
    assert_eq!(content["status"], "success");
    assert_eq!(content["relatedObjects"], json!([{"type": "dataSet", "id": id}]));
    assert_eq!(content["metrics"]["recordsWritten"], 4);
    assert_eq!(read(&chain, &format!("/catalog/batches/{batch}")).await, found);
    let shown = read(&chain, &dataset).await[id].clone();
    assert_eq!((&shown["lastBatchId"], &shown["lastBatchStatus"]), (&json!(batch), &json!("success")));
    assert_eq!(read(&chain, "/catalog/batches?dataSet=other").await, json!({}));
    assert_eq!(read(&chain, "/catalog/batches?status=failed").await, json!({}));

    chain.make_run(planned(&flow, Outcome::FailedIngest));
    let failed = read(&chain, &format!("{batches}&status=failed&orderBy=desc:created&limit=1")).await;
    let failed = failed.as_object().unwrap().keys().next().unwrap();
    let shown = read(&chain, &dataset).await[id].clone();
    assert_eq!((&shown["lastBatchId"], &shown["lastBatchStatus"]), (&json!(failed), &json!("failed")));
    assert_eq!(shown["lastSuccessfulBatch"], json!(batch));
}
