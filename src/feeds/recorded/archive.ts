import { parse } from "csv-parse/sync";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describeError, OperationalError } from "../../errors.ts";
import { isValidCandle, type Candle } from "../../market/candle.ts";
import { SECONDS_PER_DAY, unixSeconds } from "../../units.ts";

/** One unbroken stretch of one instrument, `[from, to)` unix seconds of open times. */
export interface RecordedWindow {
  readonly from: number;
  readonly to: number;
  readonly instrument: string;
}

/** Row-major [candle, t o h l c v]; v is NaN where it is unknown. Typed arrays take a quarter of what objects do. */
type Rows = Float64Array;
const WIDTH = 6;

const MONTH_FILE = /^(\d{4}-\d{2})\.csv(\.gz)?$/;
/** About 2 MB each at most; fourteen assets look at two months at a time. */
const CACHED_MONTHS = 32;
/** Where no segments.csv says otherwise: closed markets pause for a long weekend, not longer. */
const WINDOW_BREAK_SECONDS = 4.5 * SECONDS_PER_DAY;
const REACH_SECONDS = 62 * SECONDS_PER_DAY;
const HEADER = "t,o,h,l,c,v";

export const ARCHIVE_STEPS = { "1m": 60, "5m": 300 } as const;
export type ArchiveResolution = keyof typeof ARCHIVE_STEPS;

/**
 * Candle files in the layout `<res>/<FOLDER>/<YYYY-MM>.csv[.gz]` with the header `t,o,h,l,c,v`, t = unix seconds of the
 * open. A month is read when it is first asked for.
 */
export class CandleArchive {
  readonly #dir: string;
  readonly #resolution: ArchiveResolution;
  readonly #segments: ReadonlyMap<string, readonly RecordedWindow[]>;
  readonly #files = new Map<string, ReadonlyMap<string, string>>();
  readonly #months = new Map<string, Rows>();
  readonly #skipsBadFiles: boolean;
  /** By folder and month, of the months read so far. */
  readonly #problems = new Map<string, ReadonlyMap<string, string>>();

  /** `skipsBadFiles`: a file that is no candle file is an empty month and a problem, instead of an error. */
  constructor(dir: string, resolution: ArchiveResolution = "1m", options: { skipsBadFiles?: boolean } = {}) {
    if (!existsSync(dir)) {
      throw new OperationalError("market/no_directory", `no recorded market at ${dir}`, { details: { dir } });
    }
    if (!statSync(dir).isDirectory()) {
      throw new OperationalError("market/no_directory", `${dir} is not a directory`, { details: { dir } });
    }
    this.#dir = dir;
    this.#skipsBadFiles = options.skipsBadFiles ?? false;
    this.#resolution = resolution;
    this.#segments = readSegments(join(dir, "segments.csv"), resolution);
  }

