// Creates a connection, whatever fails in between, and then shows how to read an error.
//
//	go run . ADDRESS
//
// CA_FILE is an authority in PEM: with it the connection uses TLS. TOKEN_FILE has a bearer token; it is read for each
// call, because it can be replaced. REQUEST_ID resumes an earlier creation.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // Skips replicas that are not serving.
	"google.golang.org/grpc/resolver/dns"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "example.com/hubspot-client/hubspot_connection/v1"
)

//go:embed service-config-request-ids.json
var serviceConfig string

// How long a creation may take with all its retries.
const patience = 5 * time.Minute

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: go run . ADDRESS")
	}
	connection, err := connect(os.Args[1], os.Getenv("CA_FILE"), os.Getenv("TOKEN_FILE"))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	client := pb.NewHubSpotConnectionServiceClient(connection)

	// Print it, or store it, before the first attempt: a caller that has it can finish the creation.
	requestID := os.Getenv("REQUEST_ID")
	if requestID == "" {
		requestID = uuid.NewString()
	}
	fmt.Println("request_id", requestID)
	// Never print or log a message with credentials: String() ignores debug_redact.
	request := &pb.CreateHubSpotConnectionRequest{
		RequestId: requestID,
		Name:      "connection for HubSpot",
		Credentials: &pb.HubSpotCredentials{
			ClientId:     "demo-hubspot-client",
			ClientSecret: "demo-hubspot-secret",
			AccessToken:  "demo-hubspot-access-token",
			RefreshToken: "demo-hubspot-refresh-token",
		},
	}
	created, err := create(context.Background(), client, request)
	if err != nil {
		explain(err)
		log.Fatal("to resume: REQUEST_ID=", requestID)
	}
	fmt.Println("id", created.GetId())
	fmt.Println("etag", created.GetEtag())
	fmt.Println("replayed", created.GetReplayed())

	// Two errors to look at: the same request id for something else, and invalid fields.
	for _, wrong := range []string{"something else", ""} {
		request.Name = wrong
		if _, err := create(context.Background(), client, request); err != nil {
			explain(err)
		}
	}
}

func connect(address, caFile, tokenFile string) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if caFile != "" {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(caFile, ""); err != nil {
			return nil, err
		}
	}
	// A replica that stops works for a while, so that callers can learn its successor's address by then.
	dns.SetMinResolutionInterval(10 * time.Second)
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultServiceConfig(serviceConfig),
	}
	if tokenFile != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearerToken(tokenFile)))
	}
	return grpc.NewClient(address, options...)
}

// bearerToken is the path of a file with a token.
type bearerToken string

func (path bearerToken) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := os.ReadFile(string(path))
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + strings.TrimSpace(string(token))}, nil
}

func (bearerToken) RequireTransportSecurity() bool { return true }

// create retries with the same request id. Without one, a retry could create a second connection.
func create(
	ctx context.Context, client pb.HubSpotConnectionServiceClient, request *pb.CreateHubSpotConnectionRequest,
) (*pb.CreateHubSpotConnectionResponse, error) {
	if request.GetRequestId() == "" {
		return nil, fmt.Errorf("a creation needs a request id")
	}
	giveUp := time.Now().Add(patience)
	for {
		response, err := client.CreateHubSpotConnection(ctx, request)
		if err == nil {
			return response, nil
		}
		delay, ok := retryDelay(err)
		if !ok || time.Now().Add(delay).After(giveUp) {
			return nil, err
		}
		log.Printf("in %s again: %v", delay, err)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// retryDelay tells when the same call can be made again; false if that is pointless.
func retryDelay(err error) (time.Duration, bool) {
	if info, ok := detail[*errdetails.RetryInfo](err); ok {
		return info.GetRetryDelay().AsDuration(), true
	}
	// The service did not answer, or not in time.
	code := status.Code(err)
	return time.Second, code == codes.Unavailable || code == codes.DeadlineExceeded
}

func explain(err error) {
	fmt.Printf("%v: %s\n", status.Code(err), status.Convert(err).Message())
	if info, ok := detail[*errdetails.ErrorInfo](err); ok {
		fmt.Println("reason", info.GetReason())
		for key, value := range info.GetMetadata() {
			fmt.Println("metadata", key, value)
		}
	}
	if invalid, ok := detail[*errdetails.BadRequest](err); ok {
		for _, violation := range invalid.GetFieldViolations() {
			fmt.Println("field", violation.GetField(), violation.GetDescription())
		}
	}
}

// detail finds the detail of this type. An error of the library itself has none.
func detail[T proto.Message](err error) (T, bool) {
	for _, detail := range status.Convert(err).Details() {
		if found, ok := detail.(T); ok {
			return found, true
		}
	}
	var none T
	return none, false
}
