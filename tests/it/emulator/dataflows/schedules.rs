//! The schedule of a new flow.

use super::*;

#[tokio::test]
async fn each_rule_has_its_code_in_the_catalogue_of_the_settings() {
    let chain = Chain::new().await;
    let refusal = async |flow: Value, schedule: Value| {
        let mut body = flow;
        body["scheduleParams"] = schedule;
        chain.refusal(&body).await
    };
    let start = later();
    for (prefix, settings) in [
        ("FLOW", Settings::default()),
        ("CONN", Settings { source_error_prefix: "CONN".to_owned(), ..Settings::default() }),
    ] {
        chain.settings(settings);
        for (flow, schedule, code) in [
            (chain.once(start), json!({}), 1317),
            (chain.once(start), json!(null), 1317),
            (chain.once(start), json!({"startTime": start, "frequency": "month"}), 1397),
            (chain.once(start), json!({"startTime": "soon", "frequency": "once"}), 1340),
            (chain.once(start), json!({"startTime": now() - 1, "frequency": "once"}), 1360),
            (chain.once(start), json!({"startTime": start, "frequency": "once", "interval": 1}), 1361),
            (chain.hourly(start), json!({"startTime": start, "frequency": "minute", "interval": 14}), 1362),
            (chain.hourly(start), json!({"startTime": start, "frequency": "day", "interval": "x"}), 1363),
            (chain.once(start), json!({"startTime": start, "frequency": "once", "backfill": true}), 1364),
            (chain.once(start), json!({"startTime": start, "frequency": "day", "interval": 1}), 1367),
            (chain.hourly(start), json!({"startTime": start, "frequency": "once"}), 1369),
        ] {
            let found = refusal(flow, schedule.clone()).await;
            assert_eq!(found, format!("{prefix}-{code}-400"), "{schedule}");
        }
    }
    assert_eq!(chain.caller.emulator.ledger().flows, 0);
}

#[tokio::test]
async fn numbers_can_be_strings() {
    let chain = Chain::new().await;
    let start = later().to_string();
    let mut body = chain.hourly(later());
    body["scheduleParams"] = json!({"startTime": start, "frequency": "minute", "interval": "15"});
    let id = chain.new_flow(&body).await;
    assert_eq!(chain.flow(&id).await["scheduleParams"], body["scheduleParams"]);
}
