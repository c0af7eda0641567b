import { join, resolve } from "node:path";
import { z } from "zod";
import { systemClock } from "../clock.ts";
import { marketClock } from "../config/clock.ts";
import { PACKAGE_ROOT } from "../config/load.ts";
import type { EwmaCalibration } from "../engines/ewma/calibration.ts";
import { EVENTS_FILE, MODELS_FILE } from "../engines/load.ts";
import { MODEL_NAMES, type ModelName } from "../engines/models/manifest.ts";
import { EXIT, OperationalError } from "../errors.ts";
import { calibrateModel } from "../evaluation/calibrate-model.ts";
import { calibrate, CALIBRATION_STEPS } from "../evaluation/calibrate/calibrate.ts";
import { sourcesOf, spanOf } from "../evaluation/backtest/data.ts";
import { refuse, settingsOf, SHARED_OPTIONS, sharedChoices, timeChoice } from "../evaluation/backtest/options.ts";
import { createProgress } from "../evaluation/backtest/progress.ts";
import { ASSET_SYMBOLS } from "../market/assets.ts";
import { readEvents } from "../market/events.ts";
import { SECONDS_PER_MINUTE } from "../units.ts";
import { writeFileAtomic } from "../store/atomic-file.ts";
import { readSoftwareIdentity } from "../store/recording-identity.ts";
import { defineCommand, type CommandContext } from "./command.ts";
import { describeScoring, lockRecalibration, WAIT_OPTION } from "./score-recordings.ts";
import { textTable } from "./text-table.ts";

const { data, assets, seed, minObserved } = SHARED_OPTIONS;

const options = z.strictObject({
  data,
  assets,
  seed,
  minObserved,
  horizon: z.enum(["1h", "24h", "both"]).default("both").describe("which competition's part to fit"),
  from: z.string().optional().describe("candles from this date on; default: all that is recorded"),
  to: z.string().optional().describe("… up to this one"),
  without: z
    .array(z.enum(CALIBRATION_STEPS))
    .default([])
    .describe(`parts of the model to leave out, to see what they bring: ${CALIBRATION_STEPS.join(", ")}`),
  out: z.string().min(1).optional().describe("file to write; default: engines.calibration"),
  model: z
    .enum(MODEL_NAMES)
    .optional()
    .describe("in place of all that: learn the scale of this trained model from our own scored answers"),
  waitMinutes: WAIT_OPTION,
});

/** Of each asset and horizon, and the longest run: as `score-recordings` has them by default. */
const SCORED_PER_HOUR = 6;
const MAX_MINUTES = 10;

export const calibrateCommand = defineCommand({
  name: "calibrate",
  summary: "fit the EWMA engine to recorded candles by CRPS, or a trained model's scale to our own answers",
  usage:
    "calibrate [--data DIR]… [--assets BTC,ETH] [--horizon 1h|24h|both] [--from DATE] [--to DATE] [--seed N] [--out FILE]\n" +
    "calibrate --model HF|LF-crypto|LF-equity|HF-BTC|LF-BTC|… [--state-dir DIR]",
  options,
  positionals: [],
  sections: ["engines", "updater", "market", "stateDir", "clock"],
  check: ({ options: { model, data, assets, from, to, without, out } }) => {
    const given = [...data, ...assets, ...without, from, to, out].filter((value) => value !== undefined);
    return model === undefined || given.length === 0
      ? []
      : ["--model: expected no --data, --assets, --from, --to, --without or --out beside it"];
  },
  async run(context) {
    const { options: asked, config, print, signal } = context;
    if (asked.model !== undefined) return learnScale(asked.model, asked.waitMinutes, context);
    const problems: string[] = [];
    const shared = sharedChoices({ ...asked, engines: [], horizon: "24h" }, config, problems);
    const times = { from: timeChoice("from", asked.from, problems), to: timeChoice("to", asked.to, problems) };
    const out = asked.out ?? config.engines.calibration;
    if (out === null) problems.push("--out: expected a file, because engines.calibration names none");
    refuse(problems);

    const chosen = (asked.assets.length > 0 ? shared.assets : ASSET_SYMBOLS).filter(
      (asset) => sourcesOf(asset, shared.dirs).length > 0,
    );
    const spans = chosen.flatMap((asset) => sourcesOf(asset, shared.dirs).flatMap((source) => spanOf(source) ?? []));
    if (spans.length === 0) {
      throw new OperationalError("calibrate/no_candles", `no candles under ${shared.dirs.join(", ")}`);
    }
    const startedMs = systemClock.nowMs();
    const write = (text: string): void => void process.stderr.write(text);
    const progress = createProgress({ write, isTerminal: process.stderr.isTTY, clock: systemClock });
    const notes: string[] = [];
    const { packageVersion, gitCommit } = await readSoftwareIdentity(PACKAGE_ROOT);
    const calibration = await calibrate({
      signal,
      dirs: shared.dirs,
      assets: chosen,
      horizons: asked.horizon === "both" ? ["1h", "24h"] : [asked.horizon],
      from: times.from ?? Math.min(...spans.map((span) => span.from)),
      to: times.to ?? Math.max(...spans.map((span) => span.to)),
      minObserved: asked.minObserved,
      settings: settingsOf(config, { paths: 1000, seed: asked.seed }),
      seed: asked.seed,
      without: new Set(asked.without),
      events: readEvents(join(PACKAGE_ROOT, EVENTS_FILE)),
      codeVersion: `${packageVersion} ${gitCommit ?? "unknown commit"}`,
      onNote: (text) => notes.push(text),
      onProgress: (share, text) => {
        progress.update(share, 1, text);
      },
    });
    progress.end();
    const path = resolve(asked.out === undefined ? PACKAGE_ROOT : "", out!);
    await writeFileAtomic(path, `${serialise(calibration)}\n`);
    print(describe(calibration));
    notes.forEach(print);
    print(`written to ${path} in ${((systemClock.nowMs() - startedMs) / 1000).toFixed(0)} s`);
    return EXIT.OK;
  },
});

