import { availableParallelism } from "node:os";
import { z } from "zod";
import { systemClock } from "../clock.ts";
import { PACKAGE_ROOT } from "../config/load.ts";
import { resolve } from "node:path";
import { readManifest } from "../engines/models/manifest.ts";
import { MODELS_FILE, readEngineFiles, ROUTING_FILE } from "../engines/load.ts";
import { EXIT, OperationalError } from "../errors.ts";
import { assembleReport, isoTime } from "../evaluation/backtest/assemble.ts";
import { sourcesOf, spanOf } from "../evaluation/backtest/data.ts";
import { refuse, settingsOf, SHARED_OPTIONS, sharedChoices, timeChoice } from "../evaluation/backtest/options.ts";
import type { SharedChoices } from "../evaluation/backtest/options.ts";
import { planPrompts, type Prompt } from "../evaluation/backtest/plan.ts";
import { createProgress } from "../evaluation/backtest/progress.ts";
import { defaultStride, readPrompts, rollingPrompts, type BadRow } from "../evaluation/backtest/prompts.ts";
import { SKIP_TEXTS, type BacktestReport } from "../evaluation/backtest/report.ts";
import { proposeRouting, readRoutingOrBegin, unseenPrompts } from "../evaluation/backtest/propose-routing.ts";
import { runBacktest } from "../evaluation/backtest/run.ts";
import { renderReport } from "../evaluation/report/render.ts";
import { ASSETS } from "../market/assets.ts";
import { writeFileAtomic } from "../store/atomic-file.ts";
import { readSoftwareIdentity } from "../store/recording-identity.ts";
import { defineCommand, type CommandContext } from "./command.ts";
import { textTable } from "./text-table.ts";

const options = z.strictObject({
  ...SHARED_OPTIONS,
  from: z.string().optional().describe("prompts lie between this date or instant …"),
  to: z.string().optional().describe("… and this one; default: all that is recorded"),
  prompts: z
    .string()
    .min(1)
    .optional()
    .describe("CSV file asset,start_time,time_length,time_increment in place of --horizon, --from, --to, --stride"),
  json: z.string().min(1).optional().describe("write the report here as JSON"),
  html: z.string().min(1).optional().describe("write the report here as one HTML page"),
  models: z.string().min(1).optional().describe(`manifest of trained models; default: ${MODELS_FILE}`),
  proposeRouting: z
    .string()
    .min(1)
    .optional()
    .describe(`write a route table here, such as ${ROUTING_FILE}; what it says of other assets and horizons stays`),
});

type Options = z.infer<typeof options>;

export const backtestCommand = defineCommand({
  name: "backtest",
  summary: "score engines against baselines on recorded candles, without look-ahead",
  usage:
    "backtest [--data DIR]… [--assets BTC,ETH] [--horizon 1h|24h] [--engines ewma,…] [--from DATE] [--to DATE]\n" +
    "  [--stride 67m | --prompts FILE.csv] [--seed N] [--workers N] [--json OUT] [--html OUT] [--propose-routing FILE]",
  options,
  positionals: [],
  sections: ["engines", "updater", "market"],
  async run(context) {
    const startedMs = systemClock.nowMs();
    const chosen = choosePrompts(context);
    const plan = planPrompts(chosen.prompts, { dirs: chosen.dirs, minObserved: context.options.minObserved });
    const { paths, seed } = context.options;
    const workers = context.options.workers ?? availableParallelism();
    const write = (text: string): void => void process.stderr.write(text);
    const progress = createProgress({ write, isTerminal: process.stderr.isTTY, clock: systemClock });
    const outcome = await runBacktest({
      chunks: plan.chunks,
      contestants: [...chosen.engines, "reference", "trailing3d"],
      withOracle: true,
      settings: { ...settingsOf(context.config, { paths, seed }), models: context.options.models },
      workers,
      signal: context.signal,
      onProgress: progress.update,
    });
    progress.end();
    const software = await readSoftwareIdentity(PACKAGE_ROOT);
    const report = assembleReport(plan, outcome, {
      created: new Date(startedMs).toISOString(),
      commandLine: commandLineOf(context.options, chosen, context.config.engines.calibration),
      packageVersion: software.packageVersion,
      gitCommit: software.gitCommit,
      nodeVersion: software.nodeVersion,
      seed,
      dataDirs: [...chosen.dirs],
      from: chosen.from === null ? null : isoTime(chosen.from),
      to: chosen.to === null ? null : isoTime(chosen.to),
      strideSeconds: chosen.strideSeconds,
      promptsFile: context.options.prompts ?? null,
      engines: [...chosen.engines],
      assets: [...new Set(chosen.prompts.map(({ asset }) => asset))],
      pathsPerPrompt: paths,
      wallSeconds: (systemClock.nowMs() - startedMs) / 1000,
      workers,
      badRows: chosen.badRows,
      fittedTo: fittedTo(context.config),
    });
    await publish(context, report);
    if (report.metadata.partial) return EXIT.INTERRUPTED;
    return report.metadata.prompts.scored > 0 ? EXIT.OK : EXIT.FAILURE;
  },
});

