import { z } from "zod";
import { ENGINE_NAMES, type AnchorPrice, type HandOver } from "../../engines/engine.ts";
import type { PathModel } from "../../engines/path-model.ts";
import type { ForecastTask } from "../../engines/task.ts";
import { ASSET_SYMBOLS } from "../../market/assets.ts";
import { unixSeconds } from "../../units.ts";

/**
 * Everything that reproduces and explains one answer: plain JSON (and msgpack) data, stored in recordings. Recordings
 * outlive versions: add optional fields, never change the meaning of one.
 */
const request = z.object({
  asset: z.enum(ASSET_SYMBOLS),
  startTime: z.int().transform(unixSeconds),
  horizonSeconds: z.int().positive(),
  stepSeconds: z.int().positive(),
  numSimulations: z.int().positive(),
  seed: z.string(),
});

const price = z.number().positive();

const failure = z.object({ code: z.string(), message: z.string() });

const pathModel = z.object({
  anchorPrice: price,
  stepSigmas: z.array(z.number().min(0)).min(1).readonly(),
  centre: z.array(z.number()).readonly().optional(),
  nu: z.number().gt(2),
  latent: z.object({ tau: z.number().min(0), halfLifeSeconds: z.number().min(0) }),
  varianceRatios: z.array(z.object({ seconds: z.number().positive(), ratio: z.number().positive() })).readonly(),
  lagOneAutocorrelation: z.number().gt(-0.5).lt(0.5).optional(),
  zeroShare: z.number().min(0).lt(1),
  rankMatched: z.boolean(),
}) satisfies z.ZodType<PathModel>;

const recalibration = z
  .array(z.object({ seconds: z.number().positive(), factor: z.number().positive() }))
  .readonly()
  .optional();

const numbers = z.array(z.number()).readonly();

const modelReference = z.object({ name: z.string(), sha256: z.string(), file: z.string() });

/** Of the engines whose models correct the EWMA engine's answer. */
const corrected = {
  base: pathModel,
  calibration: z.string().optional(),
  fallbacks: z.array(failure).readonly(),
  recalibration,
};

const input = z.discriminatedUnion("engine", [
  z.object({
    engine: z.literal("patchtst"),
    model: modelReference.extend({ knotSeconds: numbers, ratioSeconds: numbers }),
    ...corrected,
    sequence: z.base64(),
    features: numbers,
    calendar: numbers,
  }),
  z.object({
    engine: z.literal("lgbm"),
    model: modelReference.extend({
      leadSeconds: numbers,
      centreShrinkage: numbers,
      residualShrinkage: numbers,
      featureCount: z.int().positive(),
    }),
    ...corrected,
    features: z.base64(),
  }),
  z.object({
    engine: z.literal("ewma"),
    model: pathModel,
    calibration: z.string().optional(),
    fallbacks: z.array(failure).readonly(),
    recalibration,
  }),
  z.object({
    engine: z.literal("baseline"),
    anchorPrice: price,
    sigmaPerHour: z.number().positive(),
    rankMatched: z.boolean().optional(),
  }),
]);

const task = z.object({ request, inputs: z.array(input).min(1) }) satisfies z.ZodType<ForecastTask>;

/** An input of the EWMA engine's version 1, marked as such: no build simulates it any more. */
const retiredInput = z
  .object({
    engine: z.literal("ewma"),
    anchorPrice: price,
    sigma2PerStep: z.number().positive(),
    nu: z.number().gt(2),
    pathFeedback: z.number().min(0).max(0.5),
    offHoursMultiplier: z.number().positive(),
    clamped: z.enum(["low", "high"]).nullable(),
  })
  .transform((fields) => ({ ...fields, retiredVersion: 1 as const }));

/** Inputs as recordings of any version have them. */
const recordedTask = z.object({ request, inputs: z.array(z.union([input, retiredInput])).min(1) });

const handOver = z.object({
  engine: z.enum(ENGINE_NAMES),
  code: z.string(),
  message: z.string(),
}) satisfies z.ZodType<HandOver>;

const anchor = z.object({
  price,
  source: z.enum(["binance", "hyperliquid", "pyth", "last_close", "reference"]),
  ageSeconds: z.number().nullable(),
}) satisfies z.ZodType<AnchorPrice>;

export const simulationEvidence = z.object({
  task,
  engine: z.enum(ENGINE_NAMES),
  engineVersion: z.int(),
  /** In route order: engines that could not start, then engines that failed while simulating. */
  handOvers: z.array(handOver),
  anchor,
  /** Why the anchor is not the live price; null when it is. */
  anchorFailure: failure.nullable(),
  state: z.object({
    status: z.enum(["ok", "stale", "missing", "corrupt"]),
    identity: z.string().nullable(),
    ageSeconds: z.number().nullable(),
  }),
  pathChecksums: z.array(z.int().min(0)),
  simulateMs: z.number(),
  encodeMs: z.number(),
  /** Hex SHA-256 of simulation_output. */
  digest: z.string(),
});

export type SimulationEvidence = z.infer<typeof simulationEvidence>;

const recordedEvidence = simulationEvidence.extend({ task: recordedTask });

export type RecordedEvidence = z.infer<typeof recordedEvidence>;

export type ReadEvidence =
  | { readonly status: "ok"; readonly evidence: SimulationEvidence }
  /** Whole, but of an engine that is gone: it can be shown, not simulated again. */
  | { readonly status: "retired"; readonly evidence: RecordedEvidence; readonly reason: string }
  | { readonly status: "unreadable"; readonly problem: string };

type RecordedInput = RecordedEvidence["task"]["inputs"][number];

function isRetired(each: RecordedInput): each is z.infer<typeof retiredInput> {
  return "retiredVersion" in each;
}

/** The evidence of a recording of any version. Never throws. */
export function readEvidence(recorded: unknown): ReadEvidence {
  const current = simulationEvidence.safeParse(recorded);
  if (current.success) return { status: "ok", evidence: current.data };
  const parsed = recordedEvidence.safeParse(recorded);
  if (!parsed.success) {
    return { status: "unreadable", problem: current.error.issues.map((issue) => issue.path.join(".")).join(", ") };
  }
  const evidence = parsed.data;
  const { engine, task } = evidence;
  const retired = task.inputs.find(isRetired);
  if (retired?.engine === engine) {
    const version = `version ${retired.retiredVersion} of the engine ${engine}`;
    return { status: "retired", evidence, reason: `recorded by ${version}, which this build no longer simulates` };
  }
  // An engine that is gone and failed on the day has no part in the answer.
  const inputs = task.inputs.flatMap((each) => (isRetired(each) ? [] : [each]));
  return { status: "ok", evidence: { ...evidence, task: { ...task, inputs } } };
}
