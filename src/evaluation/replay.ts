import { isDeepStrictEqual } from "node:util";
import type { Config } from "../config/schema.ts";
import type { AnchorPrice, ForecastRequest, StateSnapshot } from "../engines/engine.ts";
import { runForecast } from "../engines/forecast.ts";
import { planForecast, whenReady, type Engines } from "../engines/route.ts";
import { anchorPriceOf, withAnchorPrice, type EngineInput, type ForecastResult } from "../engines/task.ts";
import { describeError, OperationalError } from "../errors.ts";
import type { Recording } from "../store/recording-format.ts";
import type { SoftwareIdentity } from "../store/recording-identity.ts";
import type { LoadedState } from "../store/volatility-store.ts";
import { readEvidence, type SimulationEvidence } from "../subnets/synth/evidence.ts";
import { OUTPUT_FIELD } from "../subnets/synth/simulation.ts";
import { unixMillis } from "../units.ts";
import { readmit, type Readmission } from "./readmission.ts";

/** One thing that is not as it was recorded, both sides as text. */
export interface Difference {
  readonly what: string;
  readonly recorded: string;
  readonly replayed: string;
}

export interface ReplayReport {
  readonly id: string;
  /**
   * `identical`: the same admission and, where there was an answer, the same bytes. `irreproducible`: load, timing or
   * the connection decided the outcome, and the recording holds no answer to compare with; or the engine is gone.
   */
  readonly outcome: "identical" | "different" | "irreproducible";
  /** What was reproduced, or why nothing could be. */
  readonly summary: string;
  /** Empty when identical. */
  readonly differences: readonly Difference[];
  /** What changed in software and inputs although the bytes may be the same. */
  readonly notes: readonly string[];
  /** The replayed simulation_output; null where no answer belongs to the recording. */
  readonly output: Uint8Array | null;
  readonly readmission: Readmission;
}

export interface ReplayOptions {
  readonly identity: SoftwareIdentity;
  readonly engines: Engines;
  readonly limits: Pick<Config["axon"], "maxTimeoutSeconds" | "nonceFutureSeconds">;
  /** The volatility state as it is now; inputs are derived again where it is still the recorded one. */
  readonly loadState: (asset: ForecastRequest["asset"]) => LoadedState;
}

/** Statuses that a request earns by itself; the others depend on the moment. */
const DECIDED_BY_REQUEST: ReadonlySet<number> = new Set([200, 400]);

/** Runs a recording again, without network, wallet or state, and says exactly what differs. */
export async function replayRecording(recording: Recording, options: ReplayOptions): Promise<ReplayReport> {
  const { exchange, id } = recording;
  const { receiver, receivedAtMs } = exchange;
  const readmission = await readmit(exchange, {
    receiver,
    receivedAtMs: unixMillis(receivedAtMs),
    limits: options.limits,
  });
  const context = compareIdentity(recording.identity, options.identity);
  const report = { id, notes: context.map(asNote), output: null, readmission };
  if (!DECIDED_BY_REQUEST.has(exchange.status)) {
    const summary = `status ${exchange.status} (${exchange.message}) came from the moment, not from the request`;
    return { ...report, outcome: "irreproducible", summary, differences: [] };
  }
  const admission = compareAdmission(recording, readmission);
  if (!Object.hasOwn(exchange.fieldDigests, OUTPUT_FIELD)) {
    return { ...report, ...verdict(admission, `status ${exchange.status} (${exchange.message}), no answer fields`) };
  }
  const read = readEvidence(exchange.evidence);
  switch (read.status) {
    case "ok":
      return replayAnswer(recording, read.evidence, { ...options, readmission, admission });
    case "retired":
      // What the request earned can differ even so.
      if (admission.length > 0) return { ...report, ...verdict(admission, "") };
      return { ...report, outcome: "irreproducible", summary: read.reason, differences: [] };
    case "unreadable": {
      const difference = { what: "evidence", recorded: "an answer", replayed: `unreadable: ${read.problem}` };
      return { ...report, ...verdict([...admission, difference], "") };
    }
  }
}

