//! Every pod has as few privileges as it needs.

use std::fs;

use serde_json::{Value, json};

use super::{
    deploy,
    manifests::{Manifests, text},
};

#[test]
fn every_pod_is_restricted() {
    for manifests in Manifests::with_callers() {
        for pod in manifests.pods() {
            let (spec, owner) = (pod.spec, &pod.owner);
            let security = &spec["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{owner}");
            assert_eq!(
                (&security["runAsUser"], &security["runAsGroup"]),
                (&json!(65532), &json!(65532)),
                "{owner}"
            );
            assert_eq!(security["seccompProfile"], json!({"type": "RuntimeDefault"}), "{owner}");
            assert_eq!(spec["automountServiceAccountToken"], false, "{owner}");
            assert_eq!(spec["enableServiceLinks"], false, "{owner}");
            for host in ["hostNetwork", "hostPID", "hostIPC", "hostUsers"] {
                assert_eq!(spec[host], Value::Null, "{owner}: {host}");
            }
            for container in pod.containers() {
                assert_eq!(
                    container["securityContext"],
                    json!({
                        "allowPrivilegeEscalation": false,
                        "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"]},
                    }),
                    "{owner}"
                );
                for bound in ["requests", "limits"] {
                    for resource in ["cpu", "memory", "ephemeral-storage"] {
                        assert!(
                            container["resources"][bound][resource].is_string(),
                            "{owner}: {bound}.{resource}"
                        );
                    }
                }
                assert_eq!(container["imagePullPolicy"], "IfNotPresent", "{owner}");
                let image = text(&container["image"]);
                assert!(image.contains(':') && !image.ends_with(":latest"), "{owner}: {image}");
            }
            let allowed = ["configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"];
            for volume in spec["volumes"].as_array().into_iter().flatten() {
                assert!(allowed.iter().any(|kind| volume[kind].is_object()), "{owner}: {volume}");
            }
        }
        for account in manifests.of_kind("ServiceAccount") {
            assert_eq!(account["automountServiceAccountToken"], false, "{account}");
        }
    }
}

#[test]
fn secrets_are_files_that_only_the_process_can_read() {
    for manifests in Manifests::with_callers() {
        for pod in manifests.pods() {
            for container in pod.containers() {
                let whole = container.to_string();
                assert!(!whole.contains("secretKeyRef") && !whole.contains("secretRef"), "{}", pod.owner);
            }
            for volume in pod.spec["volumes"].as_array().into_iter().flatten() {
                for kind in ["secret", "projected"].into_iter().filter(|kind| volume[kind].is_object()) {
                    assert_eq!(volume[kind]["defaultMode"], 0o440, "{}: {volume}", pod.owner);
                    assert_eq!(pod.spec["securityContext"]["fsGroup"], 65532, "{}", pod.owner);
                }
            }
        }
    }
}

#[test]
fn a_network_policy_covers_every_pod_in_both_directions() {
    for manifests in Manifests::with_callers() {
        let policies = manifests.of_kind("NetworkPolicy");
        for pod in manifests.pods() {
            for direction in ["Ingress", "Egress"] {
                let covers = |policy: &&&Value| {
                    let selector = policy["spec"]["podSelector"]["matchLabels"].as_object().unwrap();
                    let types = policy["spec"]["policyTypes"].as_array().unwrap();
                    selector.iter().all(|(name, value)| pod.labels[name] == *value)
                        && types.contains(&json!(direction))
                };
                assert!(policies.iter().any(|policy| covers(&policy)), "{}: {direction}", pod.owner);
            }
        }
        for policy in policies {
            // An empty rule allows everything.
            for rules in ["ingress", "egress"] {
                for rule in policy["spec"][rules].as_array().into_iter().flatten() {
                    let ports = rule["ports"].as_array().unwrap();
                    assert!(!ports.is_empty() && ports.iter().all(|port| port["port"].is_u64()), "{policy}");
                }
            }
        }
    }
}

