import { join } from "node:path";
import { z } from "zod";
import { systemClock } from "../clock.ts";
import { marketClock } from "../config/clock.ts";
import { EXIT, OperationalError } from "../errors.ts";
import { scoreRecordings, type ScoringResult, type Skipped } from "../evaluation/recalibrate/run.ts";
import { describeDamage } from "../evaluation/replay-report.ts";
import { SECONDS_PER_HOUR, SECONDS_PER_MINUTE } from "../units.ts";
import { acquireLock, type ProcessLock } from "../updater/process-lock.ts";
import { defineCommand } from "./command.ts";
import { textTable } from "./text-table.ts";

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
    const lock = await lockRecalibration(config.stateDir);
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

async function lockRecalibration(stateDir: string): Promise<ProcessLock> {
  try {
    return await acquireLock(join(stateDir, "recalibration.lock"));
  } catch (cause) {
    if (!(cause instanceof OperationalError) || cause.code !== "updater/locked") throw cause;
    const message = `Another score-recordings (process ${String(cause.details["pid"])}) works on ${stateDir}; wait for its end`;
    throw new OperationalError("recalibration/locked", message, { details: cause.details });
  }
}

function describeScoring(result: ScoringResult): string[] {
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
