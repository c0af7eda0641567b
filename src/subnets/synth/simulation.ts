import { createHash } from "node:crypto";
import { z } from "zod";
import type { ForecastRequest } from "../../engines/engine.ts";
import { ASSET_SYMBOLS } from "../../market/assets.ts";
import { SECONDS_PER_DAY, type Hotkey } from "../../units.ts";
import { parseStartTime } from "./start-time.ts";

/** Name of the synapse and its body fields, as on the wire. */
export const SIMULATION_SYNAPSE = "Simulation";
export const INPUT_FIELD = "simulation_input";
export const OUTPUT_FIELD = "simulation_output";

const MAX_HORIZON_SECONDS = 30 * SECONDS_PER_DAY;
const MAX_SIMULATIONS = 10_000;
/** Prices in one answer: ten times a 24h prompt's 289,000, and 30 MB of text. */
const MAX_PRICES = 3_000_000;
/** Thirty times a 24h prompt's 288: planning visits every step on the event loop. */
const MAX_STEPS = 10_000;
const SHOWN_CHARACTERS = 64;

function wholeNumber(unit: string, max: number): z.ZodInt {
  return z
    .int({ error: `expected a whole number of ${unit}` })
    .min(1, `expected at least 1`)
    .max(max, `expected at most ${max} ${unit}`);
}

/** Fields this miner does not know are left alone: validators may be newer. */
const simulationInput = z.object(
  {
    asset: z.enum(ASSET_SYMBOLS, { error: `expected one of ${ASSET_SYMBOLS.join(", ")}` }),
    start_time: z
      .string({ error: "expected an ISO 8601 string" })
      .transform((text) => parseStartTime(text))
      .refine(
        (seconds) => seconds !== null,
        "expected an ISO 8601 instant between 2000 and 2100 such as 2026-10-01T12:05:00+00:00",
      ),
    time_increment: wholeNumber("seconds", MAX_HORIZON_SECONDS),
    time_length: wholeNumber("seconds", MAX_HORIZON_SECONDS),
    num_simulations: wholeNumber("paths", MAX_SIMULATIONS),
  },
  { error: "expected an object with asset, start_time, time_increment, time_length and num_simulations" },
);

export type ParsedSimulation =
  | { readonly ok: true; readonly request: ForecastRequest }
  | { readonly ok: false; readonly code: string; readonly message: string };

/** The value as the client sent it, short enough for a message. Structures are only named: they may be very deep. */
function show(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > SHOWN_CHARACTERS ? `${value.slice(0, SHOWN_CHARACTERS)}…` : value);
  }
  if (typeof value === "number" || typeof value === "boolean" || value === null) return String(value);
  if (value === undefined) return "nothing";
  return Array.isArray(value) ? "an array" : "an object";
}

const CODES: Readonly<Record<string, string>> = {
  asset: "simulation/unknown_asset",
  start_time: "simulation/bad_start_time",
};

function describeIssue(issue: z.core.$ZodIssue, input: unknown): { code: string; message: string } {
  const field = issue.path.map(String).join(".");
  const sent = field === "" ? input : (input as Record<string, unknown>)[field];
  const message = `${[INPUT_FIELD, ...issue.path.map(String)].join(".")}: ${issue.message}, was ${show(sent)}`;
  return { code: CODES[field] ?? "simulation/bad_input", message };
}

/** One request has one seed, whichever validator asks and however it spells the start time; two miners differ. */
function seedOf(request: Omit<ForecastRequest, "seed">, miner: Hotkey): string {
  const { asset, startTime, horizonSeconds, stepSeconds, numSimulations } = request;
  const identity = JSON.stringify([miner, asset, startTime, horizonSeconds, stepSeconds, numSimulations]);
  return createHash("sha256").update(identity).digest("hex");
}

/** Turns a `simulation_input` of any shape into a request, or says what was expected, what it was and what to send. */
export function parseSimulation(input: unknown, miner: Hotkey): ParsedSimulation {
  const parsed = simulationInput.safeParse(input);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => describeIssue(issue, input));
    return { ok: false, code: problems[0]!.code, message: problems.map(({ message }) => message).join("; ") };
  }
  const { asset, start_time, time_increment, time_length, num_simulations } = parsed.data;
  if (time_length % time_increment !== 0) {
    const message = `${INPUT_FIELD}.time_length: expected a multiple of time_increment ${time_increment}, was ${time_length}`;
    return { ok: false, code: "simulation/uneven_grid", message };
  }
  const steps = time_length / time_increment;
  const prices = num_simulations * (steps + 1);
  if (steps > MAX_STEPS) {
    const message = `${INPUT_FIELD}: expected at most ${MAX_STEPS} steps, was ${steps}; ask for longer steps`;
    return { ok: false, code: "simulation/too_large", message };
  }
  if (prices > MAX_PRICES) {
    const message = `${INPUT_FIELD}: expected at most ${MAX_PRICES} prices, was ${prices}; ask for fewer paths or steps`;
    return { ok: false, code: "simulation/too_large", message };
  }
  const request = {
    asset,
    startTime: start_time,
    horizonSeconds: time_length,
    stepSeconds: time_increment,
    numSimulations: num_simulations,
  };
  return { ok: true, request: { ...request, seed: seedOf(request, miner) } };
}
