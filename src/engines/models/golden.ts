import { z } from "zod";
import { OperationalError } from "../../errors.ts";
import { ASSET_SYMBOLS } from "../../market/assets.ts";
import { MINUTE_STEP_SECONDS } from "../../market/candle.ts";
import { unixSeconds } from "../../units.ts";
import { startState } from "../../volatility/advance.ts";
import type { VolatilityState } from "../../volatility/state.ts";
import type { WeeklyProfile } from "../../volatility/weekly-profile.ts";
import type { HorizonCalibration } from "../ewma/calibration.ts";
import { besideManifest, parseModelJson, readVerified, type EntryOf, type ModelEntry, type ModelKind } from "./manifest.ts";

/** Python works out features with its own code, in 64 bits; ours end as floats of 32. */
export const FEATURE_TOLERANCE = 1e-6;
/** Of kernels that sum in another order; relative above one (a half-life has thousands of seconds). */
export const OUTPUT_TOLERANCE = 1e-5;

export const row = z.array(z.number());

/** What every golden pair begins with: raw candles and how they are looked at. */
export const goldenMarket = {
  asset: z.enum(ASSET_SYMBOLS),
  /** Base bars. */
  candles: z.object({ openTime: row.min(1), open: row, high: row, low: row, close: row }),
  profile: z.object({ week: row, minute: row }),
  offHoursMultiplier: z.number().positive().default(1),
  startTime: z.int(),
};

type GoldenMarket = z.infer<z.ZodObject<typeof goldenMarket>>;

/** Everything that a model is checked with before it is used; plain data. */
export interface ModelCheck<Kind extends ModelKind = ModelKind> {
  readonly name: string;
  readonly entry: EntryOf<Kind>;
  readonly manifestFile: string;
  readonly horizon: HorizonCalibration;
}

export function mismatch(message: string): OperationalError {
  return new OperationalError("model/mismatch", message);
}

/** The golden cases of a model, each with its place for messages. Throws OperationalError `model/not_installed`, `model/corrupt`, `model/mismatch`. */
export function goldenCases<T>(
  { entry, manifestFile }: { readonly entry: Pick<ModelEntry, "golden">; readonly manifestFile: string },
  schema: z.ZodType<T>,
): { readonly example: T; readonly place: string }[] {
  const path = besideManifest(manifestFile, entry.golden.file);
  const { cases } = parseModelJson(
    readVerified(path, entry.golden.sha256),
    z.object({ cases: z.array(schema).min(1) }),
    path,
  );
  return cases.map((example, i) => ({ example, place: `${path}: case ${i}` }));
}

/** Base bars stand as their last minutes, as in recordings of five-minute bars. */
export function goldenState({ asset, candles }: GoldenMarket, stepSeconds: number): VolatilityState {
  const columns = [candles.open, candles.high, candles.low, candles.close];
  if (columns.some(({ length }) => length !== candles.openTime.length)) throw mismatch("golden candles of odd lengths");
  const empty = startState({
    asset,
    source: "binance",
    halfLifeMinuteSeconds: 3600,
    halfLifeFiveMinuteSeconds: 43_200,
  });
  const openTime = Float64Array.from(candles.openTime, (time) => time + stepSeconds - MINUTE_STEP_SECONDS);
  const [open, high, low, close] = columns.map((column) => Float64Array.from(column));
  return {
    ...empty,
    warmFrom: unixSeconds(openTime[0]!),
    candleCount: openTime.length,
    candles: { openTime, open: open!, high: high!, low: low!, close: close!, volume: openTime.map(() => NaN) },
  };
}

export function goldenProfile({ profile: { week, minute } }: GoldenMarket): WeeklyProfile {
  return { week: Float64Array.from(week), minute: Float64Array.from(minute) };
}

/** NaN is equal to NaN, and to nothing else. Throws OperationalError `model/mismatch`. */
export function compare(
  found: ArrayLike<number>,
  expected: readonly number[],
  { tolerance, what }: { readonly tolerance: number; readonly what: string },
): void {
  if (found.length !== expected.length) {
    throw mismatch(`${what}: expected ${expected.length} values, were ${found.length}`);
  }
  expected.forEach((value, i) => {
    if (Number.isNaN(value) && Number.isNaN(found[i])) return;
    if (Math.abs(found[i]! - value) <= tolerance * Math.max(1, Math.abs(value))) return;
    throw mismatch(`${what}[${i}]: expected ${value}, was ${found[i]!}`);
  });
}
