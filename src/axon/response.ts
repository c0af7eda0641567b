import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { promisify } from "node:util";
import { constants, gzip } from "node:zlib";
import { synapseJsonMembers, formatSynapseHeaders, type SynapseHeaders } from "../bittensor/synapse-headers.ts";
import type { Refusal } from "./refusal.ts";
import { isLongUnread } from "./request-body.ts";

const encoder = new TextEncoder();

/** A response ready to leave, its body in fragments that were never joined. */
export interface Outgoing {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly fragments: readonly Uint8Array[];
}

/** Every field of the synapse: what the answer set, else what the request sent, else null. */
export function answerResponse(
  name: string,
  synapse: SynapseHeaders,
  fields: readonly (readonly [string, Uint8Array])[],
): Outgoing {
  const fragments: Uint8Array[] = [encoder.encode(`{${synapseJsonMembers(name, synapse)}`)];
  for (const [field, json] of fields) fragments.push(encoder.encode(`,${JSON.stringify(field)}:`), json);
  fragments.push(encoder.encode("}"));
  return { status: 200, headers: formatSynapseHeaders(name, synapse), fragments };
}

/** The response fields in the service's order, as JSON text. */
export function fieldTexts(
  names: readonly string[],
  answered: Readonly<Record<string, Uint8Array>>,
  body: Readonly<Record<string, unknown>>,
): [string, Uint8Array][] {
  return names.map((name) => {
    const set = Object.hasOwn(answered, name) ? answered[name] : undefined;
    if (set !== undefined) return [name, set];
    const sent = Object.hasOwn(body, name) ? body[name] : null;
    return [name, encoder.encode(JSON.stringify(sent))];
  });
}

export function refusalResponse(name: string, synapse: SynapseHeaders, refusal: Refusal): Outgoing {
  return bareRefusal(refusal, formatSynapseHeaders(name, synapse));
}

/** Without what the protocol repeats of the request. */
export function bareRefusal(refusal: Refusal, headers: Record<string, string> = {}): Outgoing {
  if (refusal.retryAfterSeconds !== undefined) headers["retry-after"] = String(refusal.retryAfterSeconds);
  return { status: refusal.status, headers, fragments: [encoder.encode(JSON.stringify({ message: refusal.message }))] };
}

const compress = promisify(gzip);
/** Below it an answer leaves in a few packets anyway. */
const MIN_GZIP_BYTES = 16_384;

/**
 * The response by gzip if the client reads that and it is large. A validator hears every miner at once through one line:
 * less than half of the bytes is what keeps its timeout. Prices hardly repeat, so Huffman codes alone gain all that gzip
 * can, in half its time (2.9 MB to 1.3 MB in 15 ms of another thread, measured on 2 × AMD EPYC).
 */
export async function gzipped(outgoing: Outgoing, acceptEncoding: string | undefined): Promise<Outgoing> {
  const bytes = byteLength(outgoing);
  if (bytes < MIN_GZIP_BYTES || !acceptsGzip(acceptEncoding)) return outgoing;
  // Prices fit into one chunk: every further one is a trip to the other thread and back.
  const options = { strategy: constants.Z_HUFFMAN_ONLY, chunkSize: Math.ceil(bytes * 0.6) };
  const body = await compress(Buffer.concat(outgoing.fragments, bytes), options);
  return { ...outgoing, headers: { ...outgoing.headers, "content-encoding": "gzip" }, fragments: [body] };
}

/** RFC 9110: a list of codings, each with an optional weight; weight 0 means never. */
function acceptsGzip(header: string | undefined): boolean {
  const coding = header
    ?.toLowerCase()
    .split(",")
    .map((entry) => entry.split(";").map((part) => part.trim()))
    .find(([name]) => name === "gzip" || name === "x-gzip");
  return coding !== undefined && !coding.slice(1).some((weight) => /^q=0(\.0*)?$/.test(weight));
}

export function byteLength(outgoing: Outgoing): number {
  return outgoing.fragments.reduce((sum, fragment) => sum + fragment.length, 0);
}

/** Ends the connection with the response if `close`, or if much of its request's body is still to come. */
export function send(response: ServerResponse, outgoing: Outgoing, options: { close: boolean }): void {
  const closes = options.close || isLongUnread(response.req);
  response.writeHead(outgoing.status, {
    ...outgoing.headers,
    "content-type": "application/json",
    "content-length": byteLength(outgoing),
    ...(closes ? { connection: "close" } : {}),
  });
  response.cork();
  for (const fragment of outgoing.fragments) response.write(fragment);
  response.uncork();
  response.end();
}

export function digests(fields: Readonly<Record<string, Uint8Array>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, json]) => [name, createHash("sha256").update(json).digest("hex")]),
  );
}
