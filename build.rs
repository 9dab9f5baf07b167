//! Compiles the protobuf files with protox, so that building needs no protoc.

use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 3] = [
    // Imported by no other file.
    "hubspot_connection/v1/error_reason.proto",
    "hubspot_connection/v1/hubspot_connection.proto",
    "hubspot_connection/v1/hubspot_connection_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;

    // Reflection serves these bytes: only this encoding keeps options, such as debug_redact,
    // that prost's descriptor types have no field for.
    let descriptor_set = PathBuf::from(env::var("OUT_DIR")?).join("hubspot_connection.bin");
    fs::write(descriptor_set, compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure()
        // Written by hand in src/proto.rs, without the secrets.
        .skip_debug(["hubspot_connection.v1.HubSpotCredentials"])
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
