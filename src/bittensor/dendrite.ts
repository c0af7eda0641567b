import { bodyHash } from "./body-hash.ts";
import { formatSignature, parseSignature, verifySignature, type Signer } from "./signature.ts";
import { PROTOCOL_VERSION, requestMessage, responseMessage } from "./signed-message.ts";
import {
  formatSynapseHeaders,
  parseSynapseHeaders,
  synapseJsonMembers,
  type HeaderBag,
  type SynapseHeaders,
} from "./synapse-headers.ts";

/** A validator's side of a synapse call, without its transport. */

export interface SynapseCall {
  readonly keypair: Signer;
  readonly receiverHotkey: string;
  readonly receiverIp?: string;
  readonly receiverPort?: number;
  readonly synapse: string;
  /** The synapse's own fields. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly timeoutSeconds: number;
  /** Unix nanoseconds. */
  readonly nonce: bigint;
  readonly uuid: string;
  readonly dendriteIp?: string;
  readonly requiredHashFields?: readonly string[];
}

export interface SignedRequest {
  readonly method: "POST";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The request that `bittensor.Dendrite` would send for this synapse. */
export function signedRequest(call: SynapseCall): SignedRequest {
  const { keypair, receiverHotkey, nonce, uuid } = call;
  const computedBodyHash = bodyHash(JSON.stringify(call.body), call.requiredHashFields ?? []);
  const parts = { nonce, dendriteHotkey: keypair.address, axonHotkey: receiverHotkey, uuid, computedBodyHash };
  const synapse: SynapseHeaders = {
    timeoutSeconds: call.timeoutSeconds,
    headerSize: 0,
    totalSize: 0,
    computedBodyHash,
    axon: { ip: call.receiverIp, port: call.receiverPort, hotkey: receiverHotkey },
    dendrite: {
      ip: call.dendriteIp ?? "127.0.0.1",
      version: PROTOCOL_VERSION,
      nonce,
      uuid,
      hotkey: keypair.address,
      signature: formatSignature(keypair.sign(requestMessage(parts))),
    },
  };
  const own = Object.entries(call.body).map(
    ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value ?? null)}`,
  );
  const inputs = Object.entries(call.body)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([key, value]) => [`bt_header_input_obj_${key}`, Buffer.from(emptyJson(value)).toString("base64")]);
  return {
    method: "POST",
    path: `/${call.synapse}`,
    headers: {
      ...formatSynapseHeaders(call.synapse, synapse),
      ...(Object.fromEntries(inputs) as Record<string, string>),
      "content-type": "application/json",
    },
    body: `{${[synapseJsonMembers(call.synapse, synapse), ...own].join(",")}}`,
  };
}

/** JSON of the empty value of a value's type, as the SDK announces required fields. */
function emptyJson(value: unknown): string {
  if (Array.isArray(value)) return "[]";
  if (typeof value === "object") return "{}";
  if (typeof value === "number") return "0";
  return typeof value === "boolean" ? "false" : '""';
}

export interface SynapseResponse {
  readonly status: number;
  /** The parsed body; undefined when it is not a JSON object. */
  readonly json: Readonly<Record<string, unknown>> | undefined;
  /** The axon's status message, or the error's. */
  readonly message: string;
  readonly processTimeSeconds: number | undefined;
  /** Whether the axon's signature over its nonce, both hotkeys and its uuid is valid. */
  readonly signatureValid: boolean;
}

/** Reads an axon's response and checks its signature. Never throws for a hostile response. */
export function parseSynapseResponse(
  response: { status: number; headers: HeaderBag; body: string },
  call: { dendriteHotkey: string; axonHotkey: string },
): SynapseResponse {
  const json = parseObject(response.body);
  const parsed = parseSynapseHeaders(response.headers);
  const message = json?.["message"] ?? headerText(response.headers, "bt_header_axon_status_message");
  const processTime = Number(headerText(response.headers, "bt_header_axon_process_time") || Number.NaN);
  return {
    status: response.status,
    json,
    message: typeof message === "string" ? message : "",
    processTimeSeconds: Number.isFinite(processTime) ? processTime : undefined,
    signatureValid: parsed.ok && signedByAxon(parsed.value, call),
  };
}

function signedByAxon(synapse: SynapseHeaders, call: { dendriteHotkey: string; axonHotkey: string }): boolean {
  const { nonce, uuid, hotkey, signature } = synapse.axon;
  const bytes = parseSignature(signature ?? "");
  if (nonce === undefined || uuid === undefined || hotkey !== call.axonHotkey || bytes === undefined) return false;
  const message = responseMessage({ nonce, uuid, ...call });
  return (["sr25519", "ed25519"] as const).some((scheme) =>
    verifySignature({ scheme, address: call.axonHotkey, message, signature: bytes }),
  );
}

function headerText(headers: HeaderBag, name: string): string {
  const value = headers[name];
  return typeof value === "string" ? value : "";
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