  /** Resolutions at which the folder is recorded. */
  resolutions(folder: string): string[] {
    return ["1m", "5m", "15m"].filter((resolution) => existsSync(join(this.#dir, resolution, folder)));
  }

  /** Candles with open times in `[from, to)`, ascending. */
  range(folder: string, from: number, to: number): Candle[] {
    return this.#monthsBetween(folder, from, to).flatMap((month) => {
      const rows = this.#month(folder, month);
      const start = firstAtOrAfter(rows, from);
      return Array.from({ length: firstAtOrAfter(rows, to) - start }, (_, index) => candleAt(rows, start + index));
    });
  }

  /** What is wrong with the months of `[from, to)` and with those read before, oldest first, for people. */
  problems(folder: string, from: number, to: number): string[] {
    for (const month of this.#monthsBetween(folder, from, to)) this.#month(folder, month);
    return [...(this.#problems.get(folder) ?? [])].sort().map(([month, problem]) => `${month}: ${problem}`);
  }

  /** What segments.csv lists for the folder, oldest first; null when it lists nothing. */
  segments(folder: string): readonly RecordedWindow[] | null {
    return this.#segments.get(folder) ?? null;
  }

  /** From the first day of the first recorded month to the end of the last one; null without any. */
  span(folder: string): { readonly from: number; readonly to: number } | null {
    const months = [...this.#monthFiles(folder).keys()];
    if (months.length === 0) return null;
    const [year, month] = months.at(-1)!.split("-").map(Number) as [number, number];
    return { from: Date.parse(`${months[0]!}-01T00:00:00Z`) / 1000, to: Date.UTC(year, month, 1) / 1000 };
  }

  /**
   * The windows of candles, oldest first: from segments.csv where it lists the folder, else the runs without a
   * break in the two months either side of `around`, or in the last ones when `around` is null.
   */
  windows(folder: string, around: number | null): readonly RecordedWindow[] {
    const months = this.#monthFiles(folder);
    const listed = this.#segments.get(folder);
    if (listed) return listed.filter(({ from, to }) => months.has(monthOf(from)) || months.has(monthOf(to - 1)));
    const last = [...months.keys()].at(-1);
    if (last === undefined) return [];
    const middle = around ?? Date.parse(`${last}-01T00:00:00Z`) / 1000;
    const step = ARCHIVE_STEPS[this.#resolution];
    const windows: RecordedWindow[] = [];
    for (const { openTime } of this.range(folder, middle - REACH_SECONDS, middle + REACH_SECONDS)) {
      const current = windows.at(-1);
      if (current && openTime - current.to < WINDOW_BREAK_SECONDS) {
        windows[windows.length - 1] = { ...current, to: openTime + step };
      } else {
        windows.push({ from: openTime, to: openTime + step, instrument: folder });
      }
    }
    return windows;
  }

  #monthsBetween(folder: string, from: number, to: number): string[] {
    const [first, last] = [monthOf(from), monthOf(to - 1)];
    return [...this.#monthFiles(folder).keys()].filter((month) => month >= first && month <= last);
  }

  /** Month → path, ascending. */
  #monthFiles(folder: string): ReadonlyMap<string, string> {
    const known = this.#files.get(folder);
    if (known) return known;
    const path = join(this.#dir, this.#resolution, folder);
    const names = existsSync(path) ? readdirSync(path).sort() : [];
    const files = new Map(
      names.flatMap((name) => {
        const month = MONTH_FILE.exec(name)?.[1];
        return month === undefined ? [] : [[month, join(path, name)] as const];
      }),
    );
    this.#files.set(folder, files);
    return files;
  }

  #month(folder: string, month: string): Rows {
    const key = `${folder}/${month}`;
    const rows = this.#months.get(key) ?? this.#readMonth(folder, month);
    // Re-inserting keeps the map in the order of use: its first key is the one to forget.
    this.#months.delete(key);
    this.#months.set(key, rows);
    if (this.#months.size > CACHED_MONTHS) this.#months.delete(this.#months.keys().next().value!);
    return rows;
  }

  #readMonth(folder: string, month: string): Rows {
    const { rows, problem } = this.#readFile(this.#monthFiles(folder).get(month)!, month);
    if (problem !== null) this.#problems.set(folder, new Map(this.#problems.get(folder)).set(month, problem));
    return rows;
  }

  #readFile(path: string, month: string): MonthFile {
    try {
      return readMonth(path, month, ARCHIVE_STEPS[this.#resolution]);
    } catch (error) {
      if (!this.#skipsBadFiles || !(error instanceof OperationalError)) throw error;
      return { rows: new Float64Array(), problem: describeError(error) };
    }
  }
}

function monthOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 7);
}

function candleAt(rows: Rows, row: number): Candle {
  const at = row * WIDTH;
  const volume = rows[at + 5]!;
  return {
    openTime: unixSeconds(rows[at]!),
    open: rows[at + 1]!,
    high: rows[at + 2]!,
    low: rows[at + 3]!,
    close: rows[at + 4]!,
    volume: Number.isNaN(volume) ? null : volume,
  };
}

function firstAtOrAfter(rows: Rows, time: number): number {
  let low = 0;
  let high = rows.length / WIDTH;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (rows[middle * WIDTH]! < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** One file's rows, and what was wrong with it, for people; null: nothing. */
interface MonthFile {
  readonly rows: Rows;
  readonly problem: string | null;
}

function readMonth(path: string, month: string, step: number): MonthFile {
  const lines = readLines(path);
  const [year, number] = month.split("-").map(Number) as [number, number];
  const [from, to] = [Date.UTC(year, number - 1) / 1000, Date.UTC(year, number) / 1000];
  const parsed = parseRows(lines, step);
  // What cannot be such a bar, or is not of this month, is left out: a hole is honest, a repair is not.
  const inside = parsed.order.filter((row) => parsed.rows[row * WIDTH]! >= from && parsed.rows[row * WIDTH]! < to);
  // Sorting is stable: of two rows with one time the first stays first, and wins.
  const kept = inside
    .sort((left, right) => parsed.rows[left * WIDTH]! - parsed.rows[right * WIDTH]!)
    .filter((row, at, all) => at === 0 || parsed.rows[row * WIDTH] !== parsed.rows[all[at - 1]! * WIDTH]);
  const rows = new Float64Array(kept.length * WIDTH);
  for (const [at, row] of kept.entries()) {
    rows.set(parsed.rows.subarray(row * WIDTH, (row + 1) * WIDTH), at * WIDTH);
  }
  const counts = [
    [parsed.invalid, "invalid"],
    [inside.length - kept.length, "duplicate"],
    [parsed.order.length - inside.length, "outside the month"],
  ] as const;
  const reasons = counts.filter(([count]) => count > 0).map(([count, reason]) => `${count} ${reason}`);
  const dropped = counts.reduce((sum, [count]) => sum + count, 0);
  return { rows, problem: dropped === 0 ? null : `${dropped} rows dropped (${reasons.join(", ")})` };
}

function readLines(path: string): string[] {
  const bad = (problem: string, cause?: unknown): OperationalError =>
    new OperationalError("market/bad_file", `${path}: ${problem}`, { details: { path }, cause });
  let lines: string[];
  try {
    const raw = readFileSync(path);
    lines = (path.endsWith(".gz") ? gunzipSync(raw) : raw).toString("latin1").split(/\r?\n/);
  } catch (error) {
    throw bad("cannot be read", error);
  }
  if (lines[0]?.trim() !== HEADER) throw bad(`expected the header ${HEADER}`);
  return lines;
}

/** Plain splitting: six numbers a line, and a month of minutes must load in tens of milliseconds. */
function parseRows(lines: readonly string[], step: number): { rows: Rows; order: number[]; invalid: number } {
  const rows = new Float64Array((lines.length - 1) * WIDTH);
  const order: number[] = [];
  let invalid = 0;
  for (let index = 1; index < lines.length; index += 1) {
    const line = lines[index]!;
    if (line.trim() === "") continue;
    const cells = line.split(",");
    const row = order.length;
    for (let column = 0; column < WIDTH; column += 1) {
      const cell = cells[column]?.trim() ?? "";
      rows[row * WIDTH + column] = cell === "" ? Number.NaN : Number(cell);
    }
    const candle = candleAt(rows, row);
    if (isValidCandle(candle) && candle.openTime % step === 0) order.push(row);
    else invalid += 1;
  }
  return { rows, order, invalid };
}

function readSegments(path: string, resolution: ArchiveResolution): ReadonlyMap<string, readonly RecordedWindow[]> {
  const windows = new Map<string, RecordedWindow[]>();
  if (!existsSync(path)) return windows;
  const rows: Record<string, string>[] = parse(readFileSync(path), { columns: true });
  for (const { asset, res, start_utc: start, end_utc: end, instrument } of rows) {
    const [from, last] = [start, end].map(parseUtc) as [number, number];
    if (res !== resolution || asset === undefined || Number.isNaN(from) || Number.isNaN(last)) continue;
    const step = ARCHIVE_STEPS[resolution];
    const window = { from, to: Math.floor(last / step) * step + step, instrument: instrument ?? asset };
    windows.set(
      asset,
      [...(windows.get(asset) ?? []), window].sort((left, right) => left.from - right.from),
    );
  }
  return windows;
}

/** "2025-12-31 23:59:59 or the last bar before" says as much as its first nineteen characters. */
function parseUtc(text: string | undefined): number {
  return Date.parse(`${(text ?? "").slice(0, 19).replace(" ", "T")}Z`) / 1000;
}
