import { INPUT_FIELD } from "../subnets/synth/simulation.ts";
import { CORRECT } from "../subnets/synth/validate-answer.ts";
import { callAxon, judgeReply, type AxonCall } from "./call-axon.ts";

/** Fields that the signing writes itself. */
const SYNAPSE_FIELDS: ReadonlySet<string> = new Set([
  ...["name", "timeout", "total_size", "header_size", "dendrite", "axon", "computed_body_hash"],
]);

export interface SendOptions extends AxonCall {
  /** Replaces simulation_input.start_time. */
  readonly startTime: string | null;
}

export interface SendReport {
  /** `CORRECT`, or what is wrong with the response. */
  readonly verdict: string;
  readonly status: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly body: string;
}

/** Signs a recorded request afresh and posts it. Throws OperationalError `send/failed` when no response comes. */
export async function sendAfresh(options: SendOptions): Promise<SendReport> {
  const call: AxonCall = { ...options, fields: freshFields(options) };
  const reply = await callAxon(call);
  const { body, seconds, response } = reply;
  const verdict = judgeReply(call, reply);
  const unsigned = verdict === CORRECT && !response.signatureValid;
  return {
    verdict: unsigned ? `The response is not signed by ${options.receiver}` : verdict,
    status: response.status,
    seconds,
    bytes: Buffer.byteLength(body),
    body,
  };
}

function freshFields({ fields, startTime }: SendOptions): Record<string, unknown> {
  const own = Object.fromEntries(Object.entries(fields).filter(([name]) => !SYNAPSE_FIELDS.has(name)));
  const input = own[INPUT_FIELD];
  if (startTime === null || typeof input !== "object" || input === null) return own;
  return { ...own, [INPUT_FIELD]: { ...input, start_time: startTime } };
}
