import { availableParallelism } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { systemClock } from "../clock.ts";
import { PACKAGE_ROOT } from "../config/load.ts";
import { EVENTS_FILE } from "../engines/load.ts";
import { EXIT } from "../errors.ts";
import { refuse, settingsOf, SHARED_OPTIONS, sharedChoices, timeChoice } from "../evaluation/backtest/options.ts";
import { createProgress } from "../evaluation/backtest/progress.ts";
import { ablate, type AblationRow } from "../evaluation/calibrate/ablation.ts";
import { readEvents } from "../market/events.ts";
import { defineCommand } from "./command.ts";
import { textTable } from "./text-table.ts";

const { data, assets, horizon, seed, paths, workers, minObserved } = SHARED_OPTIONS;

const options = z.strictObject({
  ...{ data, assets, horizon, seed, paths, workers, minObserved },
  from: z.string().default("2023-01-01").describe("calibrates on candles from this date …"),
  split: z.string().default("2025-09-01").describe("… to this one, and scores prompts from a day later on …"),
  to: z.string().default("2026-01-01").describe("… to this one"),
});

export const ablationCommand = defineCommand({
  name: "ablation",
  summary: "what each step of the EWMA engine brings: fitted and scored without it",
  usage:
    "ablation [--data DIR]… [--assets BTC,XAU] [--horizon 1h|24h] [--from DATE] [--split DATE] [--to DATE] [--workers N]",
  options,
  positionals: [],
  sections: ["engines", "updater", "market"],
  async run({ options: asked, config, print, signal }) {
    const problems: string[] = [];
    const shared = sharedChoices({ ...asked, engines: [] }, config, problems);
    const [from, split, to] = (["from", "split", "to"] as const).map((name) => timeChoice(name, asked[name], problems));
    if (problems.length === 0 && !(from! < split! && split! < to!)) {
      problems.push(`--split: expected a time between --from and --to, found "${asked.split}"`);
    }
    refuse(problems);
    const write = (text: string): void => void process.stderr.write(text);
    const progress = createProgress({ write, isTerminal: process.stderr.isTTY, clock: systemClock });
    const rows = await ablate({
      dirs: shared.dirs,
      assets: shared.assets,
      horizon: asked.horizon,
      from: from!,
      split: split!,
      to: to!,
      minObserved: asked.minObserved,
      settings: settingsOf(config, asked),
      seed: asked.seed,
      events: readEvents(join(PACKAGE_ROOT, EVENTS_FILE)),
      codeVersion: "ablation",
      workers: asked.workers ?? availableParallelism(),
      signal,
      onProgress: (share, text) => {
        progress.update(share, 1, text);
      },
    });
    progress.end();
    print(describe(rows));
    if (signal.aborted) return EXIT.INTERRUPTED;
    return rows.length > 0 ? EXIT.OK : EXIT.FAILURE;
  },
});

function describe(rows: readonly AblationRow[]): string {
  const cells = rows.map((row) => [
    row.name,
    row.asset,
    row.prompts,
    `${row.priceRatio.toFixed(4)} [${row.priceInterval?.low.toFixed(4) ?? "?"}, ${row.priceInterval?.high.toFixed(4) ?? "?"}]`,
    row.volatilityRatio?.toFixed(3) ?? "",
  ]);
  return [
    textTable(["without", "asset", "prompts", "price CRPS / all steps [95 %]", "volatility CRPS"], cells, ["prompts"]),
    "above 1: the step helps; intervals by resampling calendar days",
  ].join("\n");
}
