import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { synapseJsonMembers, formatSynapseHeaders, type SynapseHeaders } from "../bittensor/synapse-headers.ts";
import type { Refusal } from "./refusal.ts";

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
  const retryAfter = refusal.retryAfterSeconds;
  return {
    status: refusal.status,
    headers: {
      ...formatSynapseHeaders(name, synapse),
      ...(retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }),
    },
    fragments: [encoder.encode(JSON.stringify({ message: refusal.message }))],
  };
}

export function byteLength(outgoing: Outgoing): number {
  return outgoing.fragments.reduce((sum, fragment) => sum + fragment.length, 0);
}

export function send(response: ServerResponse, outgoing: Outgoing, options: { close: boolean }): void {
  response.writeHead(outgoing.status, {
    ...outgoing.headers,
    "content-type": "application/json",
    "content-length": byteLength(outgoing),
    ...(options.close ? { connection: "close" } : {}),
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
