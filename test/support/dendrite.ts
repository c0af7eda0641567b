import { randomUUID } from "node:crypto";
import { request as httpRequest, type Agent, type IncomingHttpHeaders } from "node:http";
import {
  parseSynapseResponse,
  signedRequest,
  type SynapseCall,
  type SynapseResponse,
} from "../../src/bittensor/dendrite.ts";

/** A validator for tests: signs with src/bittensor/dendrite.ts, speaks plain HTTP. */

export interface RawResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface RawRequest {
  readonly port: number;
  readonly host?: string;
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Several parts are sent chunked; `null` never ends the body. */
  readonly body?: string | readonly (string | Uint8Array | null)[];
  readonly agent?: Agent;
  readonly signal?: AbortSignal;
}

export function exchange(call: RawRequest): Promise<RawResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<RawResponse>();
  const request = httpRequest(
    {
      host: call.host ?? "127.0.0.1",
      port: call.port,
      method: call.method ?? "POST",
      path: call.path,
      headers: {
        ...(typeof call.body === "string" ? { "content-length": Buffer.byteLength(call.body) } : {}),
        ...call.headers,
      },
      agent: call.agent ?? false,
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    },
    (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        request.destroy(); // ends a body that we never meant to finish
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
        });
      });
    },
  );
  request.on("error", reject);
  if (typeof call.body === "string" || call.body === undefined) request.end(call.body);
  else {
    for (const part of call.body) if (part !== null) request.write(part);
    if (!call.body.includes(null)) request.end();
    else request.flushHeaders();
  }
  return promise;
}

export type Ask = Omit<SynapseCall, "nonce" | "uuid" | "timeoutSeconds" | "synapse" | "body"> & {
  readonly port: number;
  readonly nonce?: bigint;
  readonly uuid?: string;
  readonly timeoutSeconds?: number;
  readonly synapse?: string;
  readonly body?: Readonly<Record<string, unknown>>;
  /** Headers to replace after signing. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent in place of the signed body. */
  readonly rawBody?: RawRequest["body"];
  readonly agent?: Agent;
  readonly signal?: AbortSignal;
};

let lastNonce = 0n;

/** Now, and strictly greater than every nonce before it. */
export function nextNonce(): bigint {
  const now = BigInt(Date.now()) * 1_000_000n;
  lastNonce = now > lastNonce ? now : lastNonce + 1n;
  return lastNonce;
}

export function signedCall(ask: Ask): RawRequest {
  const signed = signedRequest({
    ...ask,
    synapse: ask.synapse ?? "Simulation",
    body: ask.body ?? { simulation_input: { asset: "BTC" }, simulation_output: null },
    timeoutSeconds: ask.timeoutSeconds ?? 12,
    nonce: ask.nonce ?? nextNonce(),
    uuid: ask.uuid ?? randomUUID(),
  });
  return {
    port: ask.port,
    path: signed.path,
    headers: { ...signed.headers, ...ask.headers },
    body: ask.rawBody ?? signed.body,
    ...(ask.agent === undefined ? {} : { agent: ask.agent }),
    ...(ask.signal === undefined ? {} : { signal: ask.signal }),
  };
}

export async function askAxon(ask: Ask): Promise<SynapseResponse & { readonly raw: RawResponse }> {
  const raw = await exchange(signedCall(ask));
  const parsed = parseSynapseResponse(raw, { dendriteHotkey: ask.keypair.address, axonHotkey: ask.receiverHotkey });
  return { ...parsed, raw };
}
