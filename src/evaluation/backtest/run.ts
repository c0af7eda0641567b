import { fileURLToPath } from "node:url";
import { Piscina } from "piscina";
import type { AssetSymbol } from "../../market/assets.ts";
import type { Contestant } from "./contestant.ts";
import { goldenSection, SEARCH_EVALUATIONS, SEARCH_PATHS, sigmaBracket } from "./oracle.ts";
import type { BacktestSettings } from "./origin.ts";
import type { Chunk } from "./plan.ts";
import type { Horizon, ReportExample } from "./report.ts";
import type { ConstantTask, ContestantScore, OracleTask, PromptResult } from "./score-chunk.ts";
import type { BacktestAnswers, BacktestTask } from "./worker.ts";

export interface BacktestRun {
  readonly chunks: readonly Chunk[];
  readonly contestants: readonly Contestant[];
  readonly withOracle: boolean;
  readonly settings: BacktestSettings;
  readonly workers: number;
  /** Aborted: the threads end at once, and what was scored is returned. */
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number) => void;
}

export interface OracleSigma {
  readonly asset: AssetSymbol;
  readonly horizon: Horizon;
  readonly sigmaPerHour: number;
}

export interface BacktestOutcome {
  /** By asset, then by start. */
  readonly results: readonly PromptResult[];
  readonly oracles: readonly OracleSigma[];
  readonly examples: readonly ReportExample[];
  readonly partial: boolean;
}

/** Prompts of one scoring task of the oracle: a second of work. */
const ORACLE_PROMPTS = 50;
const EXAMPLE_ASSETS = 6;
const MAX_WORKER_HEAP_MB = 1024;

/** Scores all chunks in worker threads, finds the oracle's constants, and draws an example or a few. */
export async function runBacktest(run: BacktestRun): Promise<BacktestOutcome> {
  const { contestants, settings } = run;
  const lanes = new Lanes(run);
  try {
    const scored = await lanes.all(
      run.chunks.map((chunk) => ({ kind: "score" as const, chunk, contestants, settings })),
      ({ chunk }) => chunk.starts.length * contestants.length * settings.paths,
    );
    const results = scored.flatMap((result) => result ?? []).sort(byAssetAndStart);
    const examples = await drawExamples(run, results, lanes);
    const withOracle = run.withOracle ? await addOracles(run, results, lanes) : { results, oracles: [] };
    return { ...withOracle, examples, partial: run.signal.aborted };
  } finally {
    await lanes.close();
  }
}

function byAssetAndStart({ prompt: a }: PromptResult, { prompt: b }: PromptResult): number {
  return a.asset < b.asset ? -1 : a.asset > b.asset ? 1 : a.start - b.start;
}

/** A few worker threads, each fed when it is free. */
class Lanes {
  readonly #pool: Piscina<BacktestTask>;
  readonly #run: BacktestRun;
  readonly #total: number;
  readonly #stop = (): void => void this.#pool.destroy();
  #done = 0;

  constructor(run: BacktestRun) {
    this.#run = run;
    this.#pool = new Piscina({
      filename: fileURLToPath(new URL("./worker.ts", import.meta.url)),
      name: "run",
      minThreads: run.workers,
      maxThreads: run.workers,
      idleTimeout: Infinity,
      resourceLimits: { maxOldGenerationSizeMb: MAX_WORKER_HEAP_MB },
    });
    // A dying thread rejects its task, which is handled there; without a listener the event would end the process.
    this.#pool.on("error", () => undefined);
    run.signal.addEventListener("abort", this.#stop, { once: true });
    const prompts = run.chunks.reduce((sum, { starts }) => sum + starts.length, 0);
    const oracle = run.withOracle ? run.settings.paths + SEARCH_EVALUATIONS * searchPaths(run.settings) : 0;
    this.#total = prompts * (run.contestants.length * run.settings.paths + oracle);
  }

  /** The answers in the order of the tasks; undefined for those that an interruption left undone. */
  async all<Task extends BacktestTask>(
    tasks: readonly Task[],
    costOf: (task: Task) => number,
  ): Promise<(BacktestAnswers[Task["kind"]] | undefined)[]> {
    const { signal, workers } = this.#run;
    const answers = new Array<BacktestAnswers[Task["kind"]] | undefined>(tasks.length).fill(undefined);
    const queue = tasks.entries();
    const isAborted = (): boolean => signal.aborted;
    const lane = async (): Promise<void> => {
      for (const [index, task] of queue) {
        if (isAborted()) return;
        try {
          answers[index] = (await this.#pool.run(task)) as BacktestAnswers[Task["kind"]];
        } catch (error) {
          if (isAborted()) return;
          throw error;
        }
        this.#done += costOf(task);
        this.#run.onProgress(this.#done, this.#total);
      }
    };
    await Promise.all(Array.from({ length: workers }, lane));
    return answers;
  }

  async close(): Promise<void> {
    this.#run.signal.removeEventListener("abort", this.#stop);
    await this.#pool.destroy();
  }
}

