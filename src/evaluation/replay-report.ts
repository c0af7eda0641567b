import { answerResponse, fieldTexts } from "../axon/response.ts";
import { UNREAD_HEADERS } from "../bittensor/synapse-headers.ts";
import type { Damage } from "../store/recording-format.ts";
import { INPUT_FIELD, OUTPUT_FIELD } from "../subnets/synth/simulation.ts";
import type { Hotkey } from "../units.ts";
import type { Rehearsal } from "./raw-replay.ts";
import type { Readmission } from "./readmission.ts";
import type { ReplayReport } from "./replay.ts";

/** One line for the verdict, then one for each difference and note. */
export function describeReplay(report: ReplayReport): string {
  const differences = report.differences.map(
    ({ what, recorded, replayed }) => `  differs: ${what}\n    recorded: ${recorded}\n    replayed: ${replayed}`,
  );
  const notes = report.notes.map((note) => `  note: ${note}`);
  return [`${report.id} ${report.outcome}: ${report.summary}`, ...differences, ...notes].join("\n");
}

export function describeDamage(damage: Damage): string {
  const { segment, offset, bytes, code, message } = damage;
  return `damaged: ${segment} at byte ${offset}, ${bytes} bytes (${code}): ${message}`;
}

export function describeReadmission(readmission: Readmission): string {
  if (readmission.ok) return `admission: passed, signed by ${readmission.sender ?? "nobody"}`;
  const { step, refusal } = readmission;
  return `admission: refused at ${step}: ${refusal.status} ${refusal.message}`;
}

export function describeRehearsal(rehearsal: Rehearsal): string {
  return [
    `engine: ${rehearsal.engine} (version ${rehearsal.engineVersion})`,
    ...rehearsal.handOvers.map((handOver) => `hand-over: ${handOver}`),
    `anchor: ${rehearsal.anchor}`,
    `answer: ${rehearsal.output.length} bytes, sha256 ${rehearsal.digest}`,
    `verdict: ${rehearsal.verdict}`,
  ].join("\n");
}

/** The body of the response as the axon sends it, but for connection, times and the axon's signature. */
export function responseJson(
  readmission: Readmission,
  answer: { receiver: Hotkey; fields: Readonly<Record<string, unknown>>; output: Uint8Array },
): Uint8Array {
  const headers = readmission.headers ?? UNREAD_HEADERS;
  const axon = { ...headers.axon, statusCode: 200, statusMessage: "Success", hotkey: answer.receiver };
  const fields = fieldTexts([INPUT_FIELD, OUTPUT_FIELD], { [OUTPUT_FIELD]: answer.output }, answer.fields);
  return Buffer.concat(answerResponse(readmission.synapse, { ...headers, axon }, fields).fragments);
}
