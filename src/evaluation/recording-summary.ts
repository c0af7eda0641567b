import { parseJsonBody } from "../axon/request-body.ts";
import type { ForecastRequest } from "../engines/engine.ts";
import type { Recording } from "../store/recording-format.ts";
import { readEvidence } from "../subnets/synth/evidence.ts";
import { INPUT_FIELD, parseSimulation } from "../subnets/synth/simulation.ts";

/** What a list shows of a recording; null where the request was refused before it came to that. */
export interface RecordingSummary {
  readonly id: string;
  readonly receivedAt: string;
  readonly receiver: string;
  readonly sender: string;
  readonly synapse: string;
  readonly asset: string | null;
  readonly horizonSeconds: number | null;
  readonly numSimulations: number | null;
  readonly startTime: number | null;
  readonly engine: string | null;
  /** `engine code` of each. */
  readonly handOvers: readonly string[];
  readonly status: number;
  readonly message: string;
  readonly totalMs: number;
  readonly responseBytes: number;
  readonly anchorSource: string | null;
}

export function summarise({ id, exchange }: Recording): RecordingSummary {
  const read = readEvidence(exchange.evidence);
  const evidence = read.status === "unreadable" ? null : read.evidence;
  const request = evidence?.task.request ?? askedFor(exchange);
  return {
    id,
    receivedAt: new Date(exchange.receivedAtMs).toISOString(),
    receiver: exchange.receiver,
    sender: exchange.sender.hotkey,
    synapse: exchange.synapse,
    asset: request?.asset ?? null,
    horizonSeconds: request?.horizonSeconds ?? null,
    numSimulations: request?.numSimulations ?? null,
    startTime: request?.startTime ?? null,
    engine: evidence?.engine ?? null,
    handOvers: (evidence?.handOvers ?? []).map(({ engine, code }) => `${engine} ${code}`),
    status: exchange.status,
    message: exchange.message,
    totalMs: exchange.timings.totalMs,
    responseBytes: exchange.responseBytes,
    anchorSource: evidence?.anchor.source ?? null,
  };
}

/** The request of an exchange without an answer, where its body can be read. */
function askedFor({ body, receiver }: Recording["exchange"]): ForecastRequest | null {
  const json = parseJsonBody(body);
  const parsed = json.ok ? parseSimulation(json.value[INPUT_FIELD], receiver) : null;
  return parsed?.ok === true ? parsed.request : null;
}
