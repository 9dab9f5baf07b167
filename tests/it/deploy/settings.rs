//! Settings, files, ports and probes, compared with the code.

use std::collections::BTreeMap;

use hubspot_connection_service::{config::SETTINGS, grpc::SERVICE_NAME};
use serde_json::{Value, json};

use super::manifests::{Manifests, text};
use crate::support::{Mount, Process, certificates::Authority};

const ETC: &str = "/etc/hubspot-connection-service/";

/// Variables of other standards.
const STANDARD: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_RESOURCE_ATTRIBUTES"];

#[test]
fn every_variable_is_a_setting_and_no_secret_is_given_as_it_is() {
    for manifests in Manifests::all() {
        let environment = manifests.environment();
        for name in environment.keys() {
            let is_setting = SETTINGS.iter().any(|setting| {
                (setting.name == name && !setting.secret) || setting.file_variable().as_ref() == Some(name)
            });
            // Variables that others refer to.
            let is_referred_to = environment.values().any(|value| value.contains(&format!("$({name})")));
            assert!(
                is_setting || STANDARD.contains(&&**name) || is_referred_to,
                "{}: {name}",
                manifests.name
            );
        }
    }
}

/// A directory of the service's files: its mount path and its possible files.
fn mounted(manifests: &Manifests) -> BTreeMap<String, Vec<&'static str>> {
    let pod = manifests.service_pod();
    let volumes = pod.spec["volumes"].as_array().unwrap();
    let mounts = pod.spec["containers"][0]["volumeMounts"].as_array().unwrap().iter();
    mounts
        .map(|mount| {
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
            let source = &volume["secret"]["secretName"];
            let files = match source.as_str().unwrap_or_else(|| text(&volume["configMap"]["name"])) {
                "hubspot-connection-service" => vec!["client-secret", "fingerprint-key", "redis-url"],
                // The files that cert-manager writes.
                "hubspot-connection-service-tls" => vec!["tls.crt", "tls.key", "ca.crt"],
                // The one that Kubernetes writes, and one of deploy/README.md.
                "kube-root-ca.crt" | "hubspot-connection-service-redis-ca" => vec!["ca.crt"],
                other => panic!("{other}"),
            };
            assert_eq!(mount["readOnly"], true);
            // A file that is mounted by itself is never replaced.
            assert_eq!(mount["subPath"], Value::Null);
            (text(&mount["mountPath"]).to_owned(), files)
        })
        .collect()
}

#[test]
fn every_file_of_a_setting_is_in_a_mounted_secret() {
    for manifests in Manifests::all() {
        let mounted = mounted(&manifests);
        let environment = manifests.environment();
        let files = environment.iter().filter(|(name, path)| name.ends_with("_FILE") && !path.is_empty());
        for (name, path) in files {
            let (directory, file) = path.rsplit_once('/').unwrap();
            assert!(mounted.get(directory).is_some_and(|files| files.contains(&file)), "{name}={path}");
        }
    }
}

/// Exit status and errors of `check-config` with the environment of the manifests and files like the
/// mounted ones.
pub(super) async fn check_config(environment: &BTreeMap<String, String>) -> (Option<i32>, String) {
    let authority = Authority::new("authority");
    let server = authority.server(1);
    // Only with TLS is there an authority of Redis.
    let redis_url = if environment.contains_key("HCS_REDIS_CA_FILE") {
        "rediss://hubspot-connection-service:password@redis.example.com:6380"
    } else {
        "redis://hubspot-connection-service:password@hubspot-connection-service-redis:6379"
    };
    let files = Mount::new(&[
        ("client-secret", "p8e-secret"),
        ("fingerprint-key", "0123456789abcdef0123456789abcdef"),
        ("redis-url", redis_url),
        ("tls.crt", &server.certificate_pem),
        ("tls.key", &server.key_pem),
        ("ca.crt", &authority.pem),
    ]);
    let here = |path: &str| match path.strip_prefix(ETC).and_then(|path| path.split_once('/')) {
        Some((_, file)) => files.path(file),
        None => path.to_owned(),
    };
    let environment: Vec<_> = environment.iter().map(|(name, value)| (&**name, here(value))).collect();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, &**value)).collect();
    let (status, output) = Process::run(&["check-config"], &environment).await;
    (status.code(), output.stderr().into_owned())
}