async function replayAnswer(
  recording: Recording,
  evidence: SimulationEvidence,
  options: ReplayOptions & { readmission: Readmission; admission: readonly Difference[] },
): Promise<ReplayReport> {
  const { readmission, admission } = options;
  await whenReady(options.engines);
  const inputs = compareInputs(evidence, options);
  const differences = [...admission, ...compareRequest(evidence.task.request, readmission), ...inputs.differences];
  const context = [...compareIdentity(recording.identity, options.identity), ...inputs.derived];
  let result: ForecastResult;
  try {
    result = await runAgain(evidence);
  } catch (error) {
    differences.push({ what: "simulation", recorded: "an answer", replayed: describeError(error) }, ...context);
    return { id: recording.id, readmission, notes: inputs.notes, ...verdict(differences, ""), output: null };
  }
  context.push(...compareFields("", engineOf(evidence), engineOf(result)));
  for (const { engine, message } of result.handOvers) {
    context.push({ what: `simulation by ${engine}`, recorded: "an answer", replayed: message });
  }
  differences.push(...compareAnswer(recording, evidence, result));
  // Changed software and inputs explain a changed answer; beside the same bytes they are only worth a note.
  const isSame = result.digest === recording.exchange.fieldDigests[OUTPUT_FIELD];
  if (!isSame) differences.push(...context);
  const output = result.simulationOutput;
  return {
    id: recording.id,
    readmission,
    notes: isSame ? [...context.map(asNote), ...inputs.notes] : inputs.notes,
    ...verdict(differences, `${output.length} bytes, sha256 ${result.digest}`),
    output,
  };
}

/** From the engine that answered on: those before it failed or were too slow on the day. */
async function runAgain({ task, engine }: SimulationEvidence): Promise<ForecastResult> {
  const position = task.inputs.findIndex((input) => input.engine === engine);
  if (position < 0) throw new OperationalError("replay/no_input", `the recording has no input of its engine ${engine}`);
  return runForecast({ request: task.request, inputs: task.inputs.slice(position) });
}

function engineOf(from: { engine: string; engineVersion: number }): object {
  return { engine: from.engine, "engine version": from.engineVersion };
}

function asNote({ what, recorded, replayed }: Difference): string {
  return `${what}: recorded ${recorded}, now ${replayed}`;
}

function verdict(
  differences: readonly Difference[],
  summary: string,
): Pick<ReplayReport, "outcome" | "summary" | "differences"> {
  if (differences.length === 0) return { outcome: "identical", summary, differences };
  return { outcome: "different", summary: `${differences.length} difference(s)`, differences };
}

function compareIdentity(recorded: SoftwareIdentity, current: SoftwareIdentity): Difference[] {
  const named = (identity: SoftwareIdentity): object => ({
    "package version": identity.packageVersion,
    "git commit": identity.gitCommit,
    "Node version": identity.nodeVersion,
    "models manifest": identity.modelsSha256,
  });
  return compareFields("", named(recorded), named(current));
}

function compareAdmission({ exchange }: Recording, readmission: Readmission): Difference[] {
  const differences: Difference[] = [];
  const differs = (what: string, recorded: string, replayed: string): void => {
    if (recorded !== replayed) differences.push({ what, recorded, replayed });
  };
  const recorded = exchange.status === 200 ? "passed" : `${exchange.status} ${exchange.message}`;
  if (readmission.ok) differs("admission", recorded, "passed");
  else {
    const { step, refusal } = readmission;
    differs(`admission at ${step}`, recorded, `${refusal.status} ${refusal.message}`);
  }
  differs("synapse", exchange.synapse, readmission.synapse);
  if (readmission.sender !== null) differs("sender", exchange.sender.hotkey, readmission.sender);
  return differences;
}

function compareRequest(recorded: ForecastRequest, readmission: Readmission): Difference[] {
  if (!readmission.ok || readmission.request === null) return [];
  return compareFields(`request.`, recorded, readmission.request, "the body says ");
}

function compareFields(prefix: string, recorded: object, replayed: object, source = ""): Difference[] {
  const [before, after] = [recorded, replayed].map((side) => new Map<string, unknown>(Object.entries(side)));
  return [...new Set([...before!.keys(), ...after!.keys()])]
    .filter((key) => !isDeepStrictEqual(before!.get(key), after!.get(key)))
    .map((key) => {
      const [was, is] = [before, after].map((side) => (side!.has(key) ? JSON.stringify(side!.get(key)) : "absent"));
      return { what: prefix + key, recorded: was!, replayed: source + is! };
    });
}

/**
 * Every input starts at the recorded anchor. Beyond that, inputs are derived again with today's configuration: the
 * baseline's always, those that read the volatility state only while that state is still the recorded one.
 */
