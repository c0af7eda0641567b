import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { systemClock } from "../clock.ts";
import { PACKAGE_ROOT } from "../config/load.ts";
import { MODELS_FILE, readEngineFiles } from "../engines/load.ts";
import { MODEL_NAMES, type ModelName } from "../engines/models/manifest.ts";
import { EXIT, OperationalError } from "../errors.ts";
import { refuse, settingsOf, SHARED_OPTIONS, sharedChoices } from "../evaluation/backtest/options.ts";
import { createProgress } from "../evaluation/backtest/progress.ts";
import { LGBM_MODELS, TRAINED_MODELS, type TrainedModel } from "../evaluation/train/training-set.ts";
import { promote, PROMOTION_LOG, type Decision } from "../evaluation/promote/promote.ts";
import { acquireLock, type ProcessLock } from "../updater/process-lock.ts";
import { defineCommand, type CommandContext } from "./command.ts";
import { textTable } from "./text-table.ts";

export const STAGING_FILE = "models/staging/manifest.json";

const { data, seed, paths, workers, stride, minObserved } = SHARED_OPTIONS;

/** Words for the models that are trained together. */
const GROUPS: Readonly<Record<string, readonly ModelName[]>> = {
  patchtst: Object.keys(TRAINED_MODELS) as TrainedModel[],
  "lgbm-hf": LGBM_MODELS.filter((name) => name.startsWith("HF-")),
  "lgbm-lf": LGBM_MODELS.filter((name) => name.startsWith("LF-")),
};
const CHOICES = `${Object.keys(GROUPS).join(", ")} (all of a kind), ${Object.keys(TRAINED_MODELS).join(", ")}, HF-BTC, LF-SP500 and the like`;

/** Of `retrain` too. */
export const PROMOTION_OPTIONS = {
  data,
  seed,
  paths,
  workers,
  stride,
  minObserved,
  days: z.int().min(1).max(3650).default(60).describe("newest days of candles to compare on, each asset's own"),
  minPrompts: z.int().min(1).default(100).describe("fewer prompts of a model's assets together replace no model"),
  tolerance: z.number().min(0).max(0.1).default(0).describe("a mean score up to 1 + this of the other's is not worse"),
  models: z.array(z.string().min(1)).default([]).describe(`of ${CHOICES}; default: all`),
  staging: z.string().min(1).optional().describe(`manifest that training writes; default: ${STAGING_FILE}`),
  current: z.string().min(1).optional().describe(`manifest that servers read; default: ${MODELS_FILE}`),
  waitMinutes: z
    .number()
    .min(0)
    .max(1440)
    .default(30)
    .describe("for another promotion to end: a night's training is not thrown away for it"),
  dryRun: z.boolean().default(false).describe("compare and say what would be done"),
};

const options = z.strictObject(PROMOTION_OPTIONS);

/** Adds to `problems` what is no model; empty: all. */
export function modelChoice(texts: readonly string[], problems: string[]): ModelName[] {
  const names = texts.flatMap((text) => text.split(","));
  const known = names.flatMap((name) => {
    const own = GROUPS[name] ?? MODEL_NAMES.filter((model) => model === name);
    if (own.length === 0) problems.push(`--models: expected some of ${CHOICES}, found "${name}"`);
    return own;
  });
  return [...new Set(known)];
}

export type PromotionChoices = z.infer<typeof options>;

export const promoteCommand = defineCommand({
  name: "promote",
  summary: "put staged models in place of those in use where they score no worse on the newest candles",
  usage:
    "promote [--models HF,…] [--staging FILE] [--data DIR]… [--days 60] [--min-prompts 100] [--tolerance 0.0001] [--dry-run]",
  options,
  positionals: [],
  sections: ["engines", "updater", "market", "stateDir"],
  run: (context) => runPromotion(context.options, context),
});

