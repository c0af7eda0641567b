import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { parse } from "csv-parse/sync";
import type { Clock } from "../../clock.ts";
import { describeError, isErrno, OperationalError } from "../../errors.ts";
import type { AssetSymbol } from "../../market/assets.ts";
import { MINUTE_STEP_SECONDS, type Candle } from "../../market/candle.ts";
import { writeFileAtomic } from "../../store/atomic-file.ts";
import { SECONDS_PER_DAY, unixSeconds } from "../../units.ts";
import type { MarketFeed } from "../feed.ts";
import { CandleArchive } from "./archive.ts";

export interface DownloadOptions {
  readonly feed: MarketFeed;
  /** Gets `1m/<ASSET>/<YYYY-MM>.csv.gz` and segments.csv, which say what source each stretch is from. */
  readonly dir: string;
  /** Unix seconds: where an asset begins that has no candle here yet. */
  readonly from: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress: (share: number, text: string) => void;
}

/** A stretch of one source, as segments.csv lists it; unix seconds of the first and last open. */
interface Segment {
  readonly asset: string;
  readonly start: number;
  readonly end: number;
  readonly instrument: string;
}

export interface Downloaded {
  readonly asset: AssetSymbol;
  readonly candles: number;
  /** Unix seconds of the newest candle's open; null: there is none. */
  readonly newest: number | null;
  /** Why it ended before the present; null where it did not. */
  readonly problem: string | null;
}

/** Asked for at a time: what is lost when a download is cut off. */
const PIECE_SECONDS = 7 * SECONDS_PER_DAY;
const HEADER = "t,o,h,l,c,v";
const SEGMENTS_HEADER = "asset,res,start_utc,end_utc,instrument";

/**
 * Adds to an asset's recording what its sources have since the newest candle in it. A download that was cut off, or that a
 * source failed, goes on where it ended. Throws OperationalError `market/…` when what is there cannot be read, and the
 * system's error; a failing feed is a `problem`.
 */
export async function downloadCandles(asset: AssetSymbol, options: DownloadOptions): Promise<Downloaded> {
  const { feed, dir, clock, signal, onProgress } = options;
  const end = Math.floor(clock.nowMs() / 1000 / MINUTE_STEP_SECONDS) * MINUTE_STEP_SECONDS;
  let newest = newestOpen(asset, dir);
  const begin = newest === null ? options.from : newest + MINUTE_STEP_SECONDS;
  let candles = 0;
  for (let from = begin; from < end && !signal.aborted;) {
    const to = Math.min(from + PIECE_SECONDS, nextMonth(from), end);
    try {
      const answer = await feed.candles(asset, { from: unixSeconds(from), to: unixSeconds(to) }, signal);
      const own = await append(asset, dir, { ...answer, newest });
      candles += own.length;
      newest = own.at(-1)?.openTime ?? newest;
    } catch (error) {
      if (!(error instanceof OperationalError) || !error.code.startsWith("feed/")) throw error;
      return { asset, candles, newest, problem: describeError(error) };
    }
    from = to;
    onProgress((from - begin) / (end - begin), asset);
  }
  return { asset, candles, newest, problem: signal.aborted ? "interrupted" : null };
}

function newestOpen(asset: AssetSymbol, dir: string): number | null {
  let archive: CandleArchive;
  try {
    archive = new CandleArchive(dir, "1m");
  } catch (error) {
    if (error instanceof OperationalError && error.code === "market/no_directory") return null;
    throw error;
  }
  const span = archive.span(asset);
  if (span === null) return null;
  // A month's file has a candle at least: it was written with one.
  return archive.range(asset, span.to - 31 * SECONDS_PER_DAY, span.to).at(-1)?.openTime ?? null;
}

function nextMonth(time: number): number {
  const date = new Date(time * 1000);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1) / 1000;
}

/** Candles of one month and source. Segments go first: candles without one would seem to be of the source before them. */
async function append(
  asset: AssetSymbol,
  dir: string,
  answer: { readonly candles: readonly Candle[]; readonly source: string; readonly newest: number | null },
): Promise<readonly Candle[]> {
  const { newest, source: instrument } = answer;
  const segments = readSegments(dir);
  const last = segments.filter((segment) => segment.asset === asset).at(-1);
  const isContinued = last?.instrument === instrument;
  // As in other recordings one candle is missing where the source changes: no return is taken across.
  const candles = last === undefined || isContinued || newest === null ? answer.candles : answer.candles.slice(1);
  if (candles.length === 0) return [];
  const [start, end] = [candles[0]!.openTime, candles.at(-1)!.openTime];
  const others = segments.filter((segment) => segment !== last);
  const next: Segment = isContinued ? { ...last, end } : { asset, start, end, instrument };
  // A run that was killed may have listed more than it wrote.
  const before =
    last === undefined || isContinued || newest === null ? [] : [{ ...last, end: Math.min(last.end, newest) }];
  const whole = before.filter((segment) => segment.start <= segment.end);
  await writeSegments(dir, [...others, ...whole, next]);
  await writeMonth(dir, asset, candles);
  return candles;
}

/** Adds to the month's file, which is replaced as a whole. */
async function writeMonth(dir: string, asset: AssetSymbol, candles: readonly Candle[]): Promise<void> {
  const from = candles[0]!.openTime;
  const month = new Date(from * 1000).toISOString().slice(0, 7);
  const known = new CandleArchive(dir, "1m").range(asset, Date.parse(`${month}-01T00:00:00Z`) / 1000, from);
  const rows = [...known, ...candles].map(({ openTime, open, high, low, close, volume }) =>
    [openTime, open, high, low, close, volume ?? ""].join(","),
  );
  const content = await promisify(gzip)(`${[HEADER, ...rows].join("\n")}\n`);
  await writeFileAtomic(join(dir, "1m", asset, `${month}.csv.gz`), content);
}

function readSegments(dir: string): Segment[] {
  const path = join(dir, "segments.csv");
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
  const rows: Record<string, string>[] = parse(text, { columns: true });
  return rows.map(({ asset, res, start_utc: start, end_utc: end, instrument }) => {
    if (asset === undefined || instrument === undefined || res !== "1m" || start === undefined || end === undefined) {
      throw new OperationalError(
        "market/bad_file",
        `${path}: expected the columns ${SEGMENTS_HEADER} of minutes; download into a folder of its own`,
      );
    }
    return { asset, instrument, start: Date.parse(`${start}Z`) / 1000, end: Date.parse(`${end}Z`) / 1000 };
  });
}

async function writeSegments(dir: string, segments: readonly Segment[]): Promise<void> {
  const utc = (time: number): string => new Date(time * 1000).toISOString().slice(0, 19).replace("T", " ");
  const rows = segments.map(({ asset, start, end, instrument }) =>
    [asset, "1m", utc(start), utc(end), instrument].join(","),
  );
  await writeFileAtomic(join(dir, "segments.csv"), `${[SEGMENTS_HEADER, ...rows].join("\n")}\n`);
}
