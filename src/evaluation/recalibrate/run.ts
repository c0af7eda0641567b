import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../clock.ts";
import { OperationalError } from "../../errors.ts";
import type { AssetSymbol } from "../../market/assets.ts";
import type { Damage, Recording } from "../../store/recording-format.ts";
import { listRecordingFolders, readRecordings, type RecordingFilter } from "../../store/recording-reader.ts";
import {
  loadRecalibration,
  RECALIBRATION_SCHEMA,
  recalibrationPath,
  saveRecalibration,
  setRecalibrationAside,
  type RecalibrationSeries,
  type RecalibrationState,
} from "../../store/recalibration-store.ts";
import { VolatilityStore } from "../../store/volatility-store.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../../units.ts";
import { readAnswer, scoreAnswer, type NotScorable, type NotScored, type ScoredAnswer } from "./answer.ts";
import { countAnswer, seriesKey, withoutOutlived } from "./statistics.ts";
import { boundChange } from "./estimate.ts";
import { ScoreTable } from "./table.ts";
import { loadCandles, nextWindows, windowKey, type Candles, type Window } from "./windows.ts";

export interface ScoringOptions {
  readonly stateDir: string;
  /** Also answers counted before whose horizon ended after this (unix seconds); they are shown, not counted again. */
  readonly since: number | null;
  /** Answers scored of each asset, horizon and hour. */
  readonly maxPerHour: number;
  /** No further span of time is begun after this; the next run goes on. */
  readonly budgetMs: number;
  /**
   * Whether candles are of the time at which recordings were written. A rehearsal's are not: when its answers were asked
   * is then not looked at.
   */
  readonly realTime: boolean;
  readonly clocks: { readonly market: Clock; readonly wall: Clock };
  readonly signal: AbortSignal;
}

export type Skipped = "over_cap" | Exclude<NotScorable, "no_answer"> | NotScored;

export interface ScoringResult {
  readonly table: ScoreTable;
  readonly scored: number;
  /** Of the scored ones, those that entered the statistics. */
  readonly counted: number;
  readonly skipped: ReadonlyMap<Skipped, number>;
  readonly damages: readonly Damage[];
  /** What an operator should know, a sentence each. */
  readonly notes: readonly string[];
  readonly finished: boolean;
}

/** Ids tell when a request came: this far from its start time at most (clocks that were wrong included). */
const ID_SLACK_SECONDS = 3 * SECONDS_PER_HOUR;
/** Answers that cannot be reproduced cost a simulation each: after so many, a slot is given up. */
const MAX_ATTEMPTS_PER_SLOT = 2;

/** Two horizons without an answer of the newer version. */
const TAKEN_BACK_SECONDS = 2 * SECONDS_PER_DAY;

/** What one span of time changes; nothing of it stays unless the span was finished. */
interface Span {
  readonly windows: ReadonlyMap<string, Window>;
  readonly series: Map<string, RecalibrationSeries>;
  /** Attempts by slot; Infinity once an answer of the slot was scored. */
  readonly slots: Map<string, number>;
  readonly scored: ScoredAnswer[];
  readonly skipped: Map<Skipped, number>;
  counted: number;
}

/**
 * Scores our own answers whose horizon has passed and learns from them. Each hour of each asset and horizon is cut into
 * `maxPerHour` slots, of which the first reproducible answer is scored. Statistics and marks are saved together, a span
 * of time after the other: a run that is killed loses the span under way and counts nothing twice.
 *
 * One at a time: the caller holds the lock. Throws OperationalError `recalibration/no_candles`, `store/…`.
 */
export async function scoreRecordings(options: ScoringOptions): Promise<ScoringResult> {
  const run = new ScoringRun(options, await loadOrBegin(options));
  return run.go();
}

async function loadOrBegin({
  stateDir,
  clocks,
}: ScoringOptions): Promise<{ state: RecalibrationState; notes: string[] }> {
  const loaded = loadRecalibration(stateDir);
  if (loaded.status === "ok") return { state: loaded.state, notes: [] };
  const nowMs = clocks.market.nowMs();
  const writtenAt = new Date(nowMs).toISOString();
  const state: RecalibrationState = { schema: RECALIBRATION_SCHEMA, writtenAt, through: [], series: [] };
  if (loaded.status === "missing") return { state, notes: [] };
  const aside = await setRecalibrationAside(stateDir, nowMs);
  const note = `${recalibrationPath(stateDir)} was corrupt (${loaded.reason}); it is now ${aside}, and the factors are learnt again from the recordings`;
  return { state, notes: [note] };
}

