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
  nu: z.number().gt(2),
  latent: z.object({ tau: z.number().min(0), halfLifeSeconds: z.number().min(0) }),
  varianceRatios: z.array(z.object({ seconds: z.number().positive(), ratio: z.number().positive() })).readonly(),
  zeroShare: z.number().min(0).lt(1),
  rankMatched: z.boolean(),
}) satisfies z.ZodType<PathModel>;

const input = z.discriminatedUnion("engine", [
  z.object({
    engine: z.literal("ewma"),
    model: pathModel,
    fallbacks: z.array(failure).readonly(),
    recalibration: z
      .array(z.object({ seconds: z.number().positive(), factor: z.number().positive() }))
      .readonly()
      .optional(),
  }),
  z.object({
    engine: z.literal("baseline"),
    anchorPrice: price,
    sigmaPerHour: z.number().positive(),
    rankMatched: z.boolean().optional(),
  }),
]);

const task = z.object({ request, inputs: z.array(input).min(1) }) satisfies z.ZodType<ForecastTask>;

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
