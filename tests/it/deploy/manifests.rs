//! Rendered manifests.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde_json::Value;

use super::{CALLERS, VARIANTS, deploy, tools};

/// The documents of one rendered kustomization.
#[derive(Clone)]
pub(super) struct Manifests {
    pub(super) name: &'static str,
    pub(super) file: PathBuf,
    pub(super) documents: Vec<Value>,
}

/// A pod and its owner.
pub(super) struct Pod<'a> {
    /// Such as `Deployment/flow-service-emulator`.
    pub(super) owner: String,
    pub(super) labels: &'a Value,
    pub(super) spec: &'a Value,
}

impl Pod<'_> {
    /// Every container, including the init containers.
    pub(super) fn containers(&self) -> impl Iterator<Item = &Value> {
        let lists = ["containers", "initContainers", "ephemeralContainers"];
        lists.into_iter().filter_map(|list| self.spec[list].as_array()).flatten()
    }
}

impl Manifests {
    /// Every variant; none if the tools are not installed.
    pub(super) fn all() -> Vec<Self> {
        if !tools::are_installed() {
            return Vec::new();
        }
        VARIANTS.into_iter().map(Self::rendered).collect()
    }

    /// Every variant and every example of a caller.
    pub(super) fn with_callers() -> Vec<Self> {
        let callers = if tools::are_installed() { &CALLERS[..] } else { &[] };
        let callers =
            callers.iter().map(|caller| Self::render(caller, &deploy().join("callers").join(caller)));
        Self::all().into_iter().chain(callers).collect()
    }

    /// One variant.
    pub(super) fn of(variant: &'static str) -> Option<Self> {
        tools::are_installed().then(|| Self::rendered(variant))
    }

    fn rendered(variant: &'static str) -> Self {
        static RENDERED: Mutex<BTreeMap<&str, Manifests>> = Mutex::new(BTreeMap::new());
        // A test that failed while it rendered must not fail the others.
        let mut rendered = RENDERED.lock().unwrap_or_else(PoisonError::into_inner);
        let render = || {
            let overlay = deploy().join("overlays").join(variant);
            Self::render(variant, &if overlay.exists() { overlay } else { with_component(variant) })
        };
        rendered.entry(variant).or_insert_with(render).clone()
    }

    fn render(name: &'static str, kustomization: &Path) -> Self {
        let yaml = tools::render(kustomization);
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.yaml"));
        fs::write(&file, &yaml).unwrap();
        let documents: Vec<Value> = serde_json::from_str(&tools::script("yaml_to_json.py", &yaml)).unwrap();
        assert!(documents.len() > 2, "{name}");
        Self { name, file, documents }
    }

    pub(super) fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.documents.iter().filter(|document| document["kind"] == kind).collect()
    }

    /// The only document of a kind with this name.
    pub(super) fn get(&self, kind: &str, name: &str) -> &Value {
        let found: Vec<_> =
            self.of_kind(kind).into_iter().filter(|document| document["metadata"]["name"] == name).collect();
        assert_eq!(found.len(), 1, "{kind} {name} in {}", self.name);
        found[0]
    }

    pub(super) fn pods(&self) -> Vec<Pod<'_>> {
        let with_pod = self.documents.iter().filter(|document| document["spec"]["template"].is_object());
        with_pod
            .map(|document| Pod {
                owner: format!(
                    "{}: {}/{}",
                    self.name,
                    text(&document["kind"]),
                    text(&document["metadata"]["name"])
                ),
                labels: &document["spec"]["template"]["metadata"]["labels"],
                spec: &document["spec"]["template"]["spec"],
            })
            .collect()
    }

    /// The pods of the service itself.
    pub(super) fn service_pod(&self) -> Pod<'_> {
        let owner = format!("{}: Deployment/hubspot-connection-service", self.name);
        self.pods().into_iter().find(|pod| pod.owner == owner).unwrap()
    }

    /// The environment of the service.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        let pod = self.service_pod();
        let container = &pod.spec["containers"][0];
        let from = container["envFrom"].as_array().unwrap();
        let mut environment = BTreeMap::new();
        for source in from {
            let data = &self.get("ConfigMap", text(&source["configMapRef"]["name"]))["data"];
            let data = data.as_object().unwrap().iter();
            environment.extend(data.map(|(name, value)| (name.clone(), text(value).to_owned())));
        }
        for variable in container["env"].as_array().into_iter().flatten() {
            let value = variable["value"].as_str().unwrap_or_default().to_owned();
            environment.insert(text(&variable["name"]).to_owned(), value);
        }
        environment
    }
}

/// A kustomization of the base and one component, after those that it needs, as an operator would write it.
fn with_component(component: &str) -> PathBuf {
    let (before, setting) = match component {
        "cluster-issuer" => (&["tls"][..], "HCS_CALLERS=cert:**=write"),
        "approver-policy" => (&["tls", "cluster-issuer"][..], "HCS_CALLERS=cert:**=write"),
        "service-account-tokens" => {
            (&["tls"][..], "HCS_CALLERS=jwt:system:serviceaccount:crm:onboarding=write")
        }
        _ => (&[][..], "HCS_INSECURE=true"),
    };
    let here = kustomization_at(component);
    let deploy = path_to_deploy(&here);
    let components = before.iter().chain([&component]);
    let components =
        components.map(|name| format!("{deploy}/components/{name}")).collect::<Vec<_>>().join(", ");
    let kustomization = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\n\
         kind: Kustomization\n\
         resources: [{deploy}/base]\n\
         components: [{components}]\n\
         images: [{{name: hubspot-connection-service, newTag: '1'}}]\n\
         configMapGenerator:\n\
         - name: hubspot-connection-service\n  \
           behavior: merge\n  \
           literals: [HCS_ORG_ID=1@AdobeOrg, HCS_CLIENT_ID=id, {setting}]\n"
    );
    fs::write(here.join("kustomization.yaml"), kustomization).unwrap();
    here
}

/// A directory for a kustomization.
pub(super) fn kustomization_at(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kustomize").join(name);
    fs::create_dir_all(&here).unwrap();
    here
}

/// Kustomize accepts only relative paths.
pub(super) fn path_to_deploy(here: &Path) -> String {
    let up = "../".repeat(here.canonicalize().unwrap().components().count() - 1);
    let deploy = deploy().canonicalize().unwrap();
    format!("{up}{}", deploy.strip_prefix("/").unwrap().display())
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}
