import { availableParallelism } from "node:os";
import { z } from "zod";
import { systemClock } from "../clock.ts";
import { EXIT } from "../errors.ts";
import { isoTime } from "../evaluation/backtest/assemble.ts";
import { sourcesOf } from "../evaluation/backtest/data.ts";
import { refuse, settingsOf, SHARED_OPTIONS, sharedChoices, timeChoice } from "../evaluation/backtest/options.ts";
import { planPrompts } from "../evaluation/backtest/plan.ts";
import { createProgress } from "../evaluation/backtest/progress.ts";
import { HORIZONS, rollingPrompts } from "../evaluation/backtest/prompts.ts";
import { SKIP_TEXTS } from "../evaluation/backtest/report.ts";
import { runBacktest } from "../evaluation/backtest/run.ts";
import type { PromptResult } from "../evaluation/backtest/score-chunk.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../units.ts";
import { defineCommand } from "./command.ts";
import { textTable } from "./text-table.ts";

/** Eight 24h prompts a day, or one 1h prompt an hour. */
const DEFAULT_STRIDE_SECONDS = { "24h": 3 * SECONDS_PER_HOUR, "1h": SECONDS_PER_HOUR } as const;

export const crpsTestCommand = defineCommand({
  name: "crps-test",
  summary: "CRPS per asset and day on recorded candles: the short form of backtest",
  usage: "crps-test --start-day 2025-10-01 --num-days 3 [--data DIR] [--assets BTC,ETH] [--horizon 1h|24h]",
  options: z.strictObject({
    ...SHARED_OPTIONS,
    startDay: z.iso.date("expected a day such as 2025-10-01").describe("first day (UTC) on which prompts start"),
    numDays: z.int().min(1).max(3660).default(1).describe("number of days"),
  }),
  positionals: [],
  sections: ["engines", "updater", "market"],
  async run({ options, config, signal, print }) {
    const problems: string[] = [];
    const { dirs, engines, assets, strideSeconds } = sharedChoices(options, config, problems);
    const from = timeChoice("start-day", options.startDay, problems) ?? 0;
    refuse(problems);
    const stride = strideSeconds ?? DEFAULT_STRIDE_SECONDS[options.horizon];
    const recorded = assets.filter((asset) => options.assets.length > 0 || sourcesOf(asset, dirs).length > 0);
    // Prompts start on these days; the last ones end on the next.
    const to = from + options.numDays * SECONDS_PER_DAY - 1 + HORIZONS[options.horizon].horizonSeconds;
    const prompts = rollingPrompts(recorded, { horizon: options.horizon, from, to, strideSeconds: stride });
    const plan = planPrompts(prompts, { dirs, minObserved: options.minObserved });
    const write = (text: string): void => void process.stderr.write(text);
    const progress = createProgress({ write, isTerminal: process.stderr.isTTY, clock: systemClock });
    const { results, partial } = await runBacktest({
      chunks: plan.chunks,
      contestants: engines,
      withOracle: false,
      settings: settingsOf(config, options),
      workers: options.workers ?? availableParallelism(),
      signal,
      onProgress: progress.update,
    });
    progress.end();
    print(describeDays(results, engines));
    print("CRPS: mean score per prompt as the validators compute it, in bps; lower is better");
    for (const [reason, own] of Map.groupBy(plan.skipped, (each) => each.reason)) {
      const skippedAssets = [...new Set(own.map(({ prompt }) => prompt.asset))].join(", ");
      print(`left out: ${own.length} prompts of ${skippedAssets}: ${SKIP_TEXTS[reason]}`);
    }
    if (partial) print("PARTIAL: interrupted before the end");
    if (partial) return EXIT.INTERRUPTED;
    return results.length > 0 ? EXIT.OK : EXIT.FAILURE;
  },
});

function describeDays(results: readonly PromptResult[], engines: readonly string[]): string {
  const cells = (own: readonly PromptResult[]): (string | number)[] => [
    own.length,
    ...engines.map((engine) => {
      const totals = own.map(({ scores }) => scores.find((score) => score.engine === engine)!.total);
      return (totals.reduce((sum, total) => sum + total, 0) / own.length).toFixed(3);
    }),
  ];
  const rows = [...Map.groupBy(results, ({ prompt }) => prompt.asset)].flatMap(([asset, own]) => [
    ...[...Map.groupBy(own, ({ prompt }) => isoTime(prompt.start).slice(0, 10))].map(([day, ofDay]) => [
      asset,
      day,
      ...cells(ofDay),
    ]),
    [asset, "all", ...cells(own)],
  ]);
  const columns = ["prompts", ...engines.map((engine) => `CRPS ${engine}`)];
  return textTable(["asset", "day", ...columns], rows, columns);
}
