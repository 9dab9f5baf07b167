//! Resources of other projects, with the definitions of those projects.

use serde_json::json;

use super::{
    README,
    manifests::{Manifests, text},
    tools,
};

/// `scanners` validates all manifests in this way, so it has to notice a mistake.
#[test]
fn a_mistake_in_a_custom_resource_is_found() {
    if !tools::are_installed() {
        return;
    }
    let certificate = |spec: &str| {
        format!(
            "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {{name: x}}\nspec: {{secretName: x, {spec}}}\n"
        )
    };
    let issuer = "issuerRef: {name: x}";
    assert_eq!(tools::custom_resources(&certificate(issuer)), Ok(vec!["Certificate/x".to_owned()]));
    for wrong in ["dnsName: [x], issuerRef: {name: x}", "issuerRef: {}", "isCA: 1, issuerRef: {name: x}"] {
        let error = tools::custom_resources(&certificate(wrong)).unwrap_err();
        assert!(error.starts_with("Certificate/x: $.spec"), "{error}");
    }
}

/// The certificates of the service and of a caller in another namespace are of one authority, which both can use.
#[test]
fn a_caller_in_another_namespace_gets_its_certificate_where_the_service_does() {
    let Some(service) = Manifests::of("approver-policy") else { return };
    let callers = Manifests::with_callers();
    let caller = callers.iter().find(|manifests| manifests.name == "certificate").unwrap();
    let issuer = json!({
        "group": "cert-manager.io", "kind": "ClusterIssuer", "name": "hubspot-connection-service",
    });
    let of_service = &service.get("Certificate", "hubspot-connection-service")["spec"];
    let of_caller = &caller.get("Certificate", "onboarding")["spec"];
    assert_eq!((&of_service["issuerRef"], &of_caller["issuerRef"]), (&issuer, &issuer));
    assert!(service.of_kind("Issuer").iter().all(|issuer| issuer["metadata"]["namespace"] == "cert-manager"));

    // The policies allow exactly that: each for one issuer, and usable by cert-manager.
    let policies = service.of_kind("CertificateRequestPolicy");
    let access = service.get("ClusterRole", "hubspot-connection-service-certificates");
    let names: Vec<_> = policies.iter().map(|policy| text(&policy["metadata"]["name"])).collect();
    assert_eq!(access["rules"][0]["resourceNames"], json!(names_in_order(&names)));
    let policy = |name: &str| &service.get("CertificateRequestPolicy", name)["spec"];
    let (server, callers) =
        (policy("hubspot-connection-service-server"), policy("hubspot-connection-service-callers"));
    for (policy, certificate) in [(server, of_service), (callers, of_caller)] {
        assert_eq!(policy["selector"]["issuerRef"], issuer);
        assert_eq!(policy["allowed"]["usages"], certificate["usages"]);
        assert_eq!(policy["allowed"]["isCA"], serde_json::Value::Null);
    }
    let Some(production) = Manifests::of("production") else { return };
    let dialled = &production.get("Certificate", "hubspot-connection-service")["spec"]["dnsNames"];
    assert_eq!(&server["allowed"]["dnsNames"]["values"], dialled);
}

/// A caller that follows the documentation is allowed, and every name is one that the policy of callers issues.
#[test]
fn the_callers_in_the_documentation_are_those_of_the_settings() {
    let Some(production) = Manifests::of("production") else { return };
    let certificate = README.split("```yaml\n").find(|block| block.contains("kind: Certificate\n")).unwrap();
    let certificate = certificate.split("```").next().unwrap();
    assert_eq!(tools::custom_resources(certificate), Ok(vec!["Certificate/onboarding".to_owned()]));
    let certificate: serde_json::Value =
        serde_json::from_str(&tools::script("yaml_to_json.py", certificate)).unwrap();
    let certificate = &certificate[0]["spec"];
    production.get(text(&certificate["issuerRef"]["kind"]), text(&certificate["issuerRef"]["name"]));
    let callers = Manifests::with_callers();
    let elsewhere = callers.iter().find(|manifests| manifests.name == "certificate").unwrap();
    let environment = production.environment();
    let rules: Vec<_> = environment["HCS_CALLERS"].split(',').collect();
    for certificate in [certificate, &elsewhere.get("Certificate", "onboarding")["spec"]] {
        let rule = format!("cert:{}=write", text(&certificate["uris"][0]));
        assert!(rules.contains(&&*rule), "{rule}");
    }
    for rule in rules {
        assert!(rule.starts_with("cert:spiffe://cluster.local/ns/") && !rule.contains('*'), "{rule}");
    }
}

