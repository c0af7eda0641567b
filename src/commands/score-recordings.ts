import { join } from "node:path";
import { z } from "zod";
import { systemClock, type Clock } from "../clock.ts";
import { marketClock } from "../config/clock.ts";
import { EXIT, OperationalError } from "../errors.ts";
import { scoreRecordings, type ScoringResult, type Skipped } from "../evaluation/recalibrate/run.ts";
import { describeDamage } from "../evaluation/replay-report.ts";
import { SECONDS_PER_HOUR, SECONDS_PER_MINUTE } from "../units.ts";
import { acquireLock, type ProcessLock } from "../updater/process-lock.ts";
import { defineCommand } from "./command.ts";
import { textTable } from "./text-table.ts";

/** Of all commands that learn from recordings: one at a time. */
export const WAIT_OPTION = z.number().min(0).default(0).describe("wait this long for another run to end");

const options = z.object({
  since: z
    .union([z.iso.date(), z.iso.datetime({ offset: true })], { error: "expected a date or an ISO 8601 instant" })
    .optional()
    .describe("also show answers counted before whose horizon ended after this (date or ISO instant, UTC)"),
  maxPerHour: z
    .int()
    .min(1)
    .max(60)
    .refine((count) => SECONDS_PER_HOUR % count === 0, "expected a divisor of 3600")
    .default(6)
    .describe("answers scored of each asset, horizon and hour, spread over the hour"),
  waitMinutes: WAIT_OPTION,
  maxMinutes: z.number().positive().default(10).describe("begin nothing further after this; the next run goes on"),
});

const SKIPPED: Readonly<Record<Skipped, string>> = {
  over_cap: "left out by --max-per-hour",
  irreproducible: "not reproduced by today's code",
  no_prices: "without realised prices that moved",
  rejected: "no valid answers",
  unreadable: "unreadable",
  retired_engine: "of an engine's version that this build no longer simulates",
  other_grid: "of another grid or asset than the competitions'",
  not_ahead: "not asked for within ten minutes before their start",
};

const SHOWN_DAMAGES = 3;

export const scoreRecordingsCommand = defineCommand({
  name: "score-recordings",
  summary: "score our own past answers and learn the factors that correct their scale",
  usage: "score-recordings [--since 2026-10-01] [--max-per-hour N] [--state-dir DIR]",
  options,
  positionals: [],
  sections: ["stateDir", "clock", "logging"],
  async run({ config, options: asked, signal, print }) {
    const lock = await lockRecalibration(config.stateDir, { waitMinutes: asked.waitMinutes, signal });
    try {
      const result = await scoreRecordings({
        stateDir: config.stateDir,
        since: asked.since === undefined ? null : Date.parse(asked.since) / 1000,
        maxPerHour: asked.maxPerHour,
        budgetMs: asked.maxMinutes * SECONDS_PER_MINUTE * 1000,
        realTime: config.clock.start === null,
        clocks: { market: marketClock(config.clock), wall: systemClock },
        signal,
      });
      for (const line of describeScoring(result)) print(line);
      return signal.aborted ? EXIT.INTERRUPTED : EXIT.OK;
    } finally {
      await lock.release();
    }
  },
});

const LOCK_RETRY_MS = 2000;

/** Held by whoever learns from recordings. Throws OperationalError `recalibration/locked` when others hold it all the while. */
export async function lockRecalibration(
  stateDir: string,
  wait: { readonly waitMinutes: number; readonly signal: AbortSignal; readonly clock?: Clock },
): Promise<ProcessLock> {
  const { waitMinutes, signal, clock = systemClock } = wait;
  const untilMs = clock.nowMs() + waitMinutes * SECONDS_PER_MINUTE * 1000;
  for (;;) {
    try {
      return await acquireLock(join(stateDir, "recalibration.lock"));
    } catch (cause) {
      if (!(cause instanceof OperationalError) || cause.code !== "updater/locked") throw cause;
      if (clock.nowMs() >= untilMs) {
        const message = `Another score-recordings (process ${String(cause.details["pid"])}) works on ${stateDir}; wait for its end`;
        throw new OperationalError("recalibration/locked", message, { details: cause.details });
      }
    }
    signal.throwIfAborted();
    await clock.sleep(LOCK_RETRY_MS, signal);
  }
}

/** What a run scored, as lines of text. */
export function describeScoring(result: ScoringResult): string[] {
  const { table, scored, counted, skipped, damages, notes, finished } = result;
  const tables = (["1h", "24h"] as const)
    .map((horizon) => table.rows(horizon))
    .filter(({ rows }) => rows.length > 0)
    .map(({ head, rows }) => textTable(head, rows, head.slice(2)));
  const left = [...skipped].map(([reason, times]) => `${times} ${SKIPPED[reason]}`);
  const more = damages.length - SHOWN_DAMAGES;
  return [
    ...tables,
    ...damages.slice(0, SHOWN_DAMAGES).map(describeDamage),
    ...(more > 0 ? [`and ${more} more damaged places`] : []),
    ...notes,
    [`${scored} answers scored, ${counted} of them new in the factors`, ...left].join("; "),
    ...(finished ? [] : ["More answers are due; the next run goes on."]),
  ];
}
