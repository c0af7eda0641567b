import { createHash } from "node:crypto";
import { Packr } from "msgpackr";
import { z } from "zod";
import { describeError } from "../errors.ts";
import { ASSET_SYMBOLS } from "../market/assets.ts";
import { FIVE_MINUTE_STEP_SECONDS, MINUTE_STEP_SECONDS } from "../market/candle.ts";
import { unixSeconds } from "../units.ts";
import { MINUTE_BINS, WEEK_BINS } from "./seasonality.ts";
import { VOLATILITY_STATE_SCHEMA, type CandleColumns, type VolatilityState } from "./state.ts";

/**
 * A state file is one MessagePack map that any MessagePack library reads: the fields of VolatilityState, candle columns
 * as little-endian float64 bytes, and as its last entry `sha256`, whose 32 bytes end the file and are the digest of
 * all bytes before them. So every truncation, extension and bit flip shows.
 */
const packr = new Packr({ useRecords: false });
const DIGEST_BYTES = 32;

export type DecodedState =
  { readonly ok: true; readonly state: VolatilityState } | { readonly ok: false; readonly reason: string };

const finite = z.number();
const price = finite.positive();
const count = z.int().min(0);
const volume = z.union([finite.min(0), z.nan()]);
const moment = z.strictObject({ value: finite.min(0), mass: finite.min(0).max(1) });
const minuteTime = z.int().min(0).multipleOf(MINUTE_STEP_SECONDS).transform(unixSeconds);
const fiveMinuteTime = z.int().min(0).multipleOf(FIVE_MINUTE_STEP_SECONDS).transform(unixSeconds);

const column = z
  .instanceof(Uint8Array)
  .refine((bytes) => bytes.length > 0 && bytes.length % Float64Array.BYTES_PER_ELEMENT === 0)
  // The copy also aligns: a float64 view needs an offset divisible by 8.
  .transform((bytes) => new Float64Array(new Uint8Array(bytes).buffer));

const sums = (length: number) =>
  column.refine((values) => values.length === length && values.every((value) => value >= 0 && value < Infinity));
const seasonality = z.strictObject({
  weekSum: sums(WEEK_BINS),
  weekWeight: sums(WEEK_BINS),
  minuteSum: sums(MINUTE_BINS),
  minuteWeight: sums(MINUTE_BINS),
  levelFiveMinute: moment,
  levelMinute: moment,
  until: z.int().min(0),
});

const candleColumns = z
  .strictObject({ openTime: column, open: column, high: column, low: column, close: column, volume: column })
  .superRefine((columns, context) => {
    const problem = candleProblem(columns);
    if (problem !== null) context.addIssue(problem);
  });

const stateSchema = z
  .strictObject({
    schema: z.literal(VOLATILITY_STATE_SCHEMA),
    asset: z.enum(ASSET_SYMBOLS),
    source: z.enum(["binance", "hyperliquid", "pyth"]),
    warmFrom: minuteTime,
    candleCount: count,
    gapCount: count,
    sigma2Minute: moment,
    sigma2FiveMinute: moment,
    halfLifeMinuteSeconds: price,
    halfLifeFiveMinuteSeconds: price,
    openBucket: z
      .strictObject({
        openTime: fiveMinuteTime,
        open: price,
        high: price,
        low: price,
        close: price,
        volume,
        minutes: z.int().min(1).max(4),
      })
      .nullable(),
    lastFiveMinute: z.strictObject({ openTime: fiveMinuteTime, close: price }).nullable(),
    sourceBorders: z.array(minuteTime),
    seasonality,
    candles: candleColumns,
  })
  .refine(({ candles, warmFrom }) => candles.openTime[0]! >= warmFrom, "a candle is older than warmFrom")
  .refine(({ candles, candleCount }) => candles.openTime.length <= candleCount, "more candles than were taken in");

/** What the first bad candle breaks; null when all are sound. Loops over the columns: zod per number is too slow. */
function candleProblem({ openTime, open, high, low, close, volume: volumes }: CandleColumns): string | null {
  const length = openTime.length;
  if ([open, high, low, close, volumes].some((other) => other.length !== length)) return "columns differ in length";
  let previous = -1;
  for (let index = 0; index < length; index += 1) {
    const time = openTime[index]!;
    if (!Number.isSafeInteger(time) || time % MINUTE_STEP_SECONDS !== 0) return `candle ${index} opens off the minute`;
    if (time <= previous) return `candle ${index} does not open after the one before`;
    previous = time;
    const [o, h, l, c] = [open[index]!, high[index]!, low[index]!, close[index]!];
    if (!(l > 0 && l <= o && l <= c && h >= o && h >= c && h < Infinity)) return `candle ${index} is no valid bar`;
    const traded = volumes[index]!;
    if (traded < 0 || traded === Infinity) return `candle ${index} has no valid volume`;
  }
  return null;
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

/** The record with its float64 columns as bytes. */
function withBytes(record: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(record).map(([name, value]: [string, unknown]) => [
      name,
      value instanceof Float64Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value,
    ]),
  );
}

export function encodeState(state: VolatilityState): Buffer {
  const bytes = packr.pack({
    ...state,
    seasonality: withBytes(state.seasonality),
    candles: withBytes(state.candles),
    sha256: Buffer.alloc(DIGEST_BYTES),
  });
  const digestAt = bytes.length - DIGEST_BYTES;
  digestOf(bytes.subarray(0, digestAt)).copy(bytes, digestAt);
  return bytes;
}

/** Never throws: every string of bytes is a state or a reason why not. */
export function decodeState(bytes: Uint8Array): DecodedState {
  const digestAt = bytes.length - DIGEST_BYTES;
  if (digestAt <= 0) return { ok: false, reason: `file has only ${bytes.length} bytes` };
  if (!digestOf(bytes.subarray(0, digestAt)).equals(bytes.subarray(digestAt))) {
    return { ok: false, reason: "checksum does not match: file is truncated or damaged" };
  }
  let unpacked: unknown;
  try {
    unpacked = packr.unpack(bytes);
  } catch (error) {
    return { ok: false, reason: `not MessagePack: ${describeError(error)}` };
  }
  const fields = { ...(unpacked as { sha256?: unknown }) };
  delete fields.sha256;
  const parsed = stateSchema.safeParse(fields);
  if (parsed.success) return { ok: true, state: parsed.data };
  const problems = parsed.error.issues.slice(0, 3).map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  return { ok: false, reason: problems.join("; ") };
}