#[tokio::test]
async fn the_service_takes_the_configuration_of_every_overlay() {
    for manifests in Manifests::all() {
        let (status, errors) = check_config(&manifests.environment()).await;
        assert_eq!(status, Some(0), "{}: {errors}", manifests.name);
    }
}

/// A setting that an overlay lacks prevents the start, instead of leaving the service open to everyone.
#[tokio::test]
async fn without_tls_or_an_explicit_setting_the_service_does_not_start() {
    let Some(demo) = Manifests::of("demo") else { return };
    let mut environment = demo.environment();
    environment.remove("HCS_INSECURE");
    let (status, errors) = check_config(&environment).await;
    assert_eq!(status, Some(64));
    assert!(errors.contains("HCS_LISTEN: an address beyond loopback needs TLS"), "{errors}");
}

#[test]
fn ports_are_those_that_the_service_listens_on() {
    for manifests in Manifests::all() {
        let environment = manifests.environment();
        let port = |name: &str| environment[name].rsplit(':').next().unwrap().parse::<u16>().unwrap();
        let (grpc, admin) = (port("HCS_LISTEN"), port("HCS_ADMIN_LISTEN"));
        assert_eq!((grpc, admin), (50051, 9090));

        let pod = manifests.service_pod();
        let container = &pod.spec["containers"][0];
        let ports = json!([
            {"name": "grpc", "containerPort": grpc},
            {"name": "admin", "containerPort": admin},
        ]);
        assert_eq!(container["ports"], ports);
        let names = ["startupProbe", "readinessProbe", "livenessProbe"];
        let [startup, readiness, liveness] = names.map(|probe| &container[probe]);
        // A pod that waits for what each call needs is not ready, and restarting it would not help.
        assert_eq!(startup["httpGet"], json!({"path": "/livez", "port": "admin"}));
        assert_eq!(readiness["grpc"], json!({"port": admin, "service": SERVICE_NAME}));
        assert_eq!(liveness["httpGet"], json!({"path": "/livez", "port": "admin"}));

        for (service, names) in [
            ("hubspot-connection-service", &[("grpc", grpc), ("admin", admin)][..]),
            ("hubspot-connection-service-headless", &[("grpc", grpc)]),
        ] {
            let spec = &manifests.get("Service", service)["spec"];
            let ports = spec["ports"].as_array().unwrap().iter();
            let ports: Vec<_> =
                ports.map(|port| (&port["name"], &port["port"], &port["targetPort"])).collect();
            let expected: Vec<_> = names.iter().map(|(name, port)| (json!(name), json!(port))).collect();
            assert_eq!(ports, expected.iter().map(|(name, port)| (name, port, name)).collect::<Vec<_>>());
            let selector = spec["selector"].as_object().unwrap();
            assert!(selector.iter().all(|(name, value)| pod.labels[name] == *value), "{selector:?}");
        }
        let headless = manifests.get("Service", "hubspot-connection-service-headless");
        assert_eq!(headless["spec"]["clusterIP"], "None");
    }
}

#[test]
fn a_pod_has_more_time_to_end_than_the_service_takes() {
    for manifests in Manifests::all() {
        let environment = manifests.environment();
        let seconds = |name: &str| environment[name].strip_suffix('s').unwrap().parse::<u64>().unwrap();
        let drain = seconds("HCS_DRAIN_DELAY") + seconds("HCS_DRAIN_TIMEOUT");
        let pod = manifests.service_pod().spec;
        let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        // The process gets the signal only after that.
        let before = &pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"];
        assert_eq!(grace, before.as_u64().unwrap_or(0) + 40);
        assert!(drain + 5 <= 40);
        // A process that hangs serves nobody while preStop runs.
        for probe in ["startupProbe", "livenessProbe"] {
            let after_it = &pod["containers"][0][probe]["terminationGracePeriodSeconds"];
            let expected = if before.is_null() { Value::Null } else { json!(10) };
            assert_eq!(after_it, &expected, "{}: {probe}", manifests.name);
        }
    }
}

#[test]
fn a_changed_setting_rolls_the_pods() {
    for manifests in Manifests::all() {
        let pod = manifests.service_pod();
        let name = text(&pod.spec["containers"][0]["envFrom"][0]["configMapRef"]["name"]).to_owned();
        let hash = name.strip_prefix("hubspot-connection-service-").unwrap();
        assert_eq!(hash.len(), 10, "{name}");
    }
}