function fittedTo({ engines }: CommandContext<Options>["config"]): number | null {
  const { calibration } = readEngineFiles(engines);
  return calibration && Date.parse(calibration.window.to) / 1000;
}

interface Chosen extends SharedChoices {
  readonly prompts: readonly Prompt[];
  readonly badRows: readonly BadRow[];
  readonly from: number | null;
  readonly to: number | null;
}

/** Throws UsageError with every problem. */
function choosePrompts({ options: asked, config }: CommandContext<Options>): Chosen {
  const problems: string[] = [];
  const shared = sharedChoices(asked, config, problems);
  const times = { from: timeChoice("from", asked.from, problems), to: timeChoice("to", asked.to, problems) };
  if (times.from !== null && times.to !== null && times.from >= times.to) {
    problems.push(`--to: expected a time after --from, found "${asked.to!}"`);
  }
  if (asked.prompts !== undefined && [asked.from, asked.to, asked.stride].some((text) => text !== undefined)) {
    problems.push("--prompts: expected no --from, --to or --stride beside it");
  }
  if (asked.proposeRouting !== undefined && (shared.engines.length < 2 || !shared.engines.includes("ewma"))) {
    problems.push("--propose-routing: expected ewma and another engine in --engines");
  }
  refuse(problems);
  if (asked.prompts !== undefined) {
    const { prompts, badRows } = readPrompts(asked.prompts);
    const own = asked.assets.length === 0 ? prompts : prompts.filter(({ asset }) => shared.assets.includes(asset));
    return { ...shared, prompts: own, badRows, strideSeconds: null, from: null, to: null };
  }
  // Assets that were not asked for by name are taken where they are recorded.
  const named = asked.assets.length > 0;
  const recorded = shared.assets.filter((asset) => named || sourcesOf(asset, shared.dirs).length > 0);
  const spans = recorded.flatMap((asset) => sourcesOf(asset, shared.dirs).flatMap((source) => spanOf(source) ?? []));
  const from = times.from ?? spans.reduce((first, span) => Math.min(first, span.from), Infinity);
  const to = times.to ?? spans.reduce((last, span) => Math.max(last, span.to), -Infinity);
  if (recorded.length === 0 || !Number.isFinite(from) || !Number.isFinite(to)) {
    const message = `no candles of ${shared.assets.join(", ")} under ${shared.dirs.join(", ")}`;
    throw new OperationalError("backtest/no_candles", message);
  }
  const strideSeconds = shared.strideSeconds ?? defaultStride(asked.horizon, { from, to });
  const prompts = rollingPrompts(recorded, { horizon: asked.horizon, from, to, strideSeconds });
  return { ...shared, assets: recorded, prompts, badRows: [], strideSeconds, from, to };
}

/** The command that makes this report again. */
function commandLineOf(
  asked: Options,
  { dirs, engines, assets, from, to, strideSeconds }: Chosen,
  calibration: string | null,
): string {
  const selection =
    asked.prompts === undefined
      ? [
          `--assets ${assets.join(",")} --horizon ${asked.horizon}`,
          ...(from === null || to === null ? [] : [`--from ${isoTime(from)} --to ${isoTime(to)}`]),
          ...(strideSeconds === null ? [] : [`--stride ${strideSeconds}s`]),
        ]
      : [`--prompts ${asked.prompts}`, ...(asked.assets.length === 0 ? [] : [`--assets ${assets.join(",")}`])];
  return [
    "npm run -s miner -- backtest",
    ...dirs.map((dir) => `--data ${dir}`),
    ...selection,
    ...(asked.models === undefined ? [] : [`--models ${asked.models}`]),
    `--engines.calibration ${calibration ?? "none"}`,
    `--engines ${engines.join(",")} --seed ${asked.seed} --paths ${asked.paths} --min-observed ${asked.minObserved}`,
  ].join(" ");
}

