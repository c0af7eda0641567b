import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, isAbsolute, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { describeError, isErrno, OperationalError } from "../../errors.ts";
import { ASSET_SYMBOLS } from "../../market/assets.ts";
import { SEQUENCE_BARS } from "../patchtst/features.ts";

/** What `scripts/train` exports beside its ONNX files (models/manifest.json), of every engine that is trained. */
const PACKAGE_ROOT = fileURLToPath(new URL("../../..", import.meta.url));

const finite = z.number();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "expected 64 hex digits");
/** Relative to the manifest's folder, and inside it. */
const file = z
  .string()
  .min(1)
  .refine((path) => !isAbsolute(path) && !normalize(path).startsWith(".."), "expected a path inside the folder");

const common = {
  file,
  sha256,
  horizon: z.enum(["1h", "24h"]),
  stepSeconds: z.int().positive(),
  /** Of the EWMA calibration whose sigmas it corrects. */
  calibrationSha256: sha256,
  trainingWindow: z.strictObject({ from: z.string(), to: z.string() }),
  gitCommit: z.string().nullable(),
  seed: z.int(),
  /** Held-out scores; for the record. */
  validation: z.record(z.string(), z.unknown()),
  golden: z.strictObject({ file, sha256 }),
};

const patchtst = z.strictObject({
  kind: z.literal("patchtst"),
  ...common,
  assets: z.array(z.enum(ASSET_SYMBOLS)).min(1),
  sequenceLength: z.literal(SEQUENCE_BARS),
  channels: z.tuple([z.literal("return"), z.literal("range"), z.literal("mask")]),
  /** Those of the calibration: `features` are the levels of these half-lives, in this order. */
  featureHalfLifeSeconds: z.array(z.number().positive()).min(1),
  /** Lead times of `delta_log_sigma` and `mu`. */
  knotSeconds: z.array(finite.min(0)).min(2),
  /** Lengths of `delta_log_ratio`. */
  ratioSeconds: z.array(z.number().positive()),
  /** Applied inside the graph; for the record. */
  normalisation: z.record(z.string(), z.unknown()),
  epochs: z.int().min(0),
  /** What became of the drift; paths are driftless, so its outputs have to be zero. */
  mu: z.string().optional(),
});

const shrinkage = z.array(z.number().min(0).max(1));

const lgbm = z
  .strictObject({
    kind: z.literal("lgbm"),
    ...common,
    assets: z.tuple([z.enum(ASSET_SYMBOLS)]),
    /** Multiples of the step, ascending; outputs and shrinkages are by lead. */
    leadSeconds: z
      .array(z.int().positive())
      .min(1)
      .refine((leads) => leads.every((lead, i) => !(lead <= leads[i - 1]!)), "expected ascending leads"),
    /** In the order of the graph's input. */
    featureNames: z.array(z.string().min(1)).min(1),
    /** Trees by lead; 0: early stopping left none. */
    rounds: z.strictObject({ centre: z.array(z.int().min(0)), residual: z.array(z.int().min(0)) }),
    /** What outputs are multiplied by: validated out of sample, 0 where nothing is proven. */
    centreShrinkage: shrinkage,
    residualShrinkage: shrinkage,
  })
  .refine(
    ({ leadSeconds, stepSeconds }) => leadSeconds.every((lead) => lead % stepSeconds === 0),
    "expected leads at multiples of the step",
  )
  .refine(
    ({ leadSeconds, rounds, centreShrinkage, residualShrinkage }) =>
      [rounds.centre, rounds.residual, centreShrinkage, residualShrinkage].every(
        ({ length }) => length === leadSeconds.length,
      ),
    "expected rounds and shrinkages by lead",
  );

const entry = z.discriminatedUnion("kind", [patchtst, lgbm]);

const PATCHTST_NAMES = ["HF", "LF-crypto", "LF-equity"] as const;
const LGBM_NAMES = ASSET_SYMBOLS.flatMap((asset) => [`HF-${asset}`, `LF-${asset}`] as const);
/** PatchTST models are shared by assets, LightGBM's are of one each. */
export const MODEL_NAMES = [...PATCHTST_NAMES, ...LGBM_NAMES] as const;
export type ModelName = (typeof MODEL_NAMES)[number];

const manifest = z.strictObject({
  schema: z.literal(1),
  models: z.partialRecord(z.enum(MODEL_NAMES), entry),
});

export type ModelEntry = z.infer<typeof entry>;
export type ModelKind = ModelEntry["kind"];
/** The entry of a kind. */
export type EntryOf<Kind extends ModelKind> = Extract<ModelEntry, { kind: Kind }>;
export type ModelManifest = z.infer<typeof manifest>;

/** A model by content: its file may be another one tomorrow. */
export interface ModelReference {
  readonly name: string;
  readonly sha256: string;
  /** As seen from the package, or absolute. */
  readonly file: string;
}

/** Why a model is not used. */
export interface ModelProblem {
  readonly code: string;
  readonly message: string;
}

export function problemOf(error: unknown): ModelProblem {
  if (error instanceof OperationalError) return { code: error.code, message: error.message };
  return { code: "model/failed", message: describeError(error) };
}

/** A relative path is one of the package's. */
export function modelPath(path: string): string {
  return isAbsolute(path) ? path : join(PACKAGE_ROOT, path);
}

/** A path of the manifest as seen from the package. */
export function besideManifest(manifestFile: string, path: string): string {
  return join(dirname(manifestFile), path);
}

export function sha256Of(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** The file whose hash is known. Throws OperationalError `model/not_installed`, `model/corrupt`, `model/mismatch`. */
export function readVerified(path: string, sha256: string): Buffer {
  const content = readModelFile(path);
  const found = sha256Of(content);
  if (found === sha256) return content;
  throw new OperationalError("model/mismatch", `${path}: expected the file with sha256 ${sha256}, has ${found}`);
}

function readModelFile(path: string): Buffer {
  try {
    return readFileSync(modelPath(path));
  } catch (cause) {
    const code = isErrno(cause, "ENOENT") ? "model/not_installed" : "model/corrupt";
    throw new OperationalError(code, `${path}: ${describeError(cause)}`, { cause });
  }
}

/** Throws OperationalError `model/not_installed`, `model/corrupt`. */
export function readManifest(path: string): ModelManifest {
  return parseModelJson(readModelFile(path), manifest, path);
}

/** Throws OperationalError `model/corrupt`. */
export function parseModelJson<T>(content: Buffer, schema: z.ZodType<T>, path: string): T {
  let json: unknown;
  try {
    json = JSON.parse(content.toString("utf8"));
  } catch (cause) {
    throw new OperationalError("model/corrupt", `${path}: ${describeError(cause)}`, { cause });
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const message = `${path}: expected what scripts/train writes (${issue.path.join(".")}: ${issue.message})`;
  throw new OperationalError("model/corrupt", message);
}
