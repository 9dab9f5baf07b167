//! `compose.yaml`: the service on a laptop.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, process::Command};

use serde_json::Value;

use super::{README, deploy, manifests::text, redis_users::users, settings::check_config, tools};
use crate::support::Mount;

const SERVICE: &str = "hubspot-connection-service";

fn compose() -> Option<Value> {
    let yaml = fs::read_to_string(deploy().join("compose.yaml")).unwrap();
    tools::are_installed()
        .then(|| serde_json::from_str::<Value>(&tools::script("yaml_to_json.py", &yaml)).unwrap()[0].take())
}

/// The environment of a service: its files, then its own variables.
fn environment(service: &Value) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::new();
    for file in service["env_file"].as_array().unwrap() {
        let lines = fs::read_to_string(deploy().join(text(file))).unwrap();
        let variables =
            lines.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        environment.extend(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let own = service["environment"].as_object().unwrap();
    environment.extend(own.iter().map(|(name, value)| (name.clone(), text(value).to_owned())));
    environment
}

#[test]
fn the_compose_file_matches_the_schema_of_the_compose_specification() {
    if !tools::are_installed() {
        return;
    }
    let file = deploy().join("compose.yaml");
    let arguments = ["--builtin-schema", "vendor.compose-spec", file.to_str().unwrap()];
    let output = tools::run("check-jsonschema", &arguments);
    assert!(output.status.success(), "{}", tools::text(&output.stdout));
}

#[tokio::test]
async fn the_service_takes_the_configuration_of_the_compose_file() {
    let Some(compose) = compose() else { return };
    let environment = environment(&compose["services"][SERVICE]);
    let (status, errors) = check_config(&environment).await;
    assert_eq!(status, Some(0), "{errors}");
    // Request ids are shared and survive a restart.
    assert!(environment.contains_key("HCS_REDIS_URL_FILE"));
    let mounted: Vec<_> = compose["services"][SERVICE]["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|secret| text(&secret["target"]))
        .collect();
    let files = environment.iter().filter(|(name, _)| name.ends_with("_FILE"));
    for (name, path) in files {
        assert!(mounted.contains(&&**path), "{name}={path}");
    }
}

#[test]
fn every_port_is_for_this_machine_only_and_every_container_is_confined() {
    let Some(compose) = compose() else { return };
    for (name, service) in compose["services"].as_object().unwrap() {
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(text(port).starts_with("127.0.0.1:"), "{name}: {port}");
        }
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
    }
}

#[test]
fn the_commands_of_the_readme_make_every_secret() {
    let Some(compose) = compose() else { return };
    let (_, section) = README.split_once("\n## On a laptop, in containers\n").unwrap();
    let (_, block) = section.split_once("```sh\ncd deploy\n").unwrap();
    let (commands, _) = block.split_once("docker compose").unwrap();
    let folder = Mount::new(&[("unrelated", "")]);
    let unrelated = folder.path("unrelated");
    let (folder, _) = unrelated.rsplit_once('/').unwrap();
    symlink(deploy().join("components"), format!("{folder}/components")).unwrap();
    let made = Command::new("sh").args(["-euc", commands]).current_dir(folder).status().unwrap();
    assert!(made.success());

    let read = |name: &str| {
        let path = text(&compose["secrets"][name]["file"]);
        fs::read_to_string(format!("{folder}/{path}")).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    for name in compose["secrets"].as_object().unwrap().keys() {
        assert!(!read(name).is_empty(), "{name}");
    }
    assert!(read("fingerprint-key").len() >= 32);
    assert_eq!(read("client-secret"), hubspot_connection_service::emulator::CLIENT_SECRET);
    let password = read("redis-url");
    let password = password.strip_prefix("redis://hubspot-connection-service:").unwrap();
    assert_eq!(read("redis-users"), users(password.split('@').next().unwrap()));
}
