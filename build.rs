//! Compiles the protobuf files with protox, so that building needs no protoc, and sets the revision of
//! the program.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const FILES: [&str; 5] = [
    // No other file imports it.
    "hubspot_connection/v1/error_reason.proto",
    "hubspot_connection/v1/hubspot_connection.proto",
    "hubspot_connection/v1/hubspot_connection_service.proto",
    "hubspot_connection/v1/hubspot_dataflow.proto",
    "hubspot_connection/v1/hubspot_dataflow_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    // Nothing else in proto/ matters, such as the examples.
    println!("cargo:rerun-if-changed=proto/hubspot_connection");

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;

    // Reflection serves these bytes: prost's descriptor types lose options such as debug_redact.
    let descriptor_set = PathBuf::from(env::var("OUT_DIR")?).join("hubspot_connection.bin");
    fs::write(descriptor_set, compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure()
        // src/proto.rs implements it without the secrets.
        .skip_debug(["hubspot_connection.v1.HubSpotCredentials"])
        .compile_fds(compiler.file_descriptor_set())?;

    println!("cargo:rustc-env=BUILD_REVISION={}", revision().as_deref().unwrap_or("unknown"));
    Ok(())
}

/// The revision of the source: from `BUILD_REVISION`, or else from git.
fn revision() -> Option<String> {
    println!("cargo:rerun-if-env-changed=BUILD_REVISION");
    if let Ok(revision) = env::var("BUILD_REVISION")
        && !revision.is_empty()
        && revision.chars().all(|c| c.is_ascii_graphic())
    {
        return Some(revision);
    }
    // The source may be in a folder of another repository.
    let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    let source = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    if top.canonicalize().ok()? != source.canonicalize().ok()? {
        return None;
    }
    // The files that a commit or a checkout changes. Cargo treats a missing file as changed.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

/// The output of git; `None` without git or a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
