import { parse } from "csv-parse/sync";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { OperationalError } from "../../errors.ts";
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

  constructor(dir: string, resolution: ArchiveResolution = "1m") {
    if (!existsSync(dir)) {
      throw new OperationalError("market/no_directory", `no recorded market at ${dir}`, { details: { dir } });
    }
    this.#dir = dir;
    this.#resolution = resolution;
    this.#segments = readSegments(join(dir, "segments.csv"), resolution);
  }

  /** Resolutions at which the folder is recorded. */
  resolutions(folder: string): string[] {
    return ["1m", "5m", "15m"].filter((resolution) => existsSync(join(this.#dir, resolution, folder)));
  }

  /** Candles with open times in `[from, to)`, ascending. */
  range(folder: string, from: number, to: number): Candle[] {
    const last = monthOf(to - 1);
    const months = [...this.#monthFiles(folder).keys()].filter((month) => month >= monthOf(from) && month <= last);
    return months.flatMap((month) => {
      const rows = this.#month(folder, month);
      const start = firstAtOrAfter(rows, from);
      return Array.from({ length: firstAtOrAfter(rows, to) - start }, (_, index) => candleAt(rows, start + index));
    });
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
    return readRows(this.#monthFiles(folder).get(month)!, ARCHIVE_STEPS[this.#resolution]);
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

/** Plain splitting: six numbers a line, and a month of minutes must load in tens of milliseconds. */
function readRows(path: string, step: number): Rows {
  const raw = readFileSync(path);
  const text = (path.endsWith(".gz") ? gunzipSync(raw) : raw).toString("latin1");
  const lines = text.split(/\r?\n/);
  if (lines[0]?.trim() !== HEADER) {
    throw new OperationalError("market/bad_file", `${path}: expected the header ${HEADER}`, { details: { path } });
  }
  const rows = new Float64Array((lines.length - 1) * WIDTH);
  let used = 0;
  for (let index = 1; index < lines.length; index += 1) {
    const cells = lines[index]!.split(",");
    if (cells.length < WIDTH - 1) continue;
    for (let column = 0; column < WIDTH; column += 1) {
      const cell = cells[column]?.trim() ?? "";
      rows[used * WIDTH + column] = cell === "" ? Number.NaN : Number(cell);
    }
    const candle = candleAt(rows, used);
    const previous = used === 0 ? -Infinity : rows[(used - 1) * WIDTH]!;
    // What cannot be such a bar, or is out of order, is left out: a hole is honest, a repair is not.
    if (isValidCandle(candle) && candle.openTime % step === 0 && candle.openTime > previous) used += 1;
  }
  return rows.slice(0, used * WIDTH);
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
