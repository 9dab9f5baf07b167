"""Contract tests: does a client do the right thing when Adobe does not?

    hubspot-connection-service demo          # the service and the emulator, in another terminal
    python -m unittest test_contract.py

SERVICE and EMULATOR are their addresses. Each test resets the emulator.
"""

import json
import os
import unittest
import urllib.request
import uuid

import grpc
from google.rpc import error_details_pb2
from hubspot_connection.v1 import hubspot_connection_pb2 as messages
from hubspot_connection.v1 import hubspot_connection_service_pb2_grpc as services
from hubspot_connection.v1 import hubspot_dataflow_pb2 as dataflow_messages
from hubspot_connection.v1 import hubspot_dataflow_service_pb2_grpc as dataflow_services

from create import connect, create, details, retry_delay

SERVICE = os.environ.get("SERVICE", "localhost:50051")
EMULATOR = os.environ.get("EMULATOR", "http://localhost:8080")


def control(method, path, body=None):
    """Calls a control of the emulator: GET /emulator lists them."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(EMULATOR + path, data, method=method)
    with urllib.request.urlopen(request) as response:
        text = response.read()
    return json.loads(text) if text else None


def creation(**fields):
    return messages.CreateHubSpotConnectionRequest(
        request_id=str(uuid.uuid4()),
        name="contract test",
        credentials=messages.HubSpotCredentials(
            client_id="client", client_secret="secret", access_token="access", refresh_token="refresh"
        ),
        **fields,
    )


class ContractTest(unittest.TestCase):
    def setUp(self):
        control("DELETE", "/emulator/state")
        self.addCleanup(control, "DELETE", "/emulator/state")
        self.channel = connect(SERVICE, None, None)
        self.addCleanup(self.channel.close)
        self.connections = services.HubSpotConnectionServiceStub(self.channel)
        self.dataflows = dataflow_services.HubSpotDataflowServiceStub(self.channel)

    def count(self, kind):
        return control("GET", "/emulator/ledger")[kind]

    def test_a_lost_reply_of_adobe_leaves_one_connection(self):
        control("PUT", "/emulator/faults", [{"route": "POST /connections", "action": {"close": "after_commit"}}])
        request = creation()
        created = create(self.connections, request)
        again = create(self.connections, request)
        self.assertEqual(again.id, created.id)
        self.assertTrue(again.replayed)
        self.assertEqual(self.count("connections"), 1)

    def test_a_throttled_creation_says_when_to_retry(self):
        throttle = {"status": 429, "headers": {"Retry-After": "3"}}
        control("PUT", "/emulator/faults", [{"route": "POST /connections", "action": throttle}])
        request = creation()
        # With more time the service waits and tries again by itself.
        with self.assertRaises(grpc.RpcError) as raised:
            self.connections.CreateHubSpotConnection(request, timeout=2)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        (info,) = details(raised.exception, error_details_pb2.ErrorInfo)
        self.assertEqual(info.reason, "UPSTREAM_THROTTLED")
        self.assertGreater(retry_delay(raised.exception), 2)
        self.assertEqual(self.count("connections"), 0)
        create(self.connections, request)
        self.assertEqual(self.count("connections"), 1)

    def test_a_connection_that_does_not_work_is_refused(self):
        control("PUT", "/emulator/settings", {"test_result": False})
        with self.assertRaises(grpc.RpcError) as raised:
            create(self.connections, creation(verification=messages.VERIFICATION_REQUIRE))
        (info,) = details(raised.exception, error_details_pb2.ErrorInfo)
        self.assertEqual(info.reason, "VERIFICATION_FAILED")
        (failure,) = details(raised.exception, error_details_pb2.PreconditionFailure)
        self.assertEqual([violation.subject for violation in failure.violations], ["connection_test"])
        self.assertEqual(self.count("connections"), 0)

    def test_a_run_that_fails_tells_why(self):
        connection = create(self.connections, creation())
        dataflow = self.dataflows.CreateHubSpotDataflow(
            dataflow_messages.CreateHubSpotDataflowRequest(
                request_id=str(uuid.uuid4()),
                name="contract test",
                connection_id=connection.id,
                table="Hubspot.Contacts",
                new_dataset=dataflow_messages.NewDataset(
                    name="contract test", schema_from_table=dataflow_messages.SchemaFromTable()
                ),
                schedule=dataflow_messages.DataflowSchedule(
                    frequency=dataflow_messages.DataflowSchedule.FREQUENCY_ONCE
                ),
            )
        )
        control("POST", "/emulator/runs", [{"flow": dataflow.id, "outcome": "failed_copy"}])
        listed = self.dataflows.ListHubSpotDataflowRuns(
            dataflow_messages.ListHubSpotDataflowRunsRequest(id=dataflow.id)
        )
        (run,) = listed.runs
        self.assertEqual(run.state, dataflow_messages.RUN_STATE_FAILED)
        self.assertTrue(run.errors[0].message)


if __name__ == "__main__":
    unittest.main()
