import { parse } from "csv-parse/sync";
import { readFileSync } from "node:fs";
import { describeError, OperationalError } from "../../errors.ts";
import { isAssetSymbol, type AssetSymbol } from "../../market/assets.ts";
import { parseStartTime } from "../../subnets/synth/start-time.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../../units.ts";
import { isGrid, type Prompt } from "./plan.ts";
import type { Horizon } from "./report.ts";

/** The subnet's two grids, the prompts per asset that the protocol wants at least, and the unit of the stride. */
export const HORIZONS: Readonly<
  Record<Horizon, { horizonSeconds: number; stepSeconds: number; prompts: number; strideUnitSeconds: number }>
> = {
  // Starts stay on five-minute marks, so that minutes and five-minute bars answer the same prompts.
  "24h": { horizonSeconds: SECONDS_PER_DAY, stepSeconds: 300, prompts: 150, strideUnitSeconds: 300 },
  "1h": { horizonSeconds: SECONDS_PER_HOUR, stepSeconds: 60, prompts: 500, strideUnitSeconds: 60 },
};

const MAX_PROMPTS_FILE_ROWS = 1_000_000;

/**
 * The longest stride, in whole units and coprime with a day's units, that gives at least the wanted number of origins in
 * `[from, to - horizon]`: so origins walk through all times of day.
 */
export function defaultStride(horizon: Horizon, span: { readonly from: number; readonly to: number }): number {
  const { horizonSeconds, prompts, strideUnitSeconds } = HORIZONS[horizon];
  const perDay = SECONDS_PER_DAY / strideUnitSeconds;
  const room = (span.to - span.from - horizonSeconds) / (prompts - 1) / strideUnitSeconds;
  let units = Math.max(1, Math.floor(room));
  while (greatestCommonDivisor(units, perDay) !== 1) units--;
  return units * strideUnitSeconds;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Prompts that lie inside `[from, to]`, one every `strideSeconds`. */
export function rollingPrompts(
  assets: readonly AssetSymbol[],
  options: { horizon: Horizon; from: number; to: number; strideSeconds: number },
): Prompt[] {
  const { horizonSeconds, stepSeconds } = HORIZONS[options.horizon];
  const count = Math.max(0, Math.floor((options.to - options.from - horizonSeconds) / options.strideSeconds) + 1);
  return assets.flatMap((asset) =>
    Array.from({ length: count }, (_, i) => ({
      asset,
      start: options.from + i * options.strideSeconds,
      horizonSeconds,
      stepSeconds,
    })),
  );
}

/** Rows that are no prompt, as they were written. */
export interface BadRow {
  readonly line: number;
  readonly asset: string;
  readonly problem: string;
}

const COLUMNS = ["asset", "start_time", "time_length", "time_increment"] as const;

/** Reads a CSV file with the header `asset,start_time,time_length,time_increment`. */
export function readPrompts(path: string): { readonly prompts: Prompt[]; readonly badRows: BadRow[] } {
  const rows = readRows(path);
  const missing = COLUMNS.filter((name) => rows[0] !== undefined && !Object.hasOwn(rows[0], name));
  if (rows.length === 0 || missing.length > 0 || rows.length > MAX_PROMPTS_FILE_ROWS) {
    const found =
      rows.length === 0 ? "no row" : missing.length > 0 ? `no ${missing.join(", ")}` : `${rows.length} rows`;
    const message = `${path}: expected 1 to ${MAX_PROMPTS_FILE_ROWS} rows under the header ${COLUMNS.join(",")}, found ${found}`;
    throw new OperationalError("backtest/bad_prompts_file", message);
  }
  const prompts: Prompt[] = [];
  const badRows: BadRow[] = [];
  for (const [index, row] of rows.entries()) {
    const prompt = promptOf(row);
    // Line 1 is the header.
    if (typeof prompt === "string") badRows.push({ line: index + 2, asset: row["asset"] ?? "", problem: prompt });
    else prompts.push(prompt);
  }
  return { prompts, badRows };
}

function readRows(path: string): Record<string, string>[] {
  try {
    return parse(readFileSync(path), { columns: true, bom: true, trim: true, skip_empty_lines: true });
  } catch (error) {
    const message = `${path}: expected a readable CSV file (${describeError(error)})`;
    throw new OperationalError("backtest/bad_prompts_file", message, { cause: error });
  }
}

function promptOf(row: Record<string, string>): Prompt | string {
  const asset = row["asset"]!;
  if (!isAssetSymbol(asset)) return `unknown asset "${asset}"`;
  const start = parseStartTime(row["start_time"]!);
  if (start === null) return `expected an ISO 8601 start_time, was "${row["start_time"]!}"`;
  const prompt = {
    asset,
    start,
    horizonSeconds: Number(row["time_length"]),
    stepSeconds: Number(row["time_increment"]),
  };
  if (!isGrid(prompt)) return `expected whole steps, was ${row["time_length"]!} s by ${row["time_increment"]!} s`;
  return prompt;
}

/** Seconds of `4020`, `4020s`, `67m`, `2h` or `1d`; null for anything else or less than a second. */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,8})(s|m|h|d)?$/.exec(text.trim());
  if (match === null) return null;
  const seconds = Number(match[1]) * { s: 1, m: 60, h: SECONDS_PER_HOUR, d: SECONDS_PER_DAY }[match[2] ?? "s"]!;
  return seconds > 0 ? seconds : null;
}
