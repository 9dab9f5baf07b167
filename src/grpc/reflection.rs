//! Server reflection, over the descriptors of every service.
//!
//! tonic's own ends a stream with the first thing that it does not find; by the protocol that is a response
//! like any other. Its descriptors would be read and written again, too, which loses `debug_redact`.

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use prost::Message;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};
use tokio::time::timeout;
use tonic::{Code, Request, Response, Status, Streaming, codec::CompressionEncoding, service::Routes};
use tonic_reflection::pb::{v1, v1alpha};

use super::{MAX_MESSAGE_SIZE, status};
use crate::proto;

/// No host has a longer name.
const LONGEST_HOST: usize = 253;
/// A client asks for what it does not know yet at once, and has all that it needs then.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Adds both versions of the service: older clients know only the first.
pub(super) fn add_to(routes: Routes) -> Routes {
    let reflection = |own: &'static [u8]| {
        Reflection(Arc::new(Files::new([
            proto::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            // Lets grpcurl print the details of errors.
            tonic_types::pb::FILE_DESCRIPTOR_SET,
            own,
        ])))
    };
    let v1 = v1::server_reflection_server::ServerReflectionServer::new(reflection(v1::FILE_DESCRIPTOR_SET));
    let v1alpha = v1alpha::server_reflection_server::ServerReflectionServer::new(reflection(
        v1alpha::FILE_DESCRIPTOR_SET,
    ));
    routes
        .add_service(
            v1.max_decoding_message_size(MAX_MESSAGE_SIZE).accept_compressed(CompressionEncoding::Gzip),
        )
        .add_service(
            v1alpha.max_decoding_message_size(MAX_MESSAGE_SIZE).accept_compressed(CompressionEncoding::Gzip),
        )
}

/// The service.
struct Reflection(Arc<Files>);

/// The encoded files, by what is asked for.
#[derive(Debug, Default)]
struct Files {
    services: Vec<String>,
    by_name: HashMap<String, Bytes>,
    by_symbol: HashMap<String, Bytes>,
}

/// A `FileDescriptorSet` whose files stay as they are: what prost knows of their options is not all.
#[derive(Clone, PartialEq, prost::Message)]
struct EncodedFiles {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    files: Vec<Bytes>,
}

/// Why there is no file.
struct NotFound(String);

impl Files {
    fn new(sets: impl IntoIterator<Item = &'static [u8]>) -> Self {
        let mut all = Self::default();
        for set in sets {
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

    fn by_name(&self, name: &str) -> Result<Vec<u8>, NotFound> {
        let file = self.by_name.get(name).map(|file| file.to_vec());
        file.ok_or_else(|| NotFound(format!("there is no file {}", status::cut(name))))
    }

    fn by_symbol(&self, symbol: &str) -> Result<Vec<u8>, NotFound> {
        let file = self.by_symbol.get(symbol).map(|file| file.to_vec());
        file.ok_or_else(|| NotFound(format!("there is no symbol {}", status::cut(symbol))))
    }
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
    symbols.extend(item.value.iter().map(|value| within(&name, value.name())));
    // By the language the values are in the scope of their enum.
    symbols.extend(item.value.iter().map(|value| within(scope, value.name())));
    symbols.push(name);
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Responds to each request until the client ends the stream, or leaves it idle.
fn responses<Q: Send + 'static, A: 'static>(
    requests: Streaming<Q>,
    response: impl Fn(Q) -> A + Send + Sync + 'static,
) -> Responses<A> {
    let response = Arc::new(response);
    Box::pin(stream::unfold(Some(requests), move |requests| {
        let response = Arc::clone(&response);
        let next: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
            let mut requests = requests?;
            match timeout(IDLE_TIMEOUT, requests.message()).await {
                Ok(Ok(request)) => Some((Ok(response(request?)), Some(requests))),
                Ok(Err(error)) => Some((Err(status::codec_failed(error, MAX_MESSAGE_SIZE)), None)),
                Err(_) => Some((Err(status::idle_stream()), None)),
            }
        });
        next
    }))
}

/// The two versions differ in their package alone.
macro_rules! serve {
    ($version:ident) => {
        #[tonic::async_trait]
        impl $version::server_reflection_server::ServerReflection for Reflection {
            type ServerReflectionInfoStream = Responses<$version::ServerReflectionResponse>;

            async fn server_reflection_info(
                &self,
                request: Request<Streaming<$version::ServerReflectionRequest>>,
            ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
                use $version::{
                    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
                    ServerReflectionResponse, ServiceResponse, server_reflection_request::MessageRequest,
                    server_reflection_response::MessageResponse,
                };
                let files = Arc::clone(&self.0);
                let file = |file| {
                    MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
                        file_descriptor_proto: vec![file],
                    })
                };
                let error = |code: Code, error_message| {
                    MessageResponse::ErrorResponse(ErrorResponse { error_code: code as i32, error_message })
                };
                let respond = move |mut request: $version::ServerReflectionRequest| {
                    // A response repeats it twice, and may wait for long until it is read.
                    if request.host.len() > LONGEST_HOST {
                        request.host = status::cut(&request.host);
                    }
                    let found = match &request.message_request {
                        Some(MessageRequest::FileByFilename(name)) => files.by_name(name).map(file),
                        Some(MessageRequest::FileContainingSymbol(symbol)) => {
                            files.by_symbol(symbol).map(file)
                        }
                        Some(MessageRequest::FileContainingExtension(extension)) => Err(NotFound(format!(
                            "there is no extension {} of {}",
                            extension.extension_number,
                            status::cut(&extension.containing_type)
                        ))),
                        Some(MessageRequest::AllExtensionNumbersOfType(name)) => {
                            files.by_symbol(name).map(|_| {
                                MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                                    base_type_name: name.clone(),
                                    extension_number: Vec::new(),
                                })
                            })
                        }
                        Some(MessageRequest::ListServices(_)) => {
                            let services = files.services.iter().cloned();
                            Ok(MessageResponse::ListServicesResponse(ListServiceResponse {
                                service: services.map(|name| ServiceResponse { name }).collect(),
                            }))
                        }
                        None => Ok(error(Code::InvalidArgument, "nothing is asked for".to_owned())),
                    };
                    let response = found.unwrap_or_else(|NotFound(what)| error(Code::NotFound, what));
                    ServerReflectionResponse {
                        valid_host: request.host.clone(),
                        original_request: Some(request),
                        message_response: Some(response),
                    }
                };
                Ok(Response::new(responses(request.into_inner(), respond)))
            }
        }
    };
}

serve!(v1);
serve!(v1alpha);
