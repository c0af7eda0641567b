import { closeSync, fstatSync, openSync, readFileSync, statSync } from "node:fs";
import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { systemClock, type Clock } from "../clock.ts";
import { ENGINE_NAMES, type EngineName } from "../engines/engine.ts";
import { ENGINE_VERSIONS } from "../engines/forecast.ts";
import type { HorizonClass } from "../engines/horizon.ts";
import type { Recalibration, RecalibrationFactor, Recalibrations } from "../engines/recalibration.ts";
import { OperationalError, describeError, isErrno } from "../errors.ts";
import { ASSET_SYMBOLS, type AssetSymbol } from "../market/assets.ts";
import { SECONDS_PER_DAY, type UnixMillis } from "../units.ts";
import { writeFileAtomic } from "./atomic-file.ts";

/** Raised with every change of meaning or shape of the file. */
export const RECALIBRATION_SCHEMA = 2;
/** A factor outside these says that something else is wrong than the scale. */
export const MIN_FACTOR = 0.85;
export const MAX_FACTOR = 1.18;

const count = z.int().min(0);
const unixTime = z.int().min(0);

/** What the blocks of one length that began on one UTC day say. */
const dayStatistics = z.strictObject({
  /** UTC day, days since 1970. */
  day: count,
  /** Σ |z| · (factor applied to that answer). */
  sum: z.number().min(0),
  /** Terms of the sum. Overlapping prompts see the same market, so most are not news. */
  blocks: count,
  /** Different blocks of the calendar among them, at most day / length. */
  distinct: count,
  /** Which of the day's blocks those are, a bit each in base64; null once the day cannot get more. */
  seen: z.base64().max(1024).nullable(),
});

const lengthStatistics = z.strictObject({
  seconds: z.int().positive(),
  /** Ascending. */
  days: z.array(dayStatistics).max(60),
  /** sqrt(π/2) · weighted mean of |z| · f: 1 for a calibrated model; null without blocks. */
  raw: z.number().positive().nullable(),
  effectiveBlocks: z.number().min(0),
  /** The multiplier of sigma; null where even the shortest length has too few blocks. */
  factor: z.number().min(MIN_FACTOR).max(MAX_FACTOR).nullable(),
  /** `own`: from its blocks; `shorter`: too few, the factor of the next shorter length; `too_few`: none at all. */
  basis: z.enum(["own", "shorter", "too_few"]),
});

const series = z.strictObject({
  asset: z.enum(ASSET_SYMBOLS),
  horizon: z.enum(["1h", "24h"]),
  engine: z.enum(ENGINE_NAMES),
  /** Another version is another model: its statistics begin afresh. */
  engineVersion: z.int(),
  /** What the engine was calibrated with (see EwmaInput); null for answers that do not tell, and in schema 1. */
  calibration: z.string().max(64).nullable().default(null),
  prompts: count,
  /** End of the newest prompt counted. */
  newestEnd: unixTime,
  /** Ascending. */
  lengths: z.array(lengthStatistics).max(16),
});

const fileSchema = z.strictObject({
  schema: z.literal([1, RECALIBRATION_SCHEMA]),
  writtenAt: z.iso.datetime(),
  /** High-water marks: every answer whose horizon ended by then was dealt with and is never counted again. */
  through: z.array(z.strictObject({ asset: z.enum(ASSET_SYMBOLS), horizon: z.enum(["1h", "24h"]), end: unixTime })),
  series: z.array(series),
});

export type DayStatistics = z.infer<typeof dayStatistics>;
export type LengthStatistics = z.infer<typeof lengthStatistics>;
export type RecalibrationSeries = z.infer<typeof series>;
export type RecalibrationState = z.infer<typeof fileSchema>;

export type LoadedRecalibration =
  | { readonly status: "ok"; readonly state: RecalibrationState }
  | { readonly status: "missing" }
  | { readonly status: "corrupt"; readonly reason: string };

/** 14 assets and two horizons with 45 days of ten lengths are one megabyte. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const MAX_SET_ASIDE = 3;
/** How often a reader looks for a newer file; `score-recordings` writes every quarter of an hour. */
const RECHECK_MS = 5000;
/** What was learnt before says little about today's model and market. */
const MAX_AGE_SECONDS = 10 * SECONDS_PER_DAY;

export function recalibrationPath(stateDir: string): string {
  return join(stateDir, "recalibration.json");
}

/** Only `score-recordings` saves, and holds a lock meanwhile. Throws OperationalError `store/write_failed`. */
export async function saveRecalibration(stateDir: string, state: RecalibrationState): Promise<void> {
  const path = recalibrationPath(stateDir);
  try {
    await writeFileAtomic(path, `${JSON.stringify(state)}\n`);
  } catch (cause) {
    const message = `Cannot write ${path}: ${describeError(cause)}`;
    throw new OperationalError("store/write_failed", message, { details: { path }, cause });
  }
}