class ScoringRun {
  readonly #options: ScoringOptions;
  readonly #slotSeconds: number;
  readonly #marks: Map<string, number>;
  readonly #through: Map<string, RecalibrationState["through"][number]>;
  #series: Map<string, RecalibrationSeries>;
  /** As the run found them: what is in use now. */
  readonly #before: ReadonlyMap<string, RecalibrationSeries>;
  #isSaved = true;
  readonly #table = new ScoreTable();
  readonly #skipped = new Map<Skipped, number>();
  readonly #ids = new Set<string>();
  readonly #damages = new Map<string, Damage>();
  readonly #notes: string[];
  readonly #withoutCandles = new Set<AssetSymbol>();
  #candles: Candles = new Map();
  #scored = 0;
  #counted = 0;

  constructor(options: ScoringOptions, from: { state: RecalibrationState; notes: string[] }) {
    this.#options = options;
    this.#slotSeconds = SECONDS_PER_HOUR / options.maxPerHour;
    this.#through = new Map(from.state.through.map((mark) => [windowKey(mark), mark]));
    this.#marks = new Map(from.state.through.map((mark) => [windowKey(mark), mark.end]));
    this.#before = new Map(from.state.series.map((one) => [seriesKey(one), one]));
    this.#series = new Map(this.#before);
    this.#notes = from.notes;
  }

