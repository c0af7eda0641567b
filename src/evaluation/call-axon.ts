import { randomUUID } from "node:crypto";
import { Agent } from "node:http";
import axios from "axios";
import { parseSynapseResponse, signedRequest, type SynapseResponse } from "../bittensor/dendrite.ts";
import type { Signer } from "../bittensor/signature.ts";
import { systemClock } from "../clock.ts";
import { describeError, OperationalError } from "../errors.ts";
import { INPUT_FIELD, OUTPUT_FIELD, parseSimulation } from "../subnets/synth/simulation.ts";
import { CORRECT, validateAnswer } from "../subnets/synth/validate-answer.ts";
import { hotkey, millisToNanos } from "../units.ts";

/** Far above the largest answer (30 MB of text). */
const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;
/** A connection per call, as validators' dendrites do it; a kept one may be closed under the next request. */
const AGENT = new Agent({ keepAlive: false });

export interface AxonCall {
  /** Of the axon; its path is the synapse's unless the URL names one. */
  readonly url: URL;
  readonly keypair: Signer;
  readonly receiver: string;
  readonly synapse: string;
  /** The synapse's own fields. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly timeoutSeconds: number;
  readonly signal?: AbortSignal;
}

export interface AxonReply {
  readonly response: SynapseResponse;
  /** From signing to the last byte. */
  readonly seconds: number;
  readonly body: string;
}

/** Signs the synapse as a validator does and posts it. Throws OperationalError `send/failed` when no response comes. */
export async function callAxon(call: AxonCall): Promise<AxonReply> {
  const { url, keypair, receiver } = call;
  const startedMs = performance.now();
  const request = signedRequest({
    keypair,
    receiverHotkey: receiver,
    synapse: call.synapse,
    body: call.fields,
    timeoutSeconds: call.timeoutSeconds,
    nonce: millisToNanos(systemClock.nowMs()),
    uuid: randomUUID(),
  });
  const target = url.pathname === "/" ? new URL(request.path, url) : url;
  const { status, headers, data } = await post(target, request, call);
  const seconds = (performance.now() - startedMs) / 1000;
  const hotkeys = { dendriteHotkey: keypair.address, axonHotkey: receiver };
  const response = parseSynapseResponse({ status, headers: plainHeaders(headers), body: data }, hotkeys);
  return { response, seconds, body: data };
}

/** `CORRECT`, or what a validator would say of the reply to these fields. A ping has nothing to judge. */
export function judgeReply({ fields, receiver }: AxonCall, { response }: AxonReply): string {
  if (response.status !== 200) return `HTTP ${response.status}: ${response.message}`;
  if (response.json === undefined) return "The response is not a JSON object";
  if (!Object.hasOwn(fields, INPUT_FIELD)) return CORRECT;
  const parsed = parseSimulation(fields[INPUT_FIELD], hotkey(receiver));
  if (!parsed.ok) return `The request is not valid: ${parsed.message}`;
  return validateAnswer(response.json[OUTPUT_FIELD], parsed.request);
}

async function post(
  target: URL,
  request: { headers: Readonly<Record<string, string>>; body: string },
  call: AxonCall,
): Promise<{ status: number; headers: object; data: string }> {
  try {
    return await axios.post<string>(target.href, request.body, {
      headers: request.headers,
      responseType: "text",
      transformResponse: (text: string) => text,
      validateStatus: () => true,
      timeout: Math.ceil(call.timeoutSeconds * 1000),
      maxContentLength: MAX_RESPONSE_BYTES,
      maxRedirects: 0,
      proxy: false,
      httpAgent: AGENT,
      ...(call.signal ? { signal: call.signal } : {}),
    });
  } catch (error) {
    // Not as the cause: axios errors carry the whole request.
    throw new OperationalError("send/failed", `No response from ${target.origin}: ${describeError(error)}`);
  }
}

function plainHeaders(headers: object): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]));
}
