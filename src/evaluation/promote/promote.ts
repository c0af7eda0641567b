import { appendFile, mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../clock.ts";
import type { EwmaCalibration } from "../../engines/ewma/calibration.ts";
import { openCheckThread } from "../../engines/models/check.ts";
import type { ModelCheck } from "../../engines/models/golden.ts";
import {
  problemOf,
  readManifest,
  type ModelEntry,
  type ModelManifest,
  type ModelName,
  type ModelProblem,
} from "../../engines/models/manifest.ts";
import { OperationalError } from "../../errors.ts";
import { comparePrompts, verdictOf, type Comparison, type Rule, type Verdict } from "./compare.ts";
import { install, removeReplaced, type Installation } from "./install.ts";
import { addressedEntry, emptySnapshot, readOptionalManifest, takeSnapshot, type Snapshot } from "./model-files.ts";
import { scoreManifest, scoringWindow, type ScoreOptions, type ScoringWindow } from "./score-models.ts";

export interface PromoteOptions {
  /** Absolute paths of manifests: what training wrote, and what servers read. */
  readonly staging: string;
  readonly current: string;
  /** Where copies are judged and decisions are logged. */
  readonly stateDir: string;
  /** Models to look at; empty: all that are staged. */
  readonly names: readonly ModelName[];
  readonly dirs: readonly string[];
  readonly days: number;
  /** Between the prompts to compare on; null: as a backtest chooses it. */
  readonly strideSeconds: number | null;
  readonly minObserved: number;
  readonly rule: Rule;
  readonly calibration: { readonly sha256: string; readonly content: EwmaCalibration };
  readonly score: Omit<ScoreOptions, "signal" | "onProgress">;
  readonly onProgress: (model: ModelName, share: number) => void;
  readonly dryRun: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Null: the model is in order. Tests replace these. */
  readonly check?: (model: ModelCheck) => Promise<ModelProblem | null>;
  readonly scoreModel?: typeof scoreManifest;
  readonly write?: Installation["write"];
}

export type Reason = Verdict | "unchanged" | "unsound";

/** What became of a staged model: a line of state/promotions.jsonl. */
export interface Decision {
  readonly time: string;
  readonly model: ModelName;
  readonly promoted: boolean;
  readonly reason: Reason;
  /** Of `unsound`: what the check found. */
  readonly problem: ModelProblem | null;
  readonly staged: string;
  readonly current: string | null;
  /** What the staged model was compared with. */
  readonly opponent: "current" | "ewma" | null;
  readonly window: { readonly from: string; readonly to: string } | null;
  readonly comparison: Comparison | null;
  readonly rule: Rule & { readonly seed: number; readonly paths: number };
}

export const PROMOTION_LOG = "promotions.jsonl";

type Found = Pick<Decision, "promoted" | "reason"> &
  Partial<Pick<Decision, "problem" | "opponent" | "window" | "comparison">>;

/**
 * Judges every staged model by the checks of the servers and by scores on the newest candles, and puts in place what is not worse than
 * the model in use. Yields each decision when it is carried out and logged. The caller holds the lock. Throws OperationalError
 * `model/not_installed`, `model/corrupt` (a manifest), those of `install` and of the backtest; nothing is then replaced.
 */
export async function* promote(options: PromoteOptions): AsyncGenerator<Decision> {
  const { staging, current, stateDir, names, signal, score, rule, clock, dryRun } = options;
  const staged = readManifest(staging);
  const folder = join(stateDir, "promotion");
  const checker = openCheckThread();
  const check = options.check ?? ((model: ModelCheck): Promise<ModelProblem | null> => checker.check(model));
  try {
    for (const [name, entry] of entriesOf(staged, names)) {
      // A promotion that did not end may have left its copies.
      await rm(folder, { recursive: true, force: true });
      const before = readOptionalManifest(current);
      const inUse = before?.manifest.models[name];
      const judged = await judge({ name, entry, inUse, folder, options: { ...options, check } });
      if (signal.aborted) return;
      if (judged.found.promoted && !dryRun) {
        const { snapshot } = judged;
        await install({
          name,
          snapshot: snapshot!,
          manifestFile: current,
          comparedWith: before?.text ?? null,
          clock,
          write: options.write,
        });
      }
      const decision: Decision = {
        time: new Date(clock.nowMs()).toISOString(),
        model: name,
        problem: null,
        opponent: null,
        window: null,
        comparison: null,
        ...judged.found,
        staged: entry.sha256,
        current: inUse?.sha256 ?? null,
        rule: { ...rule, seed: score.settings.seed, paths: score.settings.paths },
      };
      if (!dryRun) await log(join(stateDir, PROMOTION_LOG), decision);
      yield decision;
    }
    if (!dryRun) await removeReplaced(current, clock);
  } finally {
    checker.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function entriesOf({ models }: ModelManifest, names: readonly ModelName[]): [ModelName, ModelEntry][] {
  const missing = names.filter((name) => models[name] === undefined);
  if (missing.length > 0) throw new OperationalError("model/not_installed", `not staged: ${missing.join(", ")}`);
  const all = Object.entries(models) as [ModelName, ModelEntry][];
  return all.filter(([name]) => names.length === 0 || names.includes(name));
}

interface Case {
  readonly name: ModelName;
  readonly entry: ModelEntry;
  readonly inUse: ModelEntry | undefined;
  readonly folder: string;
  readonly options: PromoteOptions & Required<Pick<PromoteOptions, "check">>;
}

async function judge(own: Case): Promise<{ readonly found: Found; readonly snapshot?: Snapshot }> {
  const { name, entry, inUse, folder, options } = own;
  if (inUse !== undefined && isDeepStrictEqual(servedPart(inUse), servedPart(entry))) {
    return { found: { promoted: false, reason: "unchanged" } };
  }
  const unsound = (problem: ModelProblem): { found: Found } => ({
    found: { promoted: false, reason: "unsound", problem },
  });
  let snapshot: Snapshot;
  try {
    snapshot = await takeSnapshot({ name, entry, manifestFile: options.staging }, join(folder, "staged"));
  } catch (error) {
    // A file that is missing or half-written is the model's problem; a disk that is full is ours.
    if (!(error instanceof OperationalError)) throw error;
    return unsound(problemOf(error));
  }
  const problem = await checked(name, snapshot, options);
  if (problem !== null) return unsound(problem);
  return { found: await compare(own, snapshot), snapshot };
}

/** What answers depend on: shrinkages as much as the file, not when or how well it was trained. */
function servedPart(entry: ModelEntry): object {
  const unserved = { trainingWindow: null, gitCommit: null, seed: null, validation: null, golden: null };
  return { ...addressedEntry(entry), ...unserved };
}

/** By the same check as the servers'. */
async function checked(
  name: ModelName,
  { entry, manifestFile }: Snapshot,
  { calibration, check }: Case["options"],
): Promise<ModelProblem | null> {
  const horizon = calibration.content.horizons[entry.horizon];
  if (horizon === null || calibration.sha256 !== entry.calibrationSha256) {
    return { code: "model/other_calibration", message: `${name} corrects another calibration than the one in use` };
  }
  return check({ name, entry, manifestFile, horizon });
}

async function compare({ name, inUse, folder, options }: Case, { entry, manifestFile }: Snapshot): Promise<Found> {
  const { score, rule, signal, scoreModel = scoreManifest } = options;
  const window = scoringWindow(entry, options);
  const opponent = await opponentOf({ name, inUse, folder: join(folder, "current") }, options.current);
  const scoreHalf = (half: number, of: string, engine = entry.kind): ReturnType<typeof scoreManifest> =>
    window.chunks.length === 0
      ? Promise.resolve([])
      : scoreModel(
          window.chunks,
          { engine, manifestFile: of },
          {
            ...score,
            signal,
            onProgress: (done, all) => {
              options.onProgress(name, (half + done / all) / 2);
            },
          },
        );
  const staged = await scoreHalf(0, manifestFile);
  const current = await scoreHalf(1, opponent, inUse?.kind);
  const comparison = comparePrompts(staged, current, `promote ${score.settings.seed} ${name}`);
  // A model in use whose files are gone, or that corrects another calibration, answers nothing: servers have the EWMA engine in its place.
  const hasCurrent = comparison.answeredByCurrent > 0;
  const reason = verdictOf(comparison, hasCurrent, rule);
  return {
    promoted: reason === "not_worse",
    reason,
    opponent: hasCurrent ? "current" : "ewma",
    window: windowText(window),
    comparison,
  };
}

/** A copy of the model in use, so that both sides stay what they are; no model where it cannot be read. */
async function opponentOf(
  { name, inUse, folder }: Pick<Case, "name" | "inUse" | "folder">,
  manifestFile: string,
): Promise<string> {
  if (inUse === undefined) return emptySnapshot(folder);
  try {
    return (await takeSnapshot({ name, entry: inUse, manifestFile }, folder)).manifestFile;
  } catch (error) {
    if (!(error instanceof OperationalError)) throw error;
    return emptySnapshot(folder);
  }
}

function windowText({ from, to }: ScoringWindow): Decision["window"] {
  if (from === null || to === null) return null;
  const iso = (seconds: number): string => new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
  return { from: iso(from), to: iso(to) };
}

async function log(path: string, decision: Decision): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await appendFile(path, `${JSON.stringify(decision)}\n`, { flush: true });
}
