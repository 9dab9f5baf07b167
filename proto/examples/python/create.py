"""Creates a connection, whatever fails in between, and then shows how to read an error.

    python create.py ADDRESS

CA_FILE is an authority in PEM: with it the connection uses TLS. TOKEN_FILE has a bearer token; it is read for each
call, because it can be replaced. REQUEST_ID resumes an earlier creation.
"""

import os
import sys
import time
import uuid

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from hubspot_connection.v1 import hubspot_connection_pb2 as messages
from hubspot_connection.v1 import hubspot_connection_service_pb2_grpc as services

# How long a creation may take with all its retries.
PATIENCE = 300


def main():
    with connect(sys.argv[1], os.environ.get("CA_FILE"), os.environ.get("TOKEN_FILE")) as channel:
        stub = services.HubSpotConnectionServiceStub(channel)

        # Print it, or store it, before the first attempt: a caller that has it can finish the creation.
        request_id = os.environ.get("REQUEST_ID") or str(uuid.uuid4())
        print("request_id", request_id, flush=True)
        # Never print or log a message with credentials: str() and repr() ignore debug_redact.
        request = messages.CreateHubSpotConnectionRequest(
            request_id=request_id,
            name="connection for HubSpot",
            credentials=messages.HubSpotCredentials(
                client_id="demo-hubspot-client",
                client_secret="demo-hubspot-secret",
                access_token="demo-hubspot-access-token",
                refresh_token="demo-hubspot-refresh-token",
            ),
        )
        try:
            created = create(stub, request)
        except grpc.RpcError as error:
            explain(error)
            sys.exit(f"to resume: REQUEST_ID={request_id}")
        print("id", created.id)
        print("etag", created.etag)
        print("replayed", str(created.replayed).lower())

        # Two errors to look at: the same request id for something else, and invalid fields.
        for wrong in ("something else", ""):
            request.name = wrong
            try:
                create(stub, request)
            except grpc.RpcError as error:
                explain(error)


def connect(address, ca_file, token_file):
    with open("service-config-request-ids.json") as file:
        options = [
            ("grpc.service_config", file.read()),
            # A replica that stops works for a while, so that callers can learn its successor's address by then.
            ("grpc.dns_min_time_between_resolutions_ms", 10_000),
        ]
    if not ca_file:
        if token_file:
            sys.exit("a token is only sent over TLS: set CA_FILE")
        return grpc.insecure_channel(address, options)
    with open(ca_file, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    if token_file:
        token = grpc.metadata_call_credentials(BearerToken(token_file))
        credentials = grpc.composite_channel_credentials(credentials, token)
    return grpc.secure_channel(address, credentials, options)


class BearerToken(grpc.AuthMetadataPlugin):
    def __init__(self, path):
        self.path = path

    def __call__(self, context, callback):
        try:
            with open(self.path) as file:
                callback((("authorization", "Bearer " + file.read().strip()),), None)
        except OSError as error:
            callback((), error)


def create(stub, request):
    """Retries with the same request id. Without one, a retry could create a second connection."""
    if not request.request_id:
        raise ValueError("a creation needs a request id")
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            return stub.CreateHubSpotConnection(request)
        except grpc.RpcError as error:
            delay = retry_delay(error)
            if delay is None or time.monotonic() + delay > give_up:
                raise
            print(f"in {delay:.1f} s again: {error.code().name}: {error.details()}", file=sys.stderr)
            time.sleep(delay)


def retry_delay(error):
    """In how many seconds the same call can be made again; None if that is pointless."""
    for info in details(error, error_details_pb2.RetryInfo):
        return info.retry_delay.ToTimedelta().total_seconds()
    # The service did not answer, or not in time.
    silent = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED
    return 1.0 if error.code() in silent else None


def explain(error):
    print(f"{error.code().name}: {error.details()}")
    for info in details(error, error_details_pb2.ErrorInfo):
        print("reason", info.reason)
        for key, value in sorted(info.metadata.items()):
            print("metadata", key, value)
    for bad_request in details(error, error_details_pb2.BadRequest):
        for violation in bad_request.field_violations:
            print("field", violation.field, violation.description)


def details(error, kind):
    """The details of this kind. An error of the library itself has none."""
    status = rpc_status.from_call(error) or status_pb2.Status()
    for detail in status.details:
        message = kind()
        if detail.Unpack(message):
            yield message


if __name__ == "__main__":
    main()