function searchPaths({ paths }: BacktestSettings): number {
  return Math.min(SEARCH_PATHS, paths);
}

/** The results with the oracle's scores, where it could be found and scored on all prompts of the asset and horizon. */
async function addOracles(
  run: BacktestRun,
  results: readonly PromptResult[],
  lanes: Lanes,
): Promise<Pick<BacktestOutcome, "results" | "oracles">> {
  const groups = [...Map.groupBy(results, ({ prompt, horizon }) => `${prompt.asset} ${horizon}`).values()];
  const oracles: OracleSigma[] = [];
  // All searches at once: the threads stay busy while one waits for its next value.
  const added = await Promise.all(
    groups.map(async (group) => {
      const found = await scoreByOracle(run, group, lanes);
      if (found === null) return group;
      const { prompt, horizon } = group[0]!;
      oracles.push({ asset: prompt.asset, horizon, sigmaPerHour: found.sigmaPerHour });
      return group.map((result, i) => ({ ...result, scores: [...result.scores, found.scores[i]!] }));
    }),
  );
  return { results: added.flat(), oracles };
}

async function scoreByOracle(
  { settings }: BacktestRun,
  group: readonly PromptResult[],
  lanes: Lanes,
): Promise<{ sigmaPerHour: number; scores: ContestantScore[] } | null> {
  const parts = Array.from({ length: Math.ceil(group.length / ORACLE_PROMPTS) }, (_, i) =>
    group
      .slice(i * ORACLE_PROMPTS, (i + 1) * ORACLE_PROMPTS)
      .map(({ prompt, anchorPrice, realised }) => ({ prompt, anchorPrice, realised })),
  );
  const costOf = ({ prompts, paths }: ConstantTask | OracleTask): number => prompts.length * paths;
  const { seed } = settings;
  const search = parts.map((prompts) => ({ kind: "constant" as const, prompts, paths: searchPaths(settings), seed }));
  const sigmaPerHour = await goldenSection(async (sigma) => {
    const answers = await lanes.all(
      search.map((task): ConstantTask => ({ ...task, sigmaPerHour: sigma })),
      costOf,
    );
    // Undefined after an interruption: the search runs out without work, and so do the scores below.
    const totals = answers.flatMap((answer) => answer ?? []);
    return totals.reduce((sum, total) => sum + total, 0) / totals.length;
  }, sigmaBracket(group));
  const answers = await lanes.all(
    parts.map((prompts): OracleTask => ({ kind: "oracle", prompts, sigmaPerHour, paths: settings.paths, seed })),
    costOf,
  );
  const scores = answers.flatMap((answer) => answer ?? []);
  return scores.length === group.length ? { sigmaPerHour, scores } : null;
}

/** One prompt of each horizon and of up to six assets, by the first contestant: the one with its median score. */
async function drawExamples(
  run: BacktestRun,
  results: readonly PromptResult[],
  lanes: Lanes,
): Promise<ReportExample[]> {
  const contestant = run.contestants[0]!;
  const byHorizon = Map.groupBy(results, ({ horizon }) => horizon);
  const typical = [...byHorizon.values()].flatMap((own) =>
    [...Map.groupBy(own, ({ prompt }) => prompt.asset).values()].slice(0, EXAMPLE_ASSETS).map(medianResult),
  );
  const tasks = typical.map(({ prompt }) => {
    const chunk = run.chunks.find(
      (each) =>
        each.asset === prompt.asset &&
        each.horizonSeconds === prompt.horizonSeconds &&
        each.stepSeconds === prompt.stepSeconds &&
        each.starts.includes(prompt.start),
    )!;
    const earlier = chunk.starts.filter((start) => start < prompt.start);
    return {
      kind: "example" as const,
      contestant,
      settings: run.settings,
      chunk: { ...chunk, starts: [...earlier, prompt.start] },
    };
  });
  return (await lanes.all(tasks, () => 0)).filter((example) => example !== undefined);
}

function medianResult(results: readonly PromptResult[]): PromptResult {
  const sorted = [...results].sort((a, b) => a.scores[0]!.total - b.scores[0]!.total);
  return sorted[Math.floor((sorted.length - 1) / 2)]!;
}
