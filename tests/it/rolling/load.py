"""Calls a service repeatedly through gRPC's own client, until the standard input ends.

The first line of the input is the plan, in JSON:

    {"proto": directory, "connection": id, "table": path,
     "workers": [{"calls": "creates" or "reads", "target": …, "service_config": …, "pause": seconds,
                  "waits": whether a call begins only when the one before is over,
                  optionally "deadline": seconds, "dns_interval_ms": …}]}

Each worker is a caller with a channel and connections of its own. Prints a line when the first call
of each worker is over, and at the end one with every call, as JSON.
"""

import itertools
import json
import sys
import threading
import time
import uuid

import grpc

PACKAGE = "hubspot_connection/v1/"


def main():
    plan = json.loads(sys.stdin.readline())
    sys.path.insert(0, plan["proto"])
    messages, services = grpc.protos_and_services(PACKAGE + "hubspot_connection_service.proto")
    messages = Messages(messages, grpc.protos(PACKAGE + "hubspot_connection.proto"))

    stop = threading.Event()
    calls = []
    workers = []
    for number, worker in enumerate(plan["workers"]):
        options = [
            ("grpc.service_config", worker["service_config"]),
            # Channels of one process share their connections otherwise.
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_http_proxy", 0),
        ]
        if "dns_interval_ms" in worker:
            options.append(("grpc.dns_min_time_between_resolutions_ms", worker["dns_interval_ms"]))
        stub = services.HubSpotConnectionServiceStub(grpc.insecure_channel(worker["target"], options))
        make = creates(messages, number) if worker["calls"] == "creates" else reads(messages, plan)
        begun = threading.Event()
        arguments = (stub, make, worker["pause"], worker.get("deadline"), stop, begun, calls)
        target = work if worker["waits"] else begin
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        workers.append((thread, begun))

    for _, begun in workers:
        begun.wait()
    print(json.dumps("begun"), flush=True)
    sys.stdin.read()
    stop.set()
    for thread, _ in workers:
        thread.join()
    print(json.dumps(calls), flush=True)


class Messages:
    """The messages of several files by their names."""

    def __init__(self, *files):
        self.files = files

    def __getattr__(self, name):
        return next(getattr(file, name) for file in self.files if hasattr(file, name))


def creates(messages, number):
    for count in itertools.count():
        yield "CreateHubSpotConnection", messages.CreateHubSpotConnectionRequest(
            name=f"caller {number} connection {count}",
            request_id=str(uuid.uuid4()),
            credentials=messages.HubSpotCredentials(
                client_id="client",
                client_secret="secret",
                access_token="access",
                refresh_token="refresh",
            ),
        )


def reads(messages, plan):
    id, table = plan["connection"], plan["table"]
    yield from itertools.cycle(
        [
            ("GetHubSpotConnection", messages.GetHubSpotConnectionRequest(id=id)),
            ("ListHubSpotConnections", messages.ListHubSpotConnectionsRequest(page_size=5)),
            ("TestHubSpotConnection", messages.TestHubSpotConnectionRequest(id=id)),
            ("ListHubSpotTables", messages.ListHubSpotTablesRequest(id=id)),
            ("GetHubSpotTable", messages.GetHubSpotTableRequest(id=id, table=table)),
        ]
    )


def work(stub, requests, pause, deadline, stop, begun, calls):
    for method, request in requests:
        started = time.monotonic()
        call = getattr(stub, method).future(request, timeout=deadline)
        call.exception()
        note(call, method, request, started, calls)
        begun.set()
        if stop.wait(pause):
            return


def begin(stub, requests, pause, deadline, stop, begun, calls):
    """Begins a call after each pause, however long the others take."""
    first = time.monotonic()
    begun_calls = []
    for count, (method, request) in enumerate(requests):
        started = time.monotonic()
        over = threading.Event()
        call = getattr(stub, method).future(request, timeout=deadline)

        def done(call, method=method, request=request, started=started, over=over):
            note(call, method, request, started, calls)
            begun.set()
            over.set()

        call.add_done_callback(done)
        begun_calls.append(over)
        if stop.wait(max(0, first + (count + 1) * pause - time.monotonic())):
            break
    for over in begun_calls:
        over.wait()


def note(call, method, request, started, calls):
    noted = {
        "method": method,
        "name": getattr(request, "name", ""),
        "request_id": getattr(request, "request_id", ""),
        "code": call.code().name,
        "message": call.details() or "",
        "seconds": time.monotonic() - started,
    }
    if call.code() == grpc.StatusCode.OK:
        noted["id"] = getattr(call.result(), "id", "")
    calls.append(noted)


main()
