import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { z } from "zod";
import { describeError, OperationalError } from "../../errors.ts";
import { ASSET_SYMBOLS, ASSETS, type AssetSymbol } from "../../market/assets.ts";
import { eventKernels } from "../../volatility/event-kernel.ts";
import type { ProfilePrior } from "../../volatility/weekly-profile.ts";
import { MINUTE_BINS, WEEK_BINS } from "../../volatility/seasonality.ts";

/**
 * What `calibrate` learned of the EWMA engine (models/calibration/ewma.json). The scale of a base bar that opens at lead
 * time l after the start, with x_k = ln(level of half-life k / reference) and B the piecewise-linear basis over the knots:
 *
 *     ln(sigma / reference) = Σ_j B_j(l) · (intercept_j + Σ_k beta_kj · x_k) + ln(weekly factor) + ln(event factor)
 *
 * (Corsi 2009, "HAR", fitted by CRPS as in Gebetsberger et al. 2018.)
 */
const finite = z.number();
const positive = z.number().positive();
const isAscending = (values: readonly number[]): boolean => values.every((value, i) => !(value <= values[i - 1]!));

const assetScale = z.strictObject({
  /** By knot. */
  intercepts: z.array(finite.min(-3).max(3)).min(2),
  /** [half-life][knot]. */
  betas: z.array(z.array(finite.min(-3).max(3)).min(2)).min(1),
  varianceRatios: z
    .array(z.strictObject({ seconds: positive, ratio: positive.max(4) }))
    .refine((ratios) => isAscending(ratios.map(({ seconds }) => seconds)), "expected ascending lengths"),
  /**
   * Of adjacent base bars (MA(1) noise); absent where too little is known of it or nobody scores two bars: it then follows from
   * the variance ratios.
   */
  lagOneAutocorrelation: finite.min(-0.35).max(0.49).optional(),
  /** Prompts that it was fitted on. */
  origins: z.int().min(0),
  /** Closed-form score over that of the best constant sigma, on what it was fitted on; null for a class. */
  fitRatio: positive.nullable(),
});

const horizonCalibration = z.strictObject({
  /** Length of the bars that levels and sigmas belong to. */
  stepSeconds: positive.refine((seconds) => [60, 300].includes(seconds), "expected 60 or 300"),
  halfLifeSeconds: z.array(positive).min(1).refine(isAscending, "expected ascending values"),
  knotSeconds: z.array(finite.min(0)).min(2).refine(isAscending, "expected ascending values"),
  seasonal: z.boolean(),
  nu: z.number().gt(2).max(1000),
  latent: z.strictObject({ tau: finite.min(0).max(1.5), halfLifeSeconds: positive }),
  zeroAtom: z.boolean(),
  assets: z.partialRecord(z.enum(ASSET_SYMBOLS), assetScale),
  classes: z.partialRecord(z.enum(["crypto", "equity", "commodity"]), assetScale),
});

const profile = z.strictObject({
  week: z.array(positive).length(WEEK_BINS),
  weekWeight: z.array(finite.min(0)).length(WEEK_BINS),
  minute: z.array(positive).length(MINUTE_BINS),
  minuteWeight: finite.min(0),
});

export const EWMA_CALIBRATION_SCHEMA = 1;

export const ewmaCalibration = z.strictObject({
  schema: z.literal(EWMA_CALIBRATION_SCHEMA),
  /** Commit of the code that fitted it. */
  codeVersion: z.string(),
  seed: z.int(),
  /** ISO dates of the candles behind it. */
  window: z.strictObject({ from: z.iso.datetime(), to: z.iso.datetime() }),
  horizons: z.strictObject({ "1h": horizonCalibration.nullable(), "24h": horizonCalibration.nullable() }),
  /** Null: scheduled events are not looked at. */
  events: eventKernels.nullable(),
  profiles: z.strictObject({
    assets: z.partialRecord(z.enum(ASSET_SYMBOLS), profile),
    classes: z.partialRecord(z.enum(["crypto", "equity", "commodity"]), profile),
  }),
});

export type EwmaCalibration = z.infer<typeof ewmaCalibration>;
export type HorizonCalibration = z.infer<typeof horizonCalibration>;
export type AssetCalibration = z.infer<typeof assetScale>;
export type ProfileData = z.infer<typeof profile>;

/** Tells calibrations apart: the head of the SHA-256 of what was parsed, so that blanks and the order of keys do not count. */
export function calibrationId(calibration: EwmaCalibration): string {
  return createHash("sha256").update(JSON.stringify(calibration)).digest("hex").slice(0, 16);
}

/** Throws OperationalError `calibration/unreadable`, `calibration/corrupt`. */
export function readEwmaCalibration(path: string): EwmaCalibration {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new OperationalError("calibration/unreadable", `${path}: ${describeError(error)}`, { cause: error });
  }
  const parsed = ewmaCalibration.safeParse(parseJson(text));
  if (parsed.success) return checked(parsed.data, path);
  const issue = parsed.error.issues[0]!;
  throw corrupt(path, `${issue.path.join(".")}: ${issue.message}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return `no JSON: ${describeError(error)}`;
  }
}

function corrupt(path: string, problem: string): OperationalError {
  const message = `${path}: expected what \`calibrate\` writes, schema ${EWMA_CALIBRATION_SCHEMA} (${problem})`;
  return new OperationalError("calibration/corrupt", message);
}

/** Every table has the shape that its half-lives and knots ask for. */
function checked(calibration: EwmaCalibration, path: string): EwmaCalibration {
  for (const [name, horizon] of Object.entries(calibration.horizons)) {
    if (horizon === null) continue;
    const knots = horizon.knotSeconds.length;
    for (const scale of [...Object.values(horizon.assets), ...Object.values(horizon.classes)]) {
      const isWhole =
        scale.intercepts.length === knots &&
        scale.betas.length === horizon.halfLifeSeconds.length &&
        scale.betas.every((betas) => betas.length === knots);
      if (!isWhole) throw corrupt(path, `${name}: expected ${horizon.halfLifeSeconds.length} rows of ${knots} values`);
    }
  }
  return calibration;
}

/** The asset's own values, or those of its class. */
export function ownOrClass<T>(
  table: { readonly assets: Partial<Record<AssetSymbol, T>>; readonly classes: Partial<Record<string, T>> },
  asset: AssetSymbol,
): { readonly value: T; readonly isOwn: boolean } | null {
  const own = table.assets[asset];
  if (own !== undefined) return { value: own, isOwn: true };
  const shared = table.classes[ASSETS[asset].assetClass];
  return shared === undefined ? null : { value: shared, isOwn: false };
}

export function priorOf(data: ProfileData): ProfilePrior {
  return {
    week: Float64Array.from(data.week),
    weekWeight: Float64Array.from(data.weekWeight),
    minute: Float64Array.from(data.minute),
    minuteWeight: data.minuteWeight,
  };
}