  async go(): Promise<ScoringResult> {
    const { stateDir, budgetMs, clocks, signal } = this.#options;
    const { candles, problems } = loadCandles(new VolatilityStore(stateDir));
    this.#candles = candles;
    this.#notes.push(...problems);
    if (candles.size === 0) {
      const message = `No candles in ${stateDir}/volatility to score answers with; is the updater running?`;
      throw new OperationalError("recalibration/no_candles", [message, ...problems].join("; "));
    }
    const deadlineMs = clocks.wall.nowMs() + budgetMs;
    let { since } = this.#options;
    for (;;) {
      const windows = nextWindows(candles, { marks: this.#marks, since, slotSeconds: this.#slotSeconds });
      if (windows.length === 0) return this.#result(true);
      if (signal.aborted || clocks.wall.nowMs() >= deadlineMs) return this.#result(false);
      if (!(await this.#scoreSpan(windows))) return this.#result(false);
      for (const window of windows) this.#marks.set(windowKey(window), window.to);
      // From here on the marks tell: they begin where `since` does.
      since = null;
    }
  }

  async #result(finished: boolean): Promise<ScoringResult> {
    if (!this.#isSaved) await this.#save();
    for (const asset of this.#withoutCandles) this.#notes.push(`${asset}: no candles on disk; its answers wait`);
    return {
      table: this.#table,
      scored: this.#scored,
      counted: this.#counted,
      skipped: this.#skipped,
      damages: [...this.#damages.values()],
      notes: this.#notes,
      finished,
    };
  }

  /** False where the signal ended it; then it changed nothing. */
  async #scoreSpan(windows: readonly Window[]): Promise<boolean> {
    const span: Span = {
      windows: new Map(windows.map((window) => [windowKey(window), window])),
      series: new Map(this.#series),
      slots: new Map(),
      scored: [],
      skipped: new Map(),
      counted: 0,
    };
    const filter = this.#options.realTime ? idsOf(windows) : {};
    for (const folder of await listRecordingFolders(this.#options.stateDir)) {
      for await (const entry of readRecordings(folder, filter)) {
        if (this.#options.signal.aborted) return false;
        if (entry.kind === "damage") this.#damages.set(`${entry.segment}:${entry.offset}`, entry);
        else await this.#take(entry.recording, span);
      }
    }
    await this.#commit(span);
    return true;
  }

  async #take(recording: Recording, span: Span): Promise<void> {
    const answer = readAnswer(recording, this.#options);
    if (answer === "no_answer") return;
    if (typeof answer === "string") {
      // They have no end to take them by, and neighbouring spans meet them too.
      const id = `${recording.exchange.receiver} ${recording.id}`;
      if (!this.#ids.has(id)) addTo(this.#skipped, answer);
      this.#ids.add(id);
      return;
    }
    const { asset } = answer.request;
    const closes = this.#candles.get(asset);
    if (closes === undefined) this.#withoutCandles.add(asset);
    const key = windowKey({ asset, horizon: answer.horizon });
    const window = span.windows.get(key);
    if (closes === undefined || window === undefined) return;
    if (answer.endTime <= window.from || answer.endTime > window.to) return;
    const slot = `${key} ${Math.ceil(answer.endTime / this.#slotSeconds)}`;
    const attempts = span.slots.get(slot) ?? 0;
    if (attempts >= MAX_ATTEMPTS_PER_SLOT) {
      addTo(span.skipped, "over_cap");
      return;
    }
    await setImmediate();
    const scored = await scoreAnswer(answer, closes);
    if (typeof scored === "string") {
      span.slots.set(slot, attempts + 1);
      addTo(span.skipped, scored);
      return;
    }
    span.slots.set(slot, Infinity);
    span.scored.push(scored);
    this.#count(scored, span);
  }

  /** The last resort is no model to be corrected, and no answer counts twice. */
  #count({ counted }: ScoredAnswer, span: Span): void {
    const done = this.#through.get(windowKey(counted))?.end ?? -Infinity;
    if (counted.engine === "baseline" || counted.endTime <= done) return;
    const key = seriesKey(counted);
    const before = span.series.get(key);
    if (before !== undefined && isFromBefore(counted, before)) return;
    span.series.set(key, countAnswer(before, counted));
    span.counted += 1;
  }

  async #commit(span: Span): Promise<void> {
    const { since } = this.#options;
    for (const scored of span.scored) {
      if (since === null || scored.counted.endTime > since) this.#table.add(scored);
    }
    this.#scored += span.scored.length;
    this.#counted += span.counted;
    for (const [reason, times] of span.skipped) addTo(this.#skipped, reason, times);
    this.#series = new Map(withoutOutlived(span.series.values()).map((one) => [seriesKey(one), one]));
    for (const [key, { asset, horizon, to }] of span.windows) {
      if (to <= (this.#through.get(key)?.end ?? -Infinity)) continue;
      this.#through.set(key, { asset, horizon, end: to });
      this.#isSaved = false;
    }
    // Marks alone can wait: going over empty spans again costs nothing.
    if (span.counted > 0) await this.#save();
  }

  #bounded(series: RecalibrationSeries): RecalibrationSeries {
    const before = this.#before.get(seriesKey(series));
    const isSame = before?.engineVersion === series.engineVersion;
    return { ...series, lengths: boundChange(series.lengths, isSame ? before.lengths : []) };
  }

  async #save(): Promise<void> {
    const writtenAt = new Date(this.#options.clocks.market.nowMs()).toISOString();
    await saveRecalibration(this.#options.stateDir, {
      schema: RECALIBRATION_SCHEMA,
      writtenAt,
      through: [...this.#through.values()],
      series: [...this.#series.values()].map((one) => this.#bounded(one)),
    });
    this.#isSaved = true;
  }
}

/** An answer from before an update of the engine says nothing about the one that answers now, unless that was taken back. */
function isFromBefore(counted: ScoredAnswer["counted"], { engineVersion, newestEnd }: RecalibrationSeries): boolean {
  return counted.engineVersion < engineVersion && counted.endTime <= newestEnd + TAKEN_BACK_SECONDS;
}

function addTo(counts: Map<Skipped, number>, reason: Skipped, times = 1): void {
  counts.set(reason, (counts.get(reason) ?? 0) + times);
}

/** Ids of the recordings that may hold answers of these windows. */
function idsOf(windows: readonly Window[]): RecordingFilter {
  const from = Math.min(...windows.map((window) => window.from - window.horizonSeconds)) - ID_SLACK_SECONDS;
  const to = Math.max(...windows.map((window) => window.to - window.horizonSeconds)) + ID_SLACK_SECONDS;
  const id = (seconds: number): string => new Date(seconds * 1000).toISOString().replaceAll(/[-:.]/g, "").slice(0, 15);
  return { from: id(from), to: id(to) };
}
