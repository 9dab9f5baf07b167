//! Runs.

use hubspot_connection_service::emulator::RunOddity;

use super::*;

async fn planned(chain: &Chain, method: Method, runs: Value) -> Response {
    chain.caller.control(method, "/runs", &runs.to_string()).await
}

#[tokio::test]
async fn the_clock_makes_the_run_of_a_flow_with_the_rows_of_its_table() {
    let chain = Chain::new().await;
    chain.settings(Settings { run_delay: Duration::ZERO, ..Settings::default() });
    let start = now() + 1;
    let id = chain.new_flow(&chain.once(start)).await;
    let mut runs = chain.runs(&id).await;
    while runs.is_empty() {
        assert!(now() <= start + 30, "no run");
        tokio::task::yield_now().await;
        runs = chain.runs(&id).await;
    }
    let [run] = &runs[..] else { panic!("{runs:?}") };
    let metrics = &run["metrics"];
    assert_eq!(metrics["statusSummary"]["status"], "success");
    assert_eq!(metrics["durationSummary"]["startedAtUTC"], start * 1000);
    assert_eq!(metrics["recordSummary"]["inputRecordCount"], 5);
    assert_eq!(metrics["recordSummary"]["outputRecordCount"], 5);
    assert_eq!((&run["flowId"], run.get("state")), (&json!(id), None));
    assert_eq!(chain.caller.item_at(&format!("/runs/{}", run["id"].as_str().unwrap())).await, *run);
    assert_eq!(chain.runs(&id).await.len(), 1);
    assert_eq!(
        chain.flow(&id).await["lastRunDetails"],
        json!({"id": run["id"], "state": "success", "startedAtUTC": start * 1000, "completedAtUTC": start * 1000})
    );

    // What has started keeps its schedule and its mapping.
    let interval = json!([{"op": "replace", "path": "/scheduleParams/startTime", "value": later()}]);
    let refused = chain.patch(&format!("/flows/{id}"), &interval).await;
    assert_eq!(code_of(refused).await, "FLOW-1366-400");
}

#[tokio::test]
async fn a_plan_says_how_the_next_runs_end() {
    let chain = Chain::new().await;
    let id = chain.new_flow(&chain.once(later())).await;
    let etag = chain.flow(&id).await["etag"].clone();
    for (outcome, status, code, activities) in [
        ("succeeded", "success", None, 2),
        ("partial", "success", Some("INGEST-1212-400"), 2),
        ("failed_copy", "failed", Some("CONNECTOR-1001-500"), 1),
        ("failed_process", "failed", Some("CONNECTOR-2001-500"), 2),
        ("failed_ingest", "failed", Some("CONNECTOR-3001-500"), 2),
        ("in_progress", "inProgress", None, 1),
    ] {
        let response = planned(&chain, Method::POST, json!([{"flow": id, "outcome": outcome}])).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        let run = chain.runs(&id).await.remove(0);
        let summary = &run["metrics"]["statusSummary"];
        assert_eq!(summary["status"], status, "{outcome}");
        assert_eq!(summary["errors"][0]["code"].as_str(), code, "{outcome}");
        assert_eq!(run["activities"].as_array().unwrap().len(), activities, "{outcome}");
        let completed = run["metrics"]["durationSummary"].get("completedAtUTC");
        assert_eq!(completed.is_none(), outcome == "in_progress");
        let flow = chain.flow(&id).await;
        assert_eq!(flow["lastRunDetails"]["state"], status);
        assert_eq!(flow["etag"], etag, "a run is no change of its flow");
    }
    let counted = json!([{
        "flow": "*", "outcome": "partial", "input_records": 100, "failed_records": 3,
        "message": "three rows are odd", "count": 2,
    }]);
    assert_eq!(planned(&chain, Method::POST, counted).await.status(), StatusCode::NO_CONTENT);
    let runs = chain.runs(&id).await;
    assert_eq!(runs.len(), 8);
    for run in &runs[..2] {
        let records = &run["metrics"]["recordSummary"];
        assert_eq!((&records["outputRecordCount"], &records["failedRecordCount"]), (&json!(97), &json!(3)));
        assert_eq!(run["metrics"]["statusSummary"]["errors"][0]["message"], "three rows are odd");
    }
}

