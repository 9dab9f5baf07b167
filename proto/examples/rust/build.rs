//! Generates the client.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files =
        ["connection", "dataflow"].map(|kind| format!("hubspot_connection/v1/hubspot_{kind}_service.proto"));
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure()
        .build_server(false)
        // main.rs implements it without the secrets.
        .skip_debug(["hubspot_connection.v1.HubSpotCredentials"])
        .compile_fds(descriptors)?;
    Ok(())
}
