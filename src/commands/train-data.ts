import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { systemClock } from "../clock.ts";
import { PACKAGE_ROOT } from "../config/load.ts";
import { readEwmaCalibration } from "../engines/ewma/calibration.ts";
import { EXIT, OperationalError } from "../errors.ts";
import { sourcesOf, spanOf } from "../evaluation/backtest/data.ts";
import { refuse, settingsOf, SHARED_OPTIONS, sharedChoices, timeChoice } from "../evaluation/backtest/options.ts";
import { createProgress } from "../evaluation/backtest/progress.ts";
import { HORIZONS } from "../evaluation/backtest/prompts.ts";
import {
  collectLgbmRows,
  collectRows,
  isLgbmModel,
  LGBM_MODELS,
  planOf,
  TRAINED_MODELS,
  type LgbmModel,
  type OnProgress,
  type RowBasis,
  type TrainedModel,
} from "../evaluation/train/training-set.ts";
import { lgbmFile, trainingFile, type TrainingFacts, type TrainingFile } from "../evaluation/train/training-file.ts";
import type { OriginOptions } from "../evaluation/calibrate/samples.ts";
import type { AssetSymbol } from "../market/assets.ts";
import { LEAD_SECONDS, lgbmFeatureNames } from "../engines/lgbm/features.ts";
import { writeFileAtomic } from "../store/atomic-file.ts";
import { readSoftwareIdentity } from "../store/recording-identity.ts";
import { defineCommand } from "./command.ts";

const { data, stride, seed, minObserved } = SHARED_OPTIONS;

const MODELS = [...(Object.keys(TRAINED_MODELS) as TrainedModel[]), ...LGBM_MODELS] as const;

const options = z.strictObject({
  model: z.enum(MODELS as readonly [TrainedModel | LgbmModel]).describe("whose training data"),
  data,
  stride,
  seed,
  minObserved,
  from: z.string().optional().describe("prompts from this date on; default: all that is recorded"),
  to: z.string().optional().describe("… up to this one, their horizons included"),
  out: z.string().min(1).describe("binary file to write; its header goes beside it, with .json after the name"),
});

export const trainDataCommand = defineCommand({
  name: "train-data",
  summary: "write what a network or boosters train on: the EWMA engine's sigmas, features, bars and what happened",
  usage:
    "train-data --model HF|LF-crypto|LF-equity|HF-ASSET|LF-ASSET --out FILE [--data DIR]… [--from DATE] [--to DATE] [--stride 67m]",
  options,
  positionals: [],
  sections: ["engines", "updater", "market"],
  async run({ options: asked, config, print }) {
    const problems: string[] = [];
    const { assets, horizon, strideSeconds } = planOf(asked.model);
    const shared = sharedChoices({ ...asked, assets: [...assets], engines: [], horizon }, config, problems);
    const times = { from: timeChoice("from", asked.from, problems), to: timeChoice("to", asked.to, problems) };
    const file = config.engines.calibration;
    if (file === null) problems.push("engines.calibration: expected a file, because the network corrects its sigmas");
    refuse(problems);

    const path = resolve(PACKAGE_ROOT, file!);
    // Of the file as it is now: another may stand there when the walk is done.
    const sha256 = createHash("sha256").update(readFileSync(path)).digest("hex");
    const calibration = readEwmaCalibration(path);
    const fitted = calibration.horizons[horizon];
    if (fitted === null)
      throw new OperationalError("train-data/not_calibrated", `${path}: nothing fitted at ${horizon}`);
    const spans = assets.flatMap((asset) => sourcesOf(asset, shared.dirs).flatMap((source) => spanOf(source) ?? []));
    if (spans.length === 0)
      throw new OperationalError("train-data/no_candles", `no candles under ${shared.dirs.join(", ")}`);
    const walk = {
      dirs: shared.dirs,
      horizon,
      from: times.from ?? Math.min(...spans.map((span) => span.from)),
      to: times.to ?? Math.max(...spans.map((span) => span.to)),
      strideSeconds: shared.strideSeconds ?? strideSeconds,
      minObserved: asked.minObserved,
      settings: settingsOf(config, { paths: 2, seed: asked.seed }),
    };
    const write = (text: string): void => void process.stderr.write(text);
    const progress = createProgress({ write, isTerminal: process.stderr.isTTY, clock: systemClock });
    const { packageVersion, gitCommit } = await readSoftwareIdentity(PACKAGE_ROOT);
    const facts = {
      model: asked.model,
      codeVersion: `${packageVersion} ${gitCommit ?? "unknown commit"}`,
      calibration: { sha256, window: calibration.window },
      horizonSeconds: HORIZONS[horizon].horizonSeconds,
      seed: asked.seed,
    };
    const collected = assets.map((asset, i) => {
      const onProgress: OnProgress = (done, total) => {
        progress.update((i + done / total) / assets.length, 1, asset);
      };
      return { asset, walk, basis: { calibration, horizon: fitted }, onProgress };
    });
    const {
      file: { header, content },
      assetOfRow,
    } = isLgbmModel(asked.model) ? lgbmData(collected, facts) : networkData(collected, facts);
    progress.end();
    await writeFileAtomic(asked.out, content);
    await writeFileAtomic(`${asked.out}.json`, `${JSON.stringify(header)}\n`);
    for (const asset of assets) print(`${asset}: ${assetOfRow.filter((own) => own === asset).length} prompts`);
    print(`written to ${asked.out}`);
    return EXIT.OK;
  },
});

/** One asset's share of a walk. */
interface AssetWalk {
  readonly asset: AssetSymbol;
  readonly walk: OriginOptions;
  readonly basis: RowBasis;
  readonly onProgress: OnProgress;
}

interface TrainingData {
  readonly file: TrainingFile;
  readonly assetOfRow: readonly AssetSymbol[];
}

function networkData(walks: readonly AssetWalk[], facts: TrainingFacts): TrainingData {
  const rows = walks.flatMap(({ asset, walk, basis, onProgress }) => collectRows(asset, walk, basis, onProgress));
  return { file: trainingFile(rows, walks[0]!.basis.horizon, facts), assetOfRow: rows.map(({ asset }) => asset) };
}

function lgbmData(walks: readonly AssetWalk[], facts: TrainingFacts): TrainingData {
  const rows = walks.flatMap(({ asset, walk, basis, onProgress }) => collectLgbmRows(asset, walk, basis, onProgress));
  const { horizon } = walks[0]!.basis;
  const leadSeconds = LEAD_SECONDS[walks[0]!.walk.horizon];
  const boosters = { leadSeconds, featureNames: lgbmFeatureNames({ horizon, leadSeconds }) };
  return { file: lgbmFile(rows, horizon, { ...facts, ...boosters }), assetOfRow: rows.map(({ asset }) => asset) };
}
