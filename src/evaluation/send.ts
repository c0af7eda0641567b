import { randomUUID } from "node:crypto";
import axios from "axios";
import { parseSynapseResponse, signedRequest } from "../bittensor/dendrite.ts";
import type { Signer } from "../bittensor/signature.ts";
import { systemClock } from "../clock.ts";
import { describeError, OperationalError } from "../errors.ts";
import { INPUT_FIELD, OUTPUT_FIELD, parseSimulation } from "../subnets/synth/simulation.ts";
import { CORRECT, validateAnswer } from "../subnets/synth/validate-answer.ts";
import { hotkey, millisToNanos } from "../units.ts";

/** Far above the largest answer (40 MB of text at 4,000,000 prices). */
const MAX_RESPONSE_BYTES = 128 * 1024 * 1024;
/** Fields that the signing writes itself. */
const SYNAPSE_FIELDS: ReadonlySet<string> = new Set([
  ...["name", "timeout", "total_size", "header_size", "dendrite", "axon", "computed_body_hash"],
]);

export interface SendOptions {
  /** Of the axon; its path is the synapse's unless the URL names one. */
  readonly url: URL;
  readonly keypair: Signer;
  readonly receiver: string;
  readonly synapse: string;
  /** The recorded body's fields. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly timeoutSeconds: number;
  /** Replaces simulation_input.start_time. */
  readonly startTime: string | null;
  readonly signal: AbortSignal;
}

export interface SendReport {
  /** `CORRECT`, or what is wrong with the response. */
  readonly verdict: string;
  readonly status: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly body: string;
}

/** Signs the request afresh and posts it. Throws OperationalError `send/failed` when no response comes. */
export async function sendAfresh(options: SendOptions): Promise<SendReport> {
  const { url, keypair, receiver } = options;
  const fields = freshFields(options);
  const startedMs = systemClock.nowMs();
  const request = signedRequest({
    keypair,
    receiverHotkey: receiver,
    synapse: options.synapse,
    body: fields,
    timeoutSeconds: options.timeoutSeconds,
    nonce: millisToNanos(startedMs),
    uuid: randomUUID(),
  });
  const target = url.pathname === "/" ? new URL(request.path, url) : url;
  const { status, headers, data } = await post(target, request, options);
  const seconds = (systemClock.nowMs() - startedMs) / 1000;
  const response = parseSynapseResponse(
    { status, headers: plainHeaders(headers), body: data },
    { dendriteHotkey: keypair.address, axonHotkey: receiver },
  );
  const report = { status, seconds, bytes: Buffer.byteLength(data), body: data };
  if (status !== 200) return { ...report, verdict: `HTTP ${status}: ${response.message}` };
  if (response.json === undefined) return { ...report, verdict: "The response is not a JSON object" };
  if (!response.signatureValid) return { ...report, verdict: `The response is not signed by ${receiver}` };
  return { ...report, verdict: judge(fields, response.json, receiver) };
}

function freshFields({ fields, startTime }: SendOptions): Record<string, unknown> {
  const own = Object.fromEntries(Object.entries(fields).filter(([name]) => !SYNAPSE_FIELDS.has(name)));
  const input = own[INPUT_FIELD];
  if (startTime === null || typeof input !== "object" || input === null) return own;
  return { ...own, [INPUT_FIELD]: { ...input, start_time: startTime } };
}

/** A ping has nothing to judge. */
function judge(fields: Record<string, unknown>, answer: Readonly<Record<string, unknown>>, receiver: string): string {
  if (!Object.hasOwn(fields, INPUT_FIELD)) return CORRECT;
  const parsed = parseSimulation(fields[INPUT_FIELD], hotkey(receiver));
  return parsed.ok
    ? validateAnswer(answer[OUTPUT_FIELD], parsed.request)
    : `The request is not valid: ${parsed.message}`;
}

async function post(
  target: URL,
  request: { headers: Readonly<Record<string, string>>; body: string },
  options: SendOptions,
): Promise<{ status: number; headers: object; data: string }> {
  try {
    return await axios.post<string>(target.href, request.body, {
      headers: request.headers,
      responseType: "text",
      transformResponse: (text: string) => text,
      validateStatus: () => true,
      timeout: Math.ceil(options.timeoutSeconds * 1000),
      maxContentLength: MAX_RESPONSE_BYTES,
      maxRedirects: 0,
      proxy: false,
      signal: options.signal,
    });
  } catch (error) {
    // Not as the cause: axios errors carry the whole request.
    throw new OperationalError("send/failed", `No response from ${target.origin}: ${describeError(error)}`);
  }
}

function plainHeaders(headers: object): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]));
}