function compareInputs(
  evidence: SimulationEvidence,
  options: ReplayOptions,
): { differences: Difference[]; derived: Difference[]; notes: string[] } {
  const { inputs, request } = evidence.task;
  const anchorPrice = evidence.anchor.price;
  const differences = inputs.flatMap((input) =>
    compareFields(`inputs.${input.engine}.`, { anchorPrice: anchorPriceOf(input) }, { anchorPrice }, "the anchor was "),
  );
  const state = recordedState(evidence, options);
  const today = deriveInputs(request, { anchor: evidence.anchor, state }, options.engines);
  const derived: Difference[] = [];
  const notes: string[] = [];
  for (const input of inputs) {
    const again = today.find((other) => other.engine === input.engine);
    if (again !== undefined) {
      const compared = withAnchorPrice(input, anchorPrice);
      derived.push(...compareFields(`inputs.${input.engine}.`, compared, again, "derived today "));
    } else if (state === null) {
      notes.push(`inputs.${input.engine}: not derived again, the volatility state is no longer the recorded one`);
    } else derived.push({ what: `inputs.${input.engine}`, recorded: "there", replayed: "the engine hands over today" });
  }
  return { differences, derived, notes };
}

function recordedState(evidence: SimulationEvidence, options: ReplayOptions): StateSnapshot | null {
  const { status, identity, ageSeconds } = evidence.state;
  if (status !== "ok" || identity === null || ageSeconds === null) return null;
  const loaded = options.loadState(evidence.task.request.asset);
  if (loaded.status !== "ok" || loaded.identity !== identity) return null;
  return { status, state: loaded.state, ageSeconds, identity };
}

function deriveInputs(
  request: ForecastRequest,
  market: { anchor: AnchorPrice; state: StateSnapshot | null },
  engines: Engines,
): readonly EngineInput[] {
  const volatility = market.state ?? { status: "missing" as const };
  return planForecast(request, { asset: request.asset, volatility, anchor: market.anchor }, engines).task.inputs;
}

function compareAnswer({ exchange }: Recording, evidence: SimulationEvidence, result: ForecastResult): Difference[] {
  const differences: Difference[] = [];
  const digest = exchange.fieldDigests[OUTPUT_FIELD]!;
  if (evidence.digest !== digest) {
    differences.push({
      what: "digest in evidence",
      recorded: digest,
      replayed: `the evidence says ${evidence.digest}`,
    });
  }
  const paths = comparePaths(evidence.pathChecksums, result);
  if (paths !== null) differences.push(paths);
  if (result.digest === digest) return differences;
  differences.push({ what: "sha256 of simulation_output", recorded: digest, replayed: result.digest });
  const bytes = `${exchange.responseBytes} in the whole response`;
  differences.push({
    what: "bytes",
    recorded: bytes,
    replayed: `${result.simulationOutput.length} in ${OUTPUT_FIELD}`,
  });
  if (paths === null) {
    const replayed = "all paths agree: the start timestamp, the increment or the framing differs";
    differences.push({ what: "paths", recorded: `${evidence.pathChecksums.length} checksums`, replayed });
  }
  return differences;
}

/** The recording has a checksum of each path, not its prices: the replayed prices are shown. */
function comparePaths(recorded: readonly number[], result: ForecastResult): Difference | null {
  const replayed = result.pathChecksums;
  const indices = Array.from({ length: Math.max(recorded.length, replayed.length) }, (_, index) => index);
  const differing = indices.filter((index) => recorded[index] !== replayed[index]);
  const [first] = differing;
  if (first === undefined) return null;
  return {
    what: "paths",
    recorded: `${recorded.length}, checksum of path ${first} ${hex(recorded[first])}`,
    replayed:
      `${replayed.length}, ${differing.length} differ, the first is path ${first}: ` +
      `checksum ${hex(replayed[first])}, prices ${pricesOf(result.simulationOutput, first)}`,
  };
}

function hex(checksum: number | undefined): string {
  return checksum === undefined ? "none" : checksum.toString(16).padStart(8, "0");
}

const SHOWN_PRICES = 4;

function pricesOf(output: Uint8Array, path: number): string {
  const [, , ...paths] = JSON.parse(new TextDecoder().decode(output)) as [number, number, ...number[][]];
  const prices = paths[path];
  if (prices === undefined) return "none";
  if (prices.length <= 2 * SHOWN_PRICES) return prices.join(", ");
  return `${prices.slice(0, SHOWN_PRICES).join(", ")}, … ${prices.at(-1)!} (${prices.length})`;
}