/** Safe while serving: axons read the factors again when the file has changed. */
async function learnScale(
  model: ModelName,
  waitMinutes: number,
  { config, print, signal }: Pick<CommandContext<object>, "config" | "print" | "signal">,
): Promise<number> {
  const lock = await lockRecalibration(config.stateDir, { waitMinutes, signal });
  try {
    const { result, scales } = await calibrateModel(model, {
      manifestFile: MODELS_FILE,
      stateDir: config.stateDir,
      since: null,
      maxPerHour: SCORED_PER_HOUR,
      budgetMs: MAX_MINUTES * SECONDS_PER_MINUTE * 1000,
      realTime: config.clock.start === null,
      clocks: { market: marketClock(config.clock), wall: systemClock },
      signal,
    });
    for (const line of describeScoring(result)) print(line);
    const rows = scales.flatMap(({ asset, prompts, lengths }) =>
      lengths.length === 0
        ? [[asset, prompts, "", "", "no answer scored yet"]]
        : lengths.map(({ seconds, factor, effectiveBlocks, basis }) => {
            return [
              asset,
              prompts,
              seconds,
              factor?.toFixed(3) ?? "1",
              `${basis} (${effectiveBlocks.toFixed(0)} blocks)`,
            ];
          }),
    );
    print(
      textTable(["asset", "prompts", "seconds", "sigma factor", "from"], rows, ["prompts", "seconds", "sigma factor"]),
    );
    return signal.aborted ? EXIT.INTERRUPTED : EXIT.OK;
  } finally {
    await lock.release();
  }
}

/** Indented, with each list of numbers on one line. */
function serialise(calibration: EwmaCalibration): string {
  return JSON.stringify(calibration, null, 2).replaceAll(/\[[^[\]{}]*\]/g, (list) => list.replaceAll(/\s+/g, " "));
}

function describe({ horizons, window, codeVersion, seed: used }: EwmaCalibration): string {
  const rows = Object.entries(horizons).flatMap(([name, horizon]) =>
    Object.entries(horizon?.assets ?? {}).map(([asset, scale]) => [
      name,
      asset,
      scale.origins,
      scale.fitRatio?.toFixed(4) ?? "",
      scale.varianceRatios.map(({ ratio }) => ratio.toFixed(2)).join(" / "),
      scale.lagOneAutocorrelation?.toFixed(3) ?? "",
    ]),
  );
  const shapes = Object.entries(horizons).flatMap(([name, horizon]) => {
    if (horizon === null) return [`${name}: no candles that could be used`];
    const { nu, latent } = horizon;
    return [`${name}: nu ${nu}, latent volatility tau ${latent.tau}, half-life ${latent.halfLifeSeconds / 60} min`];
  });
  return [
    textTable(["horizon", "asset", "prompts", "score / constant", "variance ratios", "lag-1"], rows, [
      "prompts",
      "score / constant",
      "lag-1",
    ]),
    "score / constant: closed-form CRPS over that of the best constant sigma, in sample",
    ...shapes,
    `candles ${window.from} to ${window.to}, seed ${used}, code ${codeVersion}`,
  ].join("\n");
}