/** Throws OperationalError `store/read_failed` when the file is there but the system does not let us read it. */
export function loadRecalibration(stateDir: string): LoadedRecalibration {
  const path = recalibrationPath(stateDir);
  let text: string;
  try {
    const file = openSync(path, "r");
    try {
      const { size } = fstatSync(file);
      if (size > MAX_FILE_BYTES) return { status: "corrupt", reason: `file has ${size} bytes` };
      text = readFileSync(file, "utf8");
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    if (isErrno(cause, "ENOENT")) return { status: "missing" };
    const message = `Cannot read ${path}: ${describeError(cause)}`;
    throw new OperationalError("store/read_failed", message, { details: { path }, cause });
  }
  return parseState(text);
}

function parseState(text: string): LoadedRecalibration {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return { status: "corrupt", reason: describeError(error) };
  }
  const parsed = fileSchema.safeParse(json);
  if (parsed.success) return { status: "ok", state: parsed.data };
  const problems = parsed.error.issues.slice(0, 3).map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  return { status: "corrupt", reason: problems.join("; ") };
}

/** Renames a corrupt file out of the way, so that it can be looked into, and returns its new path. */
export async function setRecalibrationAside(stateDir: string, nowMs: UnixMillis): Promise<string> {
  const path = recalibrationPath(stateDir);
  const target = `${path}.corrupt-${new Date(nowMs).toISOString().replaceAll(/[-:.]/g, "")}`;
  await rename(path, target);
  const names = (await readdir(stateDir)).filter((name) => name.startsWith("recalibration.json.corrupt-")).sort();
  for (const name of names.slice(0, -MAX_SET_ASIDE)) await rm(join(stateDir, name), { force: true });
  return target;
}

/** An axon's view of the factors of one engine, read again when the file changes. Never throws. */
export class RecalibrationReader {
  readonly #stateDir: string;
  readonly #engine: { readonly name: EngineName; readonly version: number };
  readonly #clocks: { readonly market: Clock; readonly wall: Clock };
  #checkedAtMs = -Infinity;
  #stamp: string | null = null;
  #loaded: LoadedRecalibration = { status: "missing" };

  /** `market` ages the factors, `wall` paces the checks. */
  constructor(
    stateDir: string,
    options: {
      engine: { readonly name: EngineName; readonly version: number };
      clocks: { readonly market: Clock; readonly wall: Clock };
    },
  ) {
    this.#stateDir = stateDir;
    this.#engine = options.engine;
    this.#clocks = options.clocks;
  }

  factorsOf(asset: AssetSymbol, horizon: HorizonClass, calibration: string): readonly RecalibrationFactor[] {
    return this.lookUp(asset, horizon, calibration).factors;
  }

  lookUp(asset: AssetSymbol, horizon: HorizonClass, calibration: string): Recalibration {
    this.#refresh();
    const loaded = this.#loaded;
    if (loaded.status === "missing") return none("no recalibration file: score-recordings has not run yet");
    if (loaded.status === "corrupt") return none(`recalibration file is corrupt: ${loaded.reason}`);
    const { name, version } = this.#engine;
    const all = loaded.state.series.filter(
      (one) => one.asset === asset && one.horizon === horizon && one.engine === name,
    );
    if (all.length === 0) return none(`no answers of ${name} for ${asset} ${horizon} scored yet`);
    const own = all.find((one) => one.calibration === calibration);
    if (own === undefined) return none(`the scored answers are of another calibration of ${name} than ${calibration}`);
    if (own.engineVersion !== version) {
      return none(`the scored answers are of version ${own.engineVersion} of ${name}, this is version ${version}`);
    }
    const ageSeconds = this.#clocks.market.nowMs() / 1000 - own.newestEnd;
    if (ageSeconds > MAX_AGE_SECONDS) {
      return none(`the newest scored answer ended ${Math.floor(ageSeconds / SECONDS_PER_DAY)} days ago`);
    }
    const factors = own.lengths.flatMap(({ seconds, factor }) => (factor === null ? [] : [{ seconds, factor }]));
    if (factors.length > 0) return { factors, reason: null };
    const blocks = Math.floor(own.lengths[0]?.effectiveBlocks ?? 0);
    return none(`too few blocks scored yet: ${blocks} effective ones`);
  }

  #refresh(): void {
    const nowMs = this.#clocks.wall.nowMs();
    if (Math.abs(nowMs - this.#checkedAtMs) < RECHECK_MS) return;
    this.#checkedAtMs = nowMs;
    const stamp = stampOf(recalibrationPath(this.#stateDir));
    if (stamp !== null && stamp === this.#stamp) return;
    this.#stamp = stamp;
    try {
      this.#loaded = loadRecalibration(this.#stateDir);
    } catch (error) {
      this.#loaded = { status: "corrupt", reason: describeError(error) };
    }
  }
}

function none(reason: string): Recalibration {
  return { factors: [], reason };
}

function stampOf(path: string): string | null {
  try {
    const { ino, size, mtimeNs } = statSync(path, { bigint: true });
    return `${ino}:${size}:${mtimeNs}`;
  } catch {
    // Missing or unreadable: the load says which.
    return null;
  }
}

/** The factors of the engines that learn them, on the machine's own wall clock. */
export function openRecalibration(stateDir: string, market: Clock): Recalibrations {
  const reader = (name: EngineName): RecalibrationReader => {
    const engine = { name, version: ENGINE_VERSIONS[name] };
    return new RecalibrationReader(stateDir, { engine, clocks: { market, wall: systemClock } });
  };
  return { ewma: reader("ewma"), patchtst: reader("patchtst"), lgbm: reader("lgbm") };
}
