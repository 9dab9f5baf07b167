package main

// Contract tests: does a client do the right thing when Adobe does not?
//
//	hubspot-connection-service demo    # the service and the emulator, in another terminal
//	go test .
//
// SERVICE and EMULATOR are their addresses. Each test resets the emulator.

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "example.com/hubspot-client/hubspot_connection/v1"
)

func TestALostReplyOfAdobeLeavesOneConnection(t *testing.T) {
	client := pb.NewHubSpotConnectionServiceClient(start(t))
	control(t, "PUT", "/emulator/faults", `[{"route": "POST /connections", "action": {"close": "after_commit"}}]`)
	request := creation()
	created := must(create(t.Context(), client, request))(t)
	again := must(create(t.Context(), client, request))(t)
	if again.GetId() != created.GetId() || !again.GetReplayed() {
		t.Errorf("%v, then %v", created, again)
	}
	expectConnections(t, 1)
}

func TestAThrottledCreationSaysWhenToRetry(t *testing.T) {
	client := pb.NewHubSpotConnectionServiceClient(start(t))
	control(t, "PUT", "/emulator/faults",
		`[{"route": "POST /connections", "action": {"status": 429, "headers": {"Retry-After": "3"}}}]`)
	request := creation()
	// With more time the service waits and tries again by itself.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := client.CreateHubSpotConnection(ctx, request)
	if status.Code(err) != codes.ResourceExhausted {
		t.Fatal(err)
	}
	expectReason(t, err, pb.ErrorReason_UPSTREAM_THROTTLED)
	if delay, ok := retryDelay(err); !ok || delay <= 2*time.Second {
		t.Error(delay, ok)
	}
	expectConnections(t, 0)
	must(create(t.Context(), client, request))(t)
	expectConnections(t, 1)
}

func TestAConnectionThatDoesNotWorkIsRefused(t *testing.T) {
	client := pb.NewHubSpotConnectionServiceClient(start(t))
	control(t, "PUT", "/emulator/settings", `{"test_result": false}`)
	request := creation()
	request.Verification = pb.Verification_VERIFICATION_REQUIRE
	_, err := create(t.Context(), client, request)
	expectReason(t, err, pb.ErrorReason_VERIFICATION_FAILED)
	failure, _ := detail[*errdetails.PreconditionFailure](err)
	if failed := failure.GetViolations(); len(failed) != 1 || failed[0].GetSubject() != "connection_test" {
		t.Error(failed)
	}
	expectConnections(t, 0)
}

func TestARunThatFailsTellsWhy(t *testing.T) {
	connection := start(t)
	created := must(create(t.Context(), pb.NewHubSpotConnectionServiceClient(connection), creation()))(t)
	client := pb.NewHubSpotDataflowServiceClient(connection)
	dataflow := must(client.CreateHubSpotDataflow(t.Context(), &pb.CreateHubSpotDataflowRequest{
		RequestId:    uuid.NewString(),
		Name:         "contract test",
		ConnectionId: created.GetId(),
		Table:        "Hubspot.Contacts",
		Target: &pb.CreateHubSpotDataflowRequest_NewDataset{NewDataset: &pb.NewDataset{
			Name:   "contract test",
			Schema: &pb.NewDataset_SchemaFromTable{SchemaFromTable: &pb.SchemaFromTable{}},
		}},
		Schedule: &pb.DataflowSchedule{Frequency: pb.DataflowSchedule_FREQUENCY_ONCE},
	}))(t)
	control(t, "POST", "/emulator/runs", `[{"flow": "`+dataflow.GetId()+`", "outcome": "failed_copy"}]`)
	listed := must(client.ListHubSpotDataflowRuns(t.Context(),
		&pb.ListHubSpotDataflowRunsRequest{Id: dataflow.GetId()}))(t)
	if len(listed.GetRuns()) != 1 {
		t.Fatal(listed)
	}
	run := listed.GetRuns()[0]
	if run.GetState() != pb.RunState_RUN_STATE_FAILED || run.GetErrors()[0].GetMessage() == "" {
		t.Error(run)
	}
}

// start resets the emulator and connects to the service.
func start(t *testing.T) *grpc.ClientConn {
	reset := func() { control(t, "DELETE", "/emulator/state", "") }
	reset()
	t.Cleanup(reset)
	connection := must(connect(cmp.Or(os.Getenv("SERVICE"), "localhost:50051"), "", ""))(t)
	t.Cleanup(func() { connection.Close() })
	return connection
}

// control calls a control of the emulator: GET /emulator lists them.
func control(t *testing.T, method, path, body string) map[string]int {
	emulator := cmp.Or(os.Getenv("EMULATOR"), "http://localhost:8080")
	request := must(http.NewRequest(method, emulator+path, bytes.NewBufferString(body)))(t)
	response := must(http.DefaultClient.Do(request))(t)
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		t.Fatal(method, path, response.Status)
	}
	var counts map[string]int
	if method == http.MethodGet {
		if err := json.NewDecoder(response.Body).Decode(&counts); err != nil {
			t.Fatal(err)
		}
	}
	return counts
}

func creation() *pb.CreateHubSpotConnectionRequest {
	return &pb.CreateHubSpotConnectionRequest{
		RequestId: uuid.NewString(),
		Name:      "contract test",
		Credentials: &pb.HubSpotCredentials{
			ClientId: "client", ClientSecret: "secret", AccessToken: "access", RefreshToken: "refresh",
		},
	}
}

func expectConnections(t *testing.T, expected int) {
	t.Helper()
	if actual := control(t, "GET", "/emulator/ledger", "")["connections"]; actual != expected {
		t.Errorf("%d connections instead of %d", actual, expected)
	}
}

func expectReason(t *testing.T, err error, expected pb.ErrorReason) {
	t.Helper()
	if info, _ := detail[*errdetails.ErrorInfo](err); info.GetReason() != expected.String() {
		t.Fatal(err)
	}
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