fn names_in_order(names: &[&str]) -> Vec<String> {
    let order = ["-server", "-callers", "-ca"].map(|suffix| format!("hubspot-connection-service{suffix}"));
    assert_eq!(names.len(), order.len());
    assert!(order.iter().all(|name| names.contains(&&**name)), "{names:?}");
    order.to_vec()
}

/// What the service checks of a token is what the kubelet writes into it.
#[test]
fn a_caller_with_a_token_gets_one_for_this_service() {
    let Some(service) = Manifests::of("service-account-tokens") else { return };
    let callers = Manifests::with_callers();
    let caller = callers.iter().find(|manifests| manifests.name == "token").unwrap();
    let environment = service.environment();
    let pods = caller.pods();
    let volume = &pods[0].spec["volumes"][0]["projected"]["sources"];
    assert_eq!(volume[0]["serviceAccountToken"]["audience"], *environment["HCS_JWT_AUDIENCE"]);
    let account = &caller.of_kind("ServiceAccount")[0]["metadata"];
    let subject =
        format!("jwt:system:serviceaccount:{}:{}=", text(&account["namespace"]), text(&account["name"]));
    assert!(environment["HCS_CALLERS"].starts_with(&subject), "{subject}");
    assert_eq!(pods[0].spec["serviceAccountName"], account["name"]);
    // Over TLS, and without a certificate as well.
    assert!(!environment["HCS_TLS_CERT_FILE"].is_empty());
    assert_eq!(environment["HCS_TLS_CLIENT_CA_FILE"], "");
    // The Service of the API server, and the usual port of the server itself.
    let egress = &service.get("NetworkPolicy", "hubspot-connection-service-to-api-server")["spec"]["egress"];
    let ports: Vec<_> = egress[0]["ports"].as_array().unwrap().iter().map(|port| &port["port"]).collect();
    assert_eq!(ports, [443, 6443]);
    assert!(environment["HCS_JWT_JWKS_URL"].starts_with("https://kubernetes.default.svc/"));
}

/// The policy of the service admits the caller's pods, and that of the caller lets them reach the service.
#[test]
fn the_network_policies_of_both_sides_let_a_caller_in_another_namespace_through() {
    let Some(service) = Manifests::of("production") else { return };
    let server = service.service_pod().labels.clone();
    for caller in Manifests::with_callers()
        .into_iter()
        .filter(|manifests| ["certificate", "token"].contains(&manifests.name))
    {
        let pod = &caller.pods()[0];
        let admitted = &service.get("NetworkPolicy", "hubspot-connection-service")["spec"]["ingress"][0];
        assert_eq!(admitted["from"][0]["namespaceSelector"], json!({}));
        let labels = admitted["from"][0]["podSelector"]["matchLabels"].as_object().unwrap();
        assert!(labels.iter().all(|(name, value)| pod.labels[name] == *value));
        let out = &caller.of_kind("NetworkPolicy")[0]["spec"]["egress"][1];
        let namespace = &out["to"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"];
        let variables = pod.spec["containers"][0]["env"].as_array().unwrap();
        let address = variables.iter().find(|variable| variable["name"] == "HUBSPOT_CONNECTIONS").unwrap();
        let address = text(&address["value"]);
        assert!(address.contains(&format!("-headless.{}.svc.", text(namespace))), "{address}");
        let selected = out["to"][0]["podSelector"]["matchLabels"].as_object().unwrap();
        assert!(selected.iter().all(|(name, value)| server[name] == *value));
        assert_eq!((&out["ports"], &admitted["ports"]), (&admitted["ports"], &out["ports"]));
    }
}
