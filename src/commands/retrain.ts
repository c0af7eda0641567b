import { constants, setPriority } from "node:os";
import { dirname, join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { systemClock } from "../clock.ts";
import { PACKAGE_ROOT } from "../config/load.ts";
import type { ModelManifest, ModelName } from "../engines/models/manifest.ts";
import { describeError, EXIT, OperationalError } from "../errors.ts";
import { refuse, SHARED_OPTIONS, sharedChoices } from "../evaluation/backtest/options.ts";
import { readOptionalManifest } from "../evaluation/promote/model-files.ts";
import { newestClose } from "../evaluation/promote/score-models.ts";
import { HORIZONS } from "../evaluation/backtest/prompts.ts";
import {
  boosterTraining,
  isDue,
  networkTraining,
  removeOtherWorks,
  train,
  trainingDates,
  trainingPython,
  type TrainingDates,
} from "../evaluation/retrain.ts";
import {
  isLgbmModel,
  LGBM_MODELS,
  planOf,
  TRAINED_MODELS,
  type LgbmModel,
  type TrainedModel,
} from "../evaluation/train/training-set.ts";
import { ASSET_SYMBOLS } from "../market/assets.ts";
import { acquireLock, type ProcessLock } from "../updater/process-lock.ts";
import { defineCommand, type CommandContext } from "./command.ts";
import { describeDownload, downloadAll, downloadDir, FIRST_DAY } from "./download-candles.ts";
import { modelChoice, PROMOTION_OPTIONS, runPromotion, STAGING_FILE } from "./promote.ts";

const { data } = SHARED_OPTIONS;

const options = z.strictObject({
  ...PROMOTION_OPTIONS,
  data: data.describe(
    "folder of candles (see backtest); default: download from the public feeds into market under --state-dir",
  ),
  holdoutDays: z
    .int()
    .min(1)
    .max(365)
    .default(14)
    .describe("newest days that training does not see and promotion judges by"),
  everyDays: z
    .number()
    .positive()
    .optional()
    .describe("do nothing when the last training began less than this ago, nor the first time (for cron)"),
});

type Options = z.infer<typeof options>;

export const retrainCommand = defineCommand({
  name: "retrain",
  summary: "download candles, train models in Python into models/staging, and promote what is not worse",
  usage:
    "retrain [--models patchtst|lgbm-hf|lgbm-lf|HF,…] [--data DIR]… [--holdout-days 14] [--every-days 6] [options of promote]",
  options,
  positionals: [],
  sections: ["engines", "updater", "feeds", "market", "stateDir"],
  async run(context) {
    const { options: asked, config, print, signal } = context;
    // Before anything else: without it a night's download would be for nothing.
    const python = trainingPython(PACKAGE_ROOT, process.env["SYNTH_TRAIN_PYTHON"]);
    const models = modelsOf(asked);
    const lock = await lockTraining(config.stateDir);
    try {
      const stamp = join(config.stateDir, `${["retrain", ...asked.models].join("-")}.json`);
      if (asked.everyDays !== undefined && !(await isDue(stamp, asked.everyDays, systemClock.nowMs()))) {
        print(`nothing to do: the last training began less than ${asked.everyDays} days ago, or this is the first run`);
        return EXIT.OK;
      }
      // Whatever answers on this machine goes first; children and threads inherit it.
      setPriority(constants.priority.PRIORITY_LOW);
      const dirs = await candleDirs(context);
      const staging = resolve(asked.staging ?? join(PACKAGE_ROOT, STAGING_FILE));
      const { trained, failed } = await trainAll({ context, models, python, dirs, out: dirname(staging) });
      if (signal.aborted) return EXIT.INTERRUPTED;
      if (trained.length === 0) return EXIT.FAILURE;
      const code = await runPromotion({ ...asked, staging, data: [...dirs], models: trained }, context);
      return failed ? EXIT.FAILURE : code;
    } finally {
      await lock.release();
    }
  },
});

type Trainable = TrainedModel | LgbmModel;

/** Throws UsageError. */
function modelsOf({ models }: Options): readonly Trainable[] {
  const all: readonly Trainable[] = [...(Object.keys(TRAINED_MODELS) as TrainedModel[]), ...LGBM_MODELS];
  const problems: string[] = [];
  const chosen = modelChoice(models, problems).flatMap((name) => {
    const known = all.find((model) => model === name);
    if (known === undefined) problems.push(`--models: nothing is trained for ${name}`);
    return known ?? [];
  });
  refuse(problems);
  return chosen.length === 0 ? all : chosen;
}

async function candleDirs({ options: asked, config, ...shell }: CommandContext<Options>): Promise<readonly string[]> {
  const problems: string[] = [];
  if (asked.data.length > 0) {
    const { dirs } = sharedChoices({ ...asked, assets: [], engines: [], horizon: "24h" }, config, problems);
    refuse(problems);
    return dirs;
  }
  const dir = downloadDir(config);
  const from = Date.parse(FIRST_DAY) / 1000;
  // What a feed did not give is a hole at the end, not a reason to train on nothing.
  shell.print(describeDownload(await downloadAll(ASSET_SYMBOLS, { ...shell, config, dir, from })));
  return [dir];
}

interface Run {
  readonly context: CommandContext<Options>;
  readonly models: readonly Trainable[];
  readonly python: string;
  readonly dirs: readonly string[];
  readonly out: string;
}

interface Batch {
  readonly models: readonly Trainable[];
  /** Null: no candles. */
  readonly dates: TrainingDates | null;
}

/** Networks one by one, boosters of a frequency together whose candles end on the same day: each leaves its own newest days out. */
function batchesOf(models: readonly Trainable[], dirs: readonly string[], holdoutDays: number): Batch[] {
  const dated = models.map((model) => ({ model, dates: datesOf(model, dirs, holdoutDays) }));
  const groups = Map.groupBy(dated, ({ model, dates }) =>
    isLgbmModel(model) ? `${model.slice(0, 3)} ${dates?.to}` : model,
  );
  return [...groups.values()].map((own) => ({
    models: own.map(({ model }) => model),
    dates: own[0]!.dates,
  }));
}

/** The models that are staged after trainings that came to an end. */
async function trainAll({
  context,
  models,
  python,
  dirs,
  out,
}: Run): Promise<{ trained: ModelName[]; failed: boolean }> {
  const { options: asked, config, logger, print, signal } = context;
  const trained: ModelName[] = [];
  let failed = false;
  const works = join(config.stateDir, "train");
  const planned = batchesOf(models, dirs, asked.holdoutDays);
  await removeOtherWorks(works, new Set(planned.flatMap(({ dates }) => dates?.to ?? [])));
  for (const { models: batch, dates } of planned) {
    if (signal.aborted) break;
    if (dates === null) {
      failed = true;
      logger.error({ models: batch, dirs }, "No candles to train on, the models in use stay");
      continue;
    }
    print(`${batch.join(", ")}: training on candles up to ${dates.to}`);
    const place = { dirs, out, work: join(works, dates.to) };
    const before = stagedIn(out);
    try {
      const first = batch[0]!;
      const training = isLgbmModel(first)
        ? boosterTraining(batch.filter(isLgbmModel), dates, place)
        : networkTraining(first, dates, place);
      await train(training, { python, root: PACKAGE_ROOT, signal });
    } catch (error) {
      if (!(error instanceof OperationalError)) throw error;
      failed = true;
      logger.error({ models: batch, error: describeError(error) }, "Training failed, the models in use stay");
    }
    // Of a batch with one failure the others are there; what an earlier run left has been judged.
    const after = stagedIn(out);
    trained.push(...batch.filter((name) => after[name] && !isDeepStrictEqual(after[name], before[name])));
  }
  return { trained, failed };
}

function stagedIn(out: string): ModelManifest["models"] {
  return readOptionalManifest(join(out, "manifest.json"))?.manifest.models ?? {};
}

function datesOf(model: Trainable, dirs: readonly string[], holdoutDays: number): TrainingDates | null {
  const { assets, horizon } = planOf(model);
  const ends = assets.flatMap((asset) => newestClose(asset, HORIZONS[horizon].stepSeconds, dirs) ?? []);
  return ends.length === 0 ? null : trainingDates(Math.max(...ends), holdoutDays);
}

/** Throws OperationalError `train/locked`. */
async function lockTraining(stateDir: string): Promise<ProcessLock> {
  try {
    return await acquireLock(join(stateDir, "retrain.lock"));
  } catch (cause) {
    if (!(cause instanceof OperationalError) || cause.code !== "updater/locked") throw cause;
    throw new OperationalError("train/locked", `Another training runs on ${stateDir}; wait for its end`, { cause });
  }
}
