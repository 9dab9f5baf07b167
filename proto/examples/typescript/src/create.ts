/**
 * Creates a connection, whatever fails in between, and then shows how to read an error.
 *
 *     npm start ADDRESS
 *
 * CA_FILE is an authority in PEM: with it the connection uses TLS. TOKEN_FILE has a bearer token; it is read for each
 * call, because it can be replaced. REQUEST_ID resumes an earlier creation.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import * as grpc from "@grpc/grpc-js";
import * as loader from "@grpc/proto-loader";

import type { BadRequest__Output as BadRequest } from "./generated/google/rpc/BadRequest.js";
import type { ErrorInfo__Output as ErrorInfo } from "./generated/google/rpc/ErrorInfo.js";
import type { RetryInfo__Output as RetryInfo } from "./generated/google/rpc/RetryInfo.js";
import type { CreateHubSpotConnectionRequest } from "./generated/hubspot_connection/v1/CreateHubSpotConnectionRequest.js";
import type { CreateHubSpotConnectionResponse__Output as CreateHubSpotConnectionResponse } from "./generated/hubspot_connection/v1/CreateHubSpotConnectionResponse.js";
import type { HubSpotConnectionServiceClient } from "./generated/hubspot_connection/v1/HubSpotConnectionService.js";
import type { ProtoGrpcType as ServiceTypes } from "./generated/hubspot_connection_service.js";
import type { ProtoGrpcType as StatusTypes } from "./generated/status.js";

/** How long a creation may take with all its retries, in milliseconds. */
const PATIENCE = 300_000;

/** What npm run generate was called with. */
const OPTIONS = {
  defaults: true,
  json: true,
  longs: String,
  enums: String,
  includeDirs: ["proto", "node_modules/google-proto-files"],
};

function load<Types>(...files: string[]): Types {
  return grpc.loadPackageDefinition(loader.loadSync(files, OPTIONS)) as unknown as Types;
}

const { hubspot_connection } = load<ServiceTypes>("hubspot_connection/v1/hubspot_connection_service.proto");
const { google } = load<StatusTypes>("google/rpc/status.proto", "google/rpc/error_details.proto");

async function main(address: string | undefined): Promise<void> {
  if (!address) throw new Error("usage: npm start ADDRESS");
  const client = connect(address, process.env.CA_FILE, process.env.TOKEN_FILE);

  // Print it, or store it, before the first attempt: a caller that has it can finish the creation.
  const requestId = process.env.REQUEST_ID ?? randomUUID();
  console.log("request_id", requestId);
  // Never print or log a message with credentials: nothing hides them in its text.
  const request: CreateHubSpotConnectionRequest = {
    requestId,
    name: "connection for HubSpot",
    credentials: {
      clientId: "demo-hubspot-client",
      clientSecret: "demo-hubspot-secret",
      accessToken: "demo-hubspot-access-token",
      refreshToken: "demo-hubspot-refresh-token",
    },
  };
  try {
    const created = await create(client, request);
    console.log("id", created.id);
    console.log("etag", created.etag);
    console.log("replayed", created.replayed);
  } catch (error) {
    explain(error);
    throw new Error(`to resume: REQUEST_ID=${requestId}`);
  }

  // Two errors to look at: the same request id for something else, and invalid fields.
  for (const wrong of ["something else", ""]) {
    try {
      await create(client, { ...request, name: wrong });
    } catch (error) {
      explain(error);
    }
  }
  client.close();
}

function connect(address: string, caFile?: string, tokenFile?: string): HubSpotConnectionServiceClient {
  let credentials = caFile ? grpc.credentials.createSsl(readFileSync(caFile)) : grpc.credentials.createInsecure();
  if (tokenFile) {
    if (!caFile) throw new Error("a token is only sent over TLS: set CA_FILE");
    const token = grpc.credentials.createFromMetadataGenerator((_, callback) => {
      try {
        const metadata = new grpc.Metadata();
        metadata.set("authorization", `Bearer ${readFileSync(tokenFile, "utf8").trim()}`);
        callback(null, metadata);
      } catch (error) {
        callback(error as Error);
      }
    });
    credentials = grpc.credentials.combineChannelCredentials(credentials, token);
  }
  // This library balances and retries as the service config says, but does not ask for the health of replicas.
  const serviceConfig = readFileSync("service-config-request-ids.json", "utf8");
  return new hubspot_connection.v1.HubSpotConnectionService(address, credentials, {
    "grpc.service_config": serviceConfig,
    // A replica that stops works for a while, so that callers can learn its successor's address by then.
    "grpc.dns_min_time_between_resolutions_ms": 10_000,
  });
}

/** Retries with the same request id. Without one, a retry could create a second connection. */
async function create(
  client: HubSpotConnectionServiceClient,
  request: CreateHubSpotConnectionRequest,
): Promise<CreateHubSpotConnectionResponse> {
  if (!request.requestId) throw new Error("a creation needs a request id");
  const giveUp = Date.now() + PATIENCE;
  for (;;) {
    try {
      return await send(client, request);
    } catch (error) {
      const delay = retryDelay(error);
      if (delay === undefined || Date.now() + delay > giveUp) throw error;
      console.error(`in ${delay} ms again: ${(error as Error).message}`);
      await sleep(delay);
    }
  }
}

function send(
  client: HubSpotConnectionServiceClient,
  request: CreateHubSpotConnectionRequest,
): Promise<CreateHubSpotConnectionResponse> {
  // This library does not read waitForReady in the service config.
  const metadata = new grpc.Metadata({ waitForReady: true });
  return new Promise((resolve, reject) => {
    client.createHubSpotConnection(request, metadata, (error, response) => {
      if (response) resolve(response);
      else reject(error);
    });
  });
}

/** In how many milliseconds the same call can be made again; undefined if that is pointless. */
function retryDelay(error: unknown): number | undefined {
  const delay = detail<RetryInfo>(error, "google.rpc.RetryInfo")?.retryDelay;
  if (delay) return Number(delay.seconds) * 1000 + delay.nanos / 1_000_000;
  // The service did not answer, or not in time.
  const silent = [grpc.status.UNAVAILABLE, grpc.status.DEADLINE_EXCEEDED];
  return silent.includes((error as grpc.ServiceError).code) ? 1000 : undefined;
}

function explain(error: unknown): void {
  console.log((error as Error).message);
  const info = detail<ErrorInfo>(error, "google.rpc.ErrorInfo");
  if (info) {
    console.log("reason", info.reason);
    for (const [key, value] of Object.entries(info.metadata)) console.log("metadata", key, value);
  }
  const invalid = detail<BadRequest>(error, "google.rpc.BadRequest");
  for (const { field, description } of invalid?.fieldViolations ?? []) console.log("field", field, description);
}

/** The detail of this type. An error of the library itself has none. */
function detail<Type>(error: unknown, type: string): Type | undefined {
  const bytes = (error as grpc.ServiceError).metadata?.get("grpc-status-details-bin")[0];
  if (!(bytes instanceof Buffer)) return undefined;
  const { details } = google.rpc.Status.deserialize(bytes);
  return details.find((any) => "@type" in any && any["@type"].endsWith(`/${type}`)) as Type | undefined;
}

await main(process.argv[2]);