#[test]
fn production_has_no_shortcut_and_no_secret() {
    for overlay in ["production", "production-external-redis"] {
        let Some(production) = Manifests::of(overlay) else { return };
        let environment = production.environment();
        for shortcut in [
            "HCS_INSECURE",
            "HCS_UPSTREAM_ALLOW_HTTP",
            "HCS_JWT_ALLOW_HTTP",
            "HCS_ACCESS_TOKEN",
            "HCS_ACCESS_TOKEN_FILE",
        ] {
            assert!(!environment.contains_key(shortcut), "{shortcut}");
        }
        assert!(environment.contains_key("HCS_CALLERS"));
        assert!(production.of_kind("Secret").is_empty());
        assert!(production.documents.iter().all(|document| !document.to_string().contains("emulator")));
    }
}

/// One overlay is the other one with another Redis.
#[test]
fn both_production_overlays_are_the_same_but_for_redis() {
    let file = |overlay: &str, name: &str| {
        fs::read_to_string(deploy().join("overlays").join(overlay).join(name)).unwrap()
    };
    let [own, external] = ["production", "production-external-redis"];
    assert_eq!(file(own, "certificate.yaml"), file(external, "certificate.yaml"));
    let settings = file(external, "settings.env");
    let (common, of_redis) = settings.split_once("# The authority of the Redis server").unwrap();
    assert_eq!(common, file(own, "settings.env"));
    assert!(of_redis.lines().skip(1).all(|line| line.starts_with('#') || line.starts_with("HCS_REDIS_")));
}

#[test]
fn no_namespace_is_taken_for_granted() {
    for manifests in Manifests::all() {
        for document in &manifests.documents {
            // Where cert-manager looks for the Secrets of ClusterIssuers.
            let cert_manager =
                text(&document["metadata"]["name"]).starts_with("hubspot-connection-service-cluster-");
            let namespace = if cert_manager { json!("cert-manager") } else { Value::Null };
            assert_eq!(document["metadata"]["namespace"], namespace, "{}: {document}", manifests.name);
        }
    }
}

#[test]
fn several_replicas_share_a_store_and_one_that_shares_none_is_alone() {
    for manifests in Manifests::all() {
        let deployment = manifests.get("Deployment", "hubspot-connection-service");
        let shares = manifests.environment().contains_key("HCS_REDIS_URL_FILE");
        if manifests.of_kind("HorizontalPodAutoscaler").is_empty() {
            assert_eq!(deployment["spec"]["replicas"], 1);
            assert_eq!(deployment["spec"]["strategy"], json!({"type": "Recreate"}));
            continue;
        }
        assert!(shares, "{}", manifests.name);
        assert_eq!(deployment["spec"]["replicas"], Value::Null, "the autoscaler sets it");
        let strategy = &deployment["spec"]["strategy"];
        assert_eq!(strategy["rollingUpdate"], json!({"maxUnavailable": 0, "maxSurge": 1}));
        let scaler = manifests.get("HorizontalPodAutoscaler", "hubspot-connection-service");
        assert_eq!(scaler["spec"]["scaleTargetRef"]["name"], "hubspot-connection-service");
        assert!(scaler["spec"]["minReplicas"].as_u64().unwrap() > 2);
        let budget = manifests.get("PodDisruptionBudget", "hubspot-connection-service");
        let selector = &deployment["spec"]["selector"];
        assert_eq!(&budget["spec"]["selector"], selector);
    }
}

#[test]
fn redis_keeps_what_it_has_acknowledged_and_shows_no_password() {
    for manifests in [Manifests::of("demo"), Manifests::of("production")].into_iter().flatten() {
        let redis = manifests.get("StatefulSet", "hubspot-connection-service-redis");
        let container = &redis["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["command"], json!(["redis-server", "/etc/redis/conf/redis.conf"]));
        assert_eq!((&container["args"], &container["env"]), (&Value::Null, &Value::Null));
        let volumes = &redis["spec"]["template"]["spec"]["volumes"];
        let settings = manifests.get("ConfigMap", text(&volumes[0]["configMap"]["name"]));
        let lines: Vec<_> = text(&settings["data"]["redis.conf"]).lines().collect();
        for line in [
            "appendonly yes",
            "appendfsync always",
            "maxmemory-policy noeviction",
            "aclfile /etc/redis/acl/users.acl",
        ] {
            assert!(lines.contains(&line), "{line}");
        }
    }
    let Some(production) = Manifests::of("production") else { return };
    let redis = production.get("StatefulSet", "hubspot-connection-service-redis");
    assert_eq!(redis["spec"]["volumeClaimTemplates"][0]["metadata"]["name"], "data");
}
