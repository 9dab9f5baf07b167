//! Evictions, drains and rollouts: what the manifests have to agree on. `rolling/evictions.rs` shows it with processes.

use std::fs;

use serde_json::{Value, json};

use super::{
    README, deploy,
    manifests::{Manifests, text},
};

/// The shortest time between two DNS queries of a gRPC client with the settings of the examples, in seconds.
const DNS_INTERVAL: u64 = 10;
/// How long a cache of DNS keeps a response: the longest time that Kubernetes' DNS servers allow by default.
const DNS_CACHE: u64 = 30;
/// How long it takes at most until a pod that becomes ready, or begins to stop, is in DNS or no longer in it.
const PROPAGATION: u64 = 5;

/// A client asks DNS when a connection ends, unless it has asked a moment ago. The budget leaves one pod less than
/// wanted, and two of three are always in DNS. So if each address in a response works until the client may ask again
/// and gets a fresh response, it always knows one that works, however quickly the pods are evicted.
#[test]
fn an_evicted_pod_works_until_callers_can_know_its_successor() {
    for manifests in Manifests::all() {
        let pod = manifests.service_pod().spec;
        let sleep = &pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"];
        if manifests.of_kind("PodDisruptionBudget").is_empty() {
            // With one replica, nothing replaces it before it has ended.
            assert_eq!(sleep, &Value::Null, "{}", manifests.name);
            continue;
        }
        let sleep = sleep.as_u64().unwrap();
        assert!(sleep >= DNS_INTERVAL + DNS_CACHE + PROPAGATION, "{sleep}");
        let budget = &manifests.get("PodDisruptionBudget", "hubspot-connection-service")["spec"];
        assert_eq!(budget["maxUnavailable"], 1);
        let scaler = manifests.get("HorizontalPodAutoscaler", "hubspot-connection-service");
        assert!(scaler["spec"]["minReplicas"].as_u64().unwrap() >= 3);
        // Only ready pods that do not stop are in DNS.
        let headless = &manifests.get("Service", "hubspot-connection-service-headless")["spec"];
        assert_eq!(headless["publishNotReadyAddresses"], false);
        // A pod that has crashed, or is new, is not kept waiting.
        assert_eq!(pod["containers"][0]["readinessProbe"]["initialDelaySeconds"], Value::Null);
    }
}

#[test]
fn every_example_for_callers_asks_dns_as_often_as_the_manifests_rely_on() {
    let examples = deploy().join("../proto/examples");
    let seconds = format!("SetMinResolutionInterval({DNS_INTERVAL} * time.Second)");
    let milliseconds = format!("dns_min_time_between_resolutions_ms\", {DNS_INTERVAL}_000)");
    let javascript = format!("dns_min_time_between_resolutions_ms\": {DNS_INTERVAL}_000");
    let java = ["System", "Security"]
        .map(|of| format!("{of}.setProperty(\"networkaddress.cache.ttl\", \"{DNS_INTERVAL}\")"));
    for (example, settings) in [
        ("go/main.go", &[&seconds][..]),
        ("java/src/main/java/Create.java", &[&java[0], &java[1]]),
        ("python/create.py", &[&milliseconds]),
        ("typescript/src/create.ts", &[&javascript]),
    ] {
        let source = fs::read_to_string(examples.join(example)).unwrap();
        assert!(settings.iter().all(|setting| source.contains(&***setting)), "{example}");
    }
    assert!(README.contains(&seconds) && README.contains(&milliseconds));
}

/// A node that fails does not have all pods, and no node has to have one: neither in a cluster of one node nor while
/// another one is drained.
#[test]
fn pods_are_on_several_nodes_if_there_are_several_that_accept_them() {
    for manifests in Manifests::all() {
        let spec = manifests.service_pod().spec;
        let Some(constraints) = spec["topologySpreadConstraints"].as_array() else { continue };
        let selector = &manifests.get("Deployment", "hubspot-connection-service")["spec"]["selector"];
        for constraint in constraints {
            assert_eq!(&constraint["labelSelector"], selector);
            // Otherwise a drained node would count as an empty one, and the pods from it would stay Pending.
            assert_eq!(constraint["nodeTaintsPolicy"], "Honor");
            // In a rollout, old pods must not count.
            assert_eq!(constraint["matchLabelKeys"], json!(["pod-template-hash"]));
            assert_eq!(constraint["minDomains"], Value::Null);
        }
        let hard: Vec<_> = constraints
            .iter()
            .filter(|constraint| constraint["whenUnsatisfiable"] == "DoNotSchedule")
            .collect();
        assert_eq!(hard.len(), 1);
        assert_eq!(text(&hard[0]["topologyKey"]), "kubernetes.io/hostname");
        let scaler = manifests.get("HorizontalPodAutoscaler", "hubspot-connection-service");
        // Less than all of them.
        assert!(hard[0]["maxSkew"].as_u64() < scaler["spec"]["minReplicas"].as_u64());
    }
}