#[tokio::test]
async fn a_wrong_plan_is_explained_and_makes_nothing() {
    let chain = Chain::new().await;
    let id = chain.new_flow(&chain.once(later())).await;
    let good = json!({"flow": id, "outcome": "succeeded"});
    for (method, runs, says) in [
        (Method::PUT, json!([{"flow": id, "outcome": "exploded"}]), "failed_copy"),
        (Method::PUT, json!([{"flow": id}]), "outcome"),
        (Method::POST, json!([good, {"flow": "other", "outcome": "succeeded"}]), "other"),
        (Method::POST, json!([good, {"flow": id, "outcome": "succeeded", "times": 1}]), "times"),
    ] {
        let response = planned(&chain, method, runs.clone()).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{runs}");
        let error = body_of(response).await["error"].as_str().unwrap().to_owned();
        assert!(error.contains(says), "{runs}: {error}");
    }
    assert!(chain.runs(&id).await.is_empty());
    chain.caller.emulator.set_state(&id, "disabled");
    assert_eq!(planned(&chain, Method::POST, json!([good])).await.status(), StatusCode::BAD_REQUEST);
    let all = json!([{"flow": "*", "outcome": "succeeded"}]);
    assert_eq!(planned(&chain, Method::POST, all).await.status(), StatusCode::NO_CONTENT);
    assert!(chain.runs(&id).await.is_empty());
    assert_eq!(planned(&chain, Method::GET, json!([])).await.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn runs_are_filtered_by_flow_state_and_time() {
    let chain = Chain::new().await;
    let [first, second] =
        [chain.new_flow(&chain.once(later())).await, chain.new_flow(&chain.once(later())).await];
    for (flow, outcome) in
        [(&first, Outcome::Succeeded), (&first, Outcome::FailedCopy), (&second, Outcome::InProgress)]
    {
        chain.make_run(PlannedRun::once(flow, outcome));
    }
    let started = "metrics.durationSummary.startedAtUTC";
    for (property, count) in [
        (format!("flowId=={first}"), 2),
        (format!("flowId=={first},{second}"), 3),
        ("state==inProgress".to_owned(), 1),
        ("metrics.statusSummary.status==failed".to_owned(), 1),
        (format!("{started}>1600000000000"), 3),
        (format!("{started}%3C{}", (now() - 60) * 1000), 0),
        (format!("flowId=={first}&property={started}%3E={}", (now() + 60) * 1000), 0),
    ] {
        let found = chain.caller.items(&format!("/runs?property={property}")).await;
        assert_eq!(found.len(), count, "{property}");
    }
    let count = body_of(chain.caller.get("/runs?count=true").await).await;
    assert_eq!(count, json!({"count": 3}));
    let newest = chain.caller.items("/runs?limit=1").await;
    assert_eq!(newest[0]["flowId"], second);
}

#[tokio::test]
async fn oddities_change_the_form_of_runs_that_exist() {
    let chain = Chain::new().await;
    let id = chain.new_flow(&chain.once(later())).await;
    chain.make_run(PlannedRun::once(&id, Outcome::FailedCopy));
    let before = chain.runs(&id).await.remove(0);
    let settings = json!({"run_oddities": ["negative_counts", "activites", "seconds", "status_only"]});
    let set = chain.caller.control(Method::PUT, "/settings", &settings.to_string()).await;
    assert_eq!(set.status(), StatusCode::NO_CONTENT);
    let run = chain.runs(&id).await.remove(0);
    assert_eq!(run["metrics"]["recordSummary"]["inputRecordCount"], -1);
    let started = |run: &Value| run["metrics"]["durationSummary"]["startedAtUTC"].as_u64().unwrap();
    assert_eq!(started(&run), started(&before) / 1000);
    assert!(run.get("activities").is_none() && run["activites"].is_array(), "{run}");

    chain.make_run(PlannedRun::once(&id, Outcome::InProgress));
    let run = chain.runs(&id).await.remove(0);
    assert_eq!(run["metrics"], json!({"statusSummary": {"status": "inProgress"}}));
    let only = [RunOddity::NegativeCounts].into();
    chain.settings(Settings { run_oddities: only, ..Settings::default() });
    assert_eq!(chain.runs(&id).await[1]["activities"], before["activities"]);
}
