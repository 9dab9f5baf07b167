//! The guarantees of the Dockerfile.

use std::fs;

use super::{
    README, deploy,
    manifests::{Manifests, text},
};

/// The instructions, each on a line of its own, without comments.
fn instructions() -> Vec<String> {
    let dockerfile = fs::read_to_string(deploy().join("Dockerfile")).unwrap();
    let lines: Vec<_> = dockerfile.lines().filter(|line| !line.starts_with('#')).collect();
    lines.join("\n").replace("\\\n", " ").lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

#[test]
fn every_base_image_is_an_argument_that_can_be_pinned() {
    let instructions = instructions();
    let mut stages = vec!["scratch".to_owned()];
    for from in instructions.iter().filter_map(|line| line.strip_prefix("FROM ")) {
        let (image, stage) = from.split_once(" AS ").unwrap();
        let argument = image.strip_prefix("${").and_then(|image| image.strip_suffix('}'));
        let is_argument = argument.is_some_and(|argument| {
            instructions.iter().any(|line| line.starts_with(&format!("ARG {argument}=")))
        });
        assert!(is_argument || stages.iter().any(|stage| stage == image), "{from}");
        stages.push(stage.to_owned());
    }
    assert_eq!(stages.last().unwrap(), "release", "that is what is built without a target");
}

#[test]
fn every_build_is_locked_static_and_without_the_emulator_but_for_the_demo() {
    let instructions = instructions();
    let builds: Vec<_> = instructions.iter().filter(|line| line.contains("cargo build")).collect();
    assert_eq!(builds.len(), 4);
    for build in &builds {
        assert!(build.contains("--locked --no-default-features"), "{build}");
    }
    assert_eq!(builds.iter().filter(|build| build.contains("--features emulator")).count(), 2);
    assert!(instructions.iter().any(|line| line.contains("target-feature=+crt-static")));
    // Compilers write no other time into the binary.
    assert!(instructions.contains(&"ENV SOURCE_DATE_EPOCH=0".to_owned()));
}

#[test]
fn the_image_runs_as_nobody_and_without_a_shell() {
    let instructions = instructions();
    let last = instructions.iter().position(|line| line.starts_with("FROM scratch AS image")).unwrap();
    let image = &instructions[last..];
    assert!(image.contains(&"USER 65532:65532".to_owned()));
    assert!(image.contains(&r#"ENTRYPOINT ["/hubspot-connection-service"]"#.to_owned()));
    assert!(image.contains(&r#"CMD ["serve"]"#.to_owned()));
    assert!(image.iter().all(|line| !line.starts_with("RUN ")));
}

#[test]
fn both_images_name_their_version_revision_source_and_licence() {
    let instructions = instructions();
    for stage in ["FROM image AS demo", "FROM image AS release"] {
        let start = instructions.iter().position(|line| line == stage).unwrap();
        let stage: Vec<_> =
            instructions[start + 1..].iter().take_while(|line| !line.starts_with("FROM ")).collect();
        let label = stage.iter().find(|line| line.starts_with("LABEL ")).unwrap();
        for name in ["version", "revision", "source", "licenses"] {
            let argument = name.to_uppercase();
            assert!(
                label.contains(&format!(r#"org.opencontainers.image.{name}="${{{argument}}}""#)),
                "{label}"
            );
            assert!(stage.iter().any(|line| line.starts_with(&format!("ARG {argument}="))), "{argument}");
            // Documented, but for the defaults.
            assert!(README.contains(&format!("--build-arg {argument}=")), "{argument}");
        }
    }
}

#[test]
fn the_overlays_run_the_version_that_is_here() {
    let overlays = ["demo", "production", "production-external-redis"].map(Manifests::of);
    for manifests in overlays.into_iter().flatten() {
        for pod in manifests.pods() {
            for container in pod.containers() {
                let image = text(&container["image"]);
                let (name, tag) = image.rsplit_once(':').unwrap();
                if name.contains("hubspot-connection-service") {
                    assert_eq!(tag, env!("CARGO_PKG_VERSION"), "{}", pod.owner);
                }
            }
        }
    }
}
