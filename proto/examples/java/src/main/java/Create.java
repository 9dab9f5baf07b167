import com.google.gson.Gson;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import hubspotconnection.v1.CreateHubSpotConnectionRequest;
import hubspotconnection.v1.CreateHubSpotConnectionResponse;
import hubspotconnection.v1.HubSpotConnectionServiceGrpc;
import hubspotconnection.v1.HubSpotConnectionServiceGrpc.HubSpotConnectionServiceBlockingStub;
import hubspotconnection.v1.HubSpotCredentials;
import io.grpc.CallCredentials;
import io.grpc.ChannelCredentials;
import io.grpc.CompositeChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.protobuf.StatusProto;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Security;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.Executor;

/**
 * Creates a connection, whatever fails in between, and then shows how to read an error. The argument is the address.
 *
 * <p>CA_FILE is an authority in PEM: with it the connection uses TLS. TOKEN_FILE has a bearer token; it is read for each
 * call, because it can be replaced. REQUEST_ID resumes an earlier creation.
 */
public final class Create {
  /** How long a creation may take with all its retries. */
  private static final Duration PATIENCE = Duration.ofMinutes(5);

  public static void main(String[] arguments) throws Exception {
    ManagedChannel channel = connect(arguments[0], System.getenv("CA_FILE"), System.getenv("TOKEN_FILE"));
    try {
      run(HubSpotConnectionServiceGrpc.newBlockingStub(channel));
    } finally {
      channel.shutdownNow();
    }
  }

  private static void run(HubSpotConnectionServiceBlockingStub stub) throws Exception {
    // Print it, or store it, before the first attempt: a caller that has it can finish the creation.
    String requestId = Optional.ofNullable(System.getenv("REQUEST_ID")).orElse(UUID.randomUUID().toString());
    System.out.println("request_id " + requestId);
    // Never print or log a message with credentials: toString() ignores debug_redact.
    CreateHubSpotConnectionRequest request =
        CreateHubSpotConnectionRequest.newBuilder()
            .setRequestId(requestId)
            .setName("connection for HubSpot")
            .setCredentials(
                HubSpotCredentials.newBuilder()
                    .setClientId("demo-hubspot-client")
                    .setClientSecret("demo-hubspot-secret")
                    .setAccessToken("demo-hubspot-access-token")
                    .setRefreshToken("demo-hubspot-refresh-token"))
            .build();
    try {
      CreateHubSpotConnectionResponse created = create(stub, request);
      System.out.println("id " + created.getId());
      System.out.println("etag " + created.getEtag());
      System.out.println("replayed " + created.getReplayed());
    } catch (StatusRuntimeException error) {
      explain(error);
      throw new IllegalStateException("to resume: REQUEST_ID=" + requestId);
    }

    // Two errors to look at: the same request id for something else, and invalid fields.
    for (String wrong : List.of("something else", "")) {
      try {
        create(stub, request.toBuilder().setName(wrong).build());
      } catch (StatusRuntimeException error) {
        explain(error);
      }
    }
  }

  private static ManagedChannel connect(String address, String caFile, String tokenFile) throws IOException {
    ChannelCredentials credentials = InsecureChannelCredentials.create();
    if (caFile != null) {
      credentials = TlsChannelCredentials.newBuilder().trustManager(new File(caFile)).build();
    }
    if (tokenFile != null) {
      if (caFile == null) {
        throw new IllegalArgumentException("a token is only sent over TLS: set CA_FILE");
      }
      credentials = CompositeChannelCredentials.create(credentials, new BearerToken(Path.of(tokenFile)));
    }
    // A replica that stops works for a while, so that callers can learn its successor's address by then. In seconds: how
    // often gRPC queries DNS at most, and how long Java caches the result.
    System.setProperty("networkaddress.cache.ttl", "10");
    Security.setProperty("networkaddress.cache.ttl", "10");
    String serviceConfig = Files.readString(Path.of("service-config-request-ids.json"));
    @SuppressWarnings("unchecked")
    Map<String, ?> parsed = new Gson().fromJson(serviceConfig, Map.class);
    return Grpc.newChannelBuilder(address, credentials).defaultServiceConfig(parsed).build();
  }

  private static final class BearerToken extends CallCredentials {
    private static final Metadata.Key<String> AUTHORIZATION =
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

    private final Path path;

    BearerToken(Path path) {
      this.path = path;
    }

    @Override
    public void applyRequestMetadata(RequestInfo info, Executor executor, MetadataApplier applier) {
      executor.execute(
          () -> {
            try {
              Metadata headers = new Metadata();
              headers.put(AUTHORIZATION, "Bearer " + Files.readString(path).strip());
              applier.apply(headers);
            } catch (IOException error) {
              applier.fail(Status.UNAUTHENTICATED.withCause(error));
            }
          });
    }
  }

  /** Retries with the same request id. Without one, a retry could create a second connection. */
  private static CreateHubSpotConnectionResponse create(
      HubSpotConnectionServiceBlockingStub stub, CreateHubSpotConnectionRequest request)
      throws InterruptedException {
    if (request.getRequestId().isEmpty()) {
      throw new IllegalArgumentException("a creation needs a request id");
    }
    Instant giveUp = Instant.now().plus(PATIENCE);
    while (true) {
      try {
        return stub.createHubSpotConnection(request);
      } catch (StatusRuntimeException error) {
        Duration delay = retryDelay(error).orElseThrow(() -> error);
        if (Instant.now().plus(delay).isAfter(giveUp)) {
          throw error;
        }
        System.err.println("in " + delay + " again: " + error.getMessage());
        Thread.sleep(delay.toMillis());
      }
    }
  }

  /** When the same call can be made again; empty if that is pointless. */
  private static Optional<Duration> retryDelay(StatusRuntimeException error) {
    Optional<RetryInfo> info = detail(error, RetryInfo.class);
    if (info.isPresent()) {
      com.google.protobuf.Duration delay = info.get().getRetryDelay();
      return Optional.of(Duration.ofSeconds(delay.getSeconds(), delay.getNanos()));
    }
    return switch (error.getStatus().getCode()) {
      // The service did not answer, or not in time.
      case UNAVAILABLE, DEADLINE_EXCEEDED -> Optional.of(Duration.ofSeconds(1));
      default -> Optional.empty();
    };
  }

  private static void explain(StatusRuntimeException error) {
    System.out.println(error.getMessage());
    detail(error, ErrorInfo.class)
        .ifPresent(
            info -> {
              System.out.println("reason " + info.getReason());
              info.getMetadataMap().forEach((key, value) -> System.out.println("metadata " + key + " " + value));
            });
    detail(error, BadRequest.class)
        .ifPresent(
            invalid ->
                invalid
                    .getFieldViolationsList()
                    .forEach(field -> System.out.println("field " + field.getField() + " " + field.getDescription())));
  }

  /** The detail of this type. An error of the library itself has none. */
  private static <T extends Message> Optional<T> detail(StatusRuntimeException error, Class<T> type) {
    for (Any detail : StatusProto.fromThrowable(error).getDetailsList()) {
      if (detail.is(type)) {
        try {
          return Optional.of(detail.unpack(type));
        } catch (InvalidProtocolBufferException damaged) {
          return Optional.empty();
        }
      }
    }
    return Optional.empty();
  }
}