/** Exit code: a failure where a staged model is broken; one that is worse is no failure. */
export async function runPromotion(
  asked: PromotionChoices,
  { config, print, signal }: Pick<CommandContext<object>, "config" | "print" | "signal">,
): Promise<number> {
  const problems: string[] = [];
  const shared = sharedChoices({ ...asked, assets: [], engines: [], horizon: "24h" }, config, problems);
  const names = modelChoice(asked.models, problems);
  refuse(problems);
  const { calibration, calibrationSha256, problems: unread } = readEngineFiles(config.engines);
  if (calibration === null) {
    const why = unread[0] ?? "engines.calibration names no file";
    throw new OperationalError("promote/not_calibrated", `models correct a calibration: ${why}`);
  }
  const current = resolve(asked.current ?? join(PACKAGE_ROOT, MODELS_FILE));
  const progress = createModelProgress();
  const lock = asked.dryRun ? null : await lockModels(dirname(current), asked.waitMinutes, signal);
  const decisions: Decision[] = [];
  try {
    const deciding = promote({
      staging: resolve(asked.staging ?? join(PACKAGE_ROOT, STAGING_FILE)),
      current,
      stateDir: config.stateDir,
      names,
      dirs: shared.dirs,
      days: asked.days,
      strideSeconds: shared.strideSeconds,
      minObserved: asked.minObserved,
      rule: { tolerance: asked.tolerance, minPrompts: asked.minPrompts },
      calibration: { sha256: calibrationSha256!, content: calibration },
      score: {
        settings: settingsOf(config, asked),
        workers: asked.workers ?? availableParallelism(),
      },
      onProgress: progress.update,
      dryRun: asked.dryRun,
      clock: systemClock,
      signal,
    });
    for await (const decision of deciding) decisions.push(decision);
  } finally {
    await lock?.release();
    progress.end();
    if (decisions.length > 0) print(describePromotion(decisions));
  }
  print(asked.dryRun ? "dry run: nothing was changed" : `logged in ${join(config.stateDir, PROMOTION_LOG)}`);
  if (signal.aborted) return EXIT.INTERRUPTED;
  return decisions.every(({ reason }) => reason !== "unsound") ? EXIT.OK : EXIT.FAILURE;
}

/** A bar for each model: of their times none says anything about the next. */
function createModelProgress(): {
  readonly update: (model: ModelName, share: number) => void;
  readonly end: () => void;
} {
  const write = (text: string): void => void process.stderr.write(text);
  const begin = (): ReturnType<typeof createProgress> =>
    createProgress({ write, isTerminal: process.stderr.isTTY, clock: systemClock });
  let bar: { readonly model: ModelName; readonly progress: ReturnType<typeof createProgress> } | null = null;
  return {
    update(model, share) {
      if (bar?.model !== model) {
        bar?.progress.end();
        bar = { model, progress: begin() };
      }
      bar.progress.update(share, 1, model);
    },
    end() {
      bar?.progress.end();
    },
  };
}

const LOCK_RETRY_MS = 5000;

/** Held by whoever changes the models in a folder; waits for a promotion under way. Throws OperationalError `promote/locked`. */
async function lockModels(dir: string, waitMinutes: number, signal: AbortSignal): Promise<ProcessLock> {
  const untilMs = systemClock.nowMs() + waitMinutes * 60_000;
  for (;;) {
    try {
      return await tryLock(dir);
    } catch (error) {
      if (!(error instanceof OperationalError) || systemClock.nowMs() >= untilMs || signal.aborted) throw error;
      await systemClock.sleep(LOCK_RETRY_MS, signal);
    }
  }
}

async function tryLock(dir: string): Promise<ProcessLock> {
  try {
    return await acquireLock(join(dir, "promotion.lock"));
  } catch (cause) {
    if (!(cause instanceof OperationalError) || cause.code !== "updater/locked") throw cause;
    const message = `Another promotion (process ${String(cause.details["pid"])}) works on ${dir}; wait for its end`;
    throw new OperationalError("promote/locked", message, { details: cause.details });
  }
}

const REASONS: Readonly<Record<Decision["reason"], string>> = {
  not_worse: "not worse",
  worse: "worse",
  too_few_prompts: "too few prompts to tell",
  answers_fewer: "hands over more often",
  unchanged: "in use already",
  unsound: "does not pass its checks",
};

export function describePromotion(decisions: readonly Decision[]): string {
  const number = (value: number | null | undefined): string => value?.toFixed(5) ?? "?";
  const rows = decisions.map(({ model, promoted, reason, opponent, comparison, window, staged }) => [
    model,
    staged.slice(0, 12),
    promoted ? "PROMOTED" : "kept out",
    REASONS[reason],
    opponent ?? "",
    comparison?.prompts ?? "",
    comparison === null ? "" : `${number(comparison.ratio)} [${number(comparison.low)}, ${number(comparison.high)}]`,
    window === null ? "" : `${window.from.slice(0, 10)} … ${window.to.slice(0, 10)}`,
  ]);
  const rule = decisions[0]?.rule;
  return [
    textTable(["model", "staged", "decision", "because", "against", "prompts", "ratio [95 %]", "starts"], rows, [
      "prompts",
    ]),
    ...decisions.flatMap(({ model, problem }) =>
      problem === null ? [] : [`${model}: ${problem.code}: ${problem.message}`],
    ),
    "ratio: weighted scores of the staged model over those of the other, same prompts and random numbers; below 1 the staged one is better",
    ...(rule === undefined
      ? []
      : [`not worse: a ratio up to ${1 + rule.tolerance}, of ${rule.minPrompts} prompts or more`]),
  ].join("\n");
}
