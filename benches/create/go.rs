//! Builds the equivalent of [`crate::bare`] on grpc-go, if Go is installed. Its types are generated from
//! the descriptors of this crate, so that it needs no protoc.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use hubspot_connection_service::proto::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::{
    FileDescriptorSet,
    compiler::{CodeGeneratorRequest, CodeGeneratorResponse},
};

const PACKAGE: &str = "hubspotconnection";
const GENERATORS: [&str; 2] =
    ["google.golang.org/protobuf/cmd/protoc-gen-go", "google.golang.org/grpc/cmd/protoc-gen-go-grpc"];

/// Builds the program below a directory, and returns its path.
///
/// # Errors
/// Describes why it could not be built.
pub(crate) fn build(directory: &Path) -> Result<PathBuf, String> {
    let found = Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        return Err("no Go toolchain".to_owned());
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/create/go");
    let copy = || -> io::Result<()> {
        fs::create_dir_all(directory.join(PACKAGE))?;
        for file in ["go.mod", "go.sum", "main.go"] {
            fs::copy(sources.join(file), directory.join(file))?;
        }
        Ok(())
    };
    copy().map_err(|error| error.to_string())?;
    let request = request();
    for generator in GENERATORS {
        let generated = go(directory, &["run", generator], &request)?;
        write(directory, &generated).map_err(|error| error.to_string())?;
    }
    go(directory, &["build", "-o", "bare", "."], &[])?;
    Ok(directory.join("bare"))
}

fn request() -> Vec<u8> {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let names = files.file.iter().map(|file| file.name().to_owned());
    let own: Vec<_> = names.filter(|name| name.starts_with("hubspot_connection/")).collect();
    let packages = own.iter().map(|name| format!("M{name}=bare/{PACKAGE}"));
    let parameter: Vec<_> = packages.chain(["module=bare".to_owned()]).collect();
    let request = CodeGeneratorRequest {
        file_to_generate: own.clone(),
        parameter: Some(parameter.join(",")),
        proto_file: files.file,
        ..CodeGeneratorRequest::default()
    };
    request.encode_to_vec()
}

fn write(directory: &Path, generated: &[u8]) -> io::Result<()> {
    let response = CodeGeneratorResponse::decode(generated)?;
    if let Some(error) = response.error {
        return Err(io::Error::other(error));
    }
    response.file.iter().try_for_each(|file| fs::write(directory.join(file.name()), file.content()))
}

/// Runs `go` with this input, and returns its output.
fn go(directory: &Path, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let input_file = directory.join("input");
    let run = || {
        fs::write(&input_file, input)?;
        Command::new("go")
            .args(arguments)
            .env("CGO_ENABLED", "0")
            .current_dir(directory)
            .stdin(fs::File::open(&input_file)?)
            .output()
    };
    let output = run().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!("go {}: {}", arguments.join(" "), stderr.trim()));
    }
    Ok(output.stdout)
}
