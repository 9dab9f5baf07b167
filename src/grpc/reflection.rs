//! Server reflection, over the descriptors of every service.
//!
//! tonic's own implementation ends the stream at the first unknown name, where the protocol asks for an error
//! response; it never ends an idle stream; and it does not find enum values in the scope of their enum's parent.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::Uri;
use prost::Message;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};
use tokio::time::timeout;
use tonic::{Code, Request, Response, Status, Streaming, codec::CompressionEncoding, service::Routes};
use tonic_reflection::pb::{
    v1::{
        self, ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
        ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
        server_reflection_request::MessageRequest,
        server_reflection_response::MessageResponse,
        server_reflection_server::{ServerReflection, ServerReflectionServer},
    },
    v1alpha,
};

use super::{MAX_MESSAGE_SIZE, layer, status};
use crate::proto;

/// No host has a longer name.
const LONGEST_HOST: usize = 253;
/// A client asks for all that it needs in a row.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn add_to(routes: Routes) -> Routes {
    let server = ServerReflectionServer::new(Reflection(Arc::new(Files::new())));
    routes.add_service(
        server.max_decoding_message_size(MAX_MESSAGE_SIZE).accept_compressed(CompressionEncoding::Gzip),
    )
}

/// Serves v1alpha with v1: older clients know v1alpha only, and the messages are the same in both.
pub(super) fn route_to_v1(request: &mut layer::Request) {
    *request.uri_mut() = Uri::from_static("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
}

struct Reflection(Arc<Files>);

/// The encoded files. Decoding and encoding them again would lose options that prost's types lack, such as
/// `debug_redact`.
#[derive(Default)]
struct Files {
    services: Vec<String>,
    by_name: HashMap<String, Bytes>,
    by_symbol: HashMap<String, Bytes>,
}

/// A `FileDescriptorSet` whose files stay encoded.
#[derive(Clone, PartialEq, prost::Message)]
struct EncodedFiles {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    files: Vec<Bytes>,
}

impl Files {
    fn new() -> Self {
        let mut all = Self::default();
        for set in [
            proto::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            // Lets grpcurl print the details of errors.
            tonic_types::pb::FILE_DESCRIPTOR_SET,
            v1::FILE_DESCRIPTOR_SET,
            v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            for file in EncodedFiles::decode(set).expect("the descriptors are compiled in").files {
                all.add(file);
            }
        }
        all
    }

    fn add(&mut self, encoded: Bytes) {
        let file = FileDescriptorProto::decode(encoded.clone()).expect("the descriptors are compiled in");
        if self.by_name.insert(file.name().to_owned(), encoded.clone()).is_some() {
            return;
        }
        let mut symbols = Vec::new();
        for service in &file.service {
            let name = within(file.package(), service.name());
            symbols.extend(service.method.iter().map(|method| within(&name, method.name())));
            self.services.push(name.clone());
            symbols.push(name);
        }
        for message in &file.message_type {
            message_symbols(file.package(), message, &mut symbols);
        }
        for item in &file.enum_type {
            enum_symbols(file.package(), item, &mut symbols);
        }
        self.by_symbol.extend(symbols.into_iter().map(|symbol| (symbol, encoded.clone())));
    }

    fn respond(&self, mut request: ServerReflectionRequest) -> ServerReflectionResponse {
        // The response contains it twice, and may wait for long until the client reads it.
        if request.host.len() > LONGEST_HOST {
            request.host = status::start(&request.host);
        }
        let response = match &request.message_request {
            Some(MessageRequest::FileByFilename(name)) => file("file", name, self.by_name.get(name)),
            Some(MessageRequest::FileContainingSymbol(symbol)) => {
                file("symbol", symbol, self.by_symbol.get(symbol))
            }
            // No file of this service has extensions.
            Some(MessageRequest::FileContainingExtension(extension)) => {
                file("extension of", &extension.containing_type, None)
            }
            Some(MessageRequest::AllExtensionNumbersOfType(name)) if self.by_symbol.contains_key(name) => {
                MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                    base_type_name: name.clone(),
                    extension_number: Vec::new(),
                })
            }
            Some(MessageRequest::AllExtensionNumbersOfType(name)) => file("type", name, None),
            Some(MessageRequest::ListServices(_)) => {
                let services = self.services.iter().cloned();
                let service = services.map(|name| ServiceResponse { name }).collect();
                MessageResponse::ListServicesResponse(ListServiceResponse { service })
            }
            None => error(Code::InvalidArgument, "the message_request is missing".to_owned()),
        };
        ServerReflectionResponse {
            valid_host: request.host.clone(),
            original_request: Some(request),
            message_response: Some(response),
        }
    }
}

fn file(kind: &str, name: &str, found: Option<&Bytes>) -> MessageResponse {
    match found {
        Some(file) => MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
            file_descriptor_proto: vec![file.to_vec()],
        }),
        None => error(Code::NotFound, format!("there is no {kind} {}", status::start(name))),
    }
}

fn error(code: Code, error_message: String) -> MessageResponse {
    MessageResponse::ErrorResponse(ErrorResponse { error_code: code as i32, error_message })
}

fn within(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

fn message_symbols(scope: &str, message: &DescriptorProto, symbols: &mut Vec<String>) {
    let name = within(scope, message.name());
    symbols.extend(message.field.iter().map(|field| within(&name, field.name())));
    symbols.extend(message.oneof_decl.iter().map(|oneof| within(&name, oneof.name())));
    for nested in &message.nested_type {
        message_symbols(&name, nested, symbols);
    }
    for item in &message.enum_type {
        enum_symbols(&name, item, symbols);
    }
    symbols.push(name);
}

fn enum_symbols(scope: &str, item: &EnumDescriptorProto, symbols: &mut Vec<String>) {
    let name = within(scope, item.name());
    // Protobuf puts the values into the scope of their enum's parent; some clients expect them in the enum.
    for scope in [scope, &name] {
        symbols.extend(item.value.iter().map(|value| within(scope, value.name())));
    }
    symbols.push(name);
}

#[tonic::async_trait]
impl ServerReflection for Reflection {
    type ServerReflectionInfoStream = BoxStream<'static, Result<ServerReflectionResponse, Status>>;

    /// Responds to each request until the client ends the stream, or leaves it idle.
    async fn server_reflection_info(
        &self,
        request: Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let open = Some((request.into_inner(), Arc::clone(&self.0)));
        let responses = stream::unfold(open, async |open| {
            let (mut requests, files) = open?;
            match timeout(IDLE_TIMEOUT, requests.message()).await {
                Ok(Ok(request)) => Some((Ok(files.respond(request?)), Some((requests, files)))),
                Ok(Err(error)) => Some((Err(status::codec_failed(error, MAX_MESSAGE_SIZE)), None)),
                Err(_) => {
                    let error = status::stream_ended("the stream was idle for too long: open it again");
                    Some((Err(error.into()), None))
                }
            }
        });
        Ok(Response::new(responses.boxed()))
    }
}