async function publish(
  { options: asked, config, print }: CommandContext<Options>,
  report: BacktestReport,
): Promise<void> {
  if (asked.json !== undefined) await writeFileAtomic(asked.json, `${JSON.stringify(report)}\n`);
  print(describeReport(report));
  const { proposeRouting: table } = asked;
  if (table !== undefined && !report.metadata.partial) {
    const { models } = readManifest(asked.models === undefined ? MODELS_FILE : resolve(asked.models));
    const unseen = unseenPrompts(report.prompts, { fittedTo: fittedTo(config), models: Object.values(models) });
    if (unseen.length < report.prompts.length) {
      print(
        `route table: ${report.prompts.length - unseen.length} scores of prompts that a model was trained on prove nothing`,
      );
    }
    const routing = proposeRouting(readRoutingOrBegin(table), { ...report, prompts: unseen });
    await writeFileAtomic(table, `${JSON.stringify(routing, null, 2)}\n`);
    print(`route table written to ${table}`);
  }
  // Last: nothing of the result hangs on the page.
  if (asked.html !== undefined) await writeFileAtomic(asked.html, await renderReport(report));
}

const RIGHT = ["prompts", "score", "oracle sigma/h"];

/** US shares: prompts that start in the regular session, and those around the clock. */
function sessionLines(aggregates: BacktestReport["aggregates"]): string[] {
  return aggregates
    .filter(({ asset, isBaseline }) => !isBaseline && ASSETS[asset].assetClass === "equity")
    .flatMap(({ asset, engine, splits }) =>
      splits
        .filter(({ split, prompts }) => split === "us_session" && prompts > 0)
        .map(({ prompts, ratios }) => {
          const texts = ratios.map(({ baseline, ratio }) => `${ratio?.toFixed(4) ?? "?"} / ${baseline}`);
          return `${asset} by ${engine}, the ${prompts} prompts that start in the US session: ${texts.join(", ")}`;
        }),
    );
}

function describeReport({ metadata, aggregates, totals }: BacktestReport): string {
  const { prompts, baselines, notes, partial } = metadata;
  const ratioText = (each: { ratio: number | null; ratioLow: number | null; ratioHigh: number | null }): string => {
    const ends = [each.ratioLow, each.ratioHigh].map((value) => value?.toFixed(3) ?? "?");
    return `${each.ratio?.toFixed(4) ?? "?"} [${ends.join(", ")}]`;
  };
  const ratios = (comparisons: readonly (Parameters<typeof ratioText>[0] & { baseline: string })[]): string[] =>
    baselines.map((baseline) => {
      const comparison = comparisons.find((each) => each.baseline === baseline);
      return comparison === undefined ? "" : ratioText(comparison);
    });
  const rows = [
    ...aggregates.map((each) => [
      each.horizon,
      each.asset,
      each.engine,
      each.prompts,
      each.meanScore?.toFixed(3) ?? "?",
      ...ratios(each.comparisons),
    ]),
    ...totals.map((each) => [
      each.horizon,
      "weighted",
      each.engine,
      each.prompts,
      each.weightedScore?.toFixed(3) ?? "?",
      ...ratios(each.comparisons),
    ]),
  ];
  const head = ["horizon", "asset", "engine", "prompts", "score", ...baselines.map((name) => `/ ${name} [95 %]`)];
  return [
    ...(partial ? ["PARTIAL: interrupted before the end", ""] : []),
    textTable(head, rows, RIGHT),
    ...sessionLines(aggregates),
    "score: validators' CRPS in bps, lower is better; ratio of means below 1: better than that baseline",
    `${prompts.scored} of ${prompts.planned} prompts scored in ${metadata.wallSeconds.toFixed(1)} s`,
    ...prompts.skipped.map(
      (each) => `left out: ${each.prompts} ${each.horizon} ${each.asset}: ${SKIP_TEXTS[each.reason]}`,
    ),
    ...notes,
    metadata.commandLine,
  ].join("\n");
}
