/**
 * The cadence of the subnet, and ten times it: several validators, bursts with one start_time, replayed faster than real
 * time while every timeout stays what it is. Then an overload, with a backlog of every validator. One JSON line per figure.
 *
 *   npm run bench:load -- [--minutes 60] [--multiples 1,10] [--speeds 20,1] [--backlog 300]
 */
import { parseArgs } from "node:util";
import { ASSET_SYMBOLS } from "../../src/market/assets.ts";
import { Random } from "../../src/math/random.ts";
import type { PlannedPrompt, PromptResult } from "./load-client.ts";
import {
  exitCode,
  machine,
  machineIsQuiet,
  missed,
  note,
  quantile,
  runPlan,
  say,
  sayEventLoop,
  startLoadedMiner,
  type LoadedMiner,
} from "./load-run.ts";

const STAKES = [400_000, 200_000, 100_000, 100_000];
const HOUR = { horizonSeconds: 3600, timeoutSeconds: 50 } as const;
const DAY = { horizonSeconds: 86_400, timeoutSeconds: 110 } as const;
/** docs/synth-subnet.md: 1h prompts of BTC and HYPE every minute, 24h prompts 75 an hour in all. */
const HOUR_ASSETS = ["BTC", "HYPE"];
const DAY_ASSETS = ASSET_SYMBOLS.filter((symbol) => symbol !== "SPYX");
const DAY_EVERY_SECONDS = 3600 / 75;
/** Validators begin a cycle at the same minute, this far apart. */
const SPREAD_SECONDS = 5;
const JUDGE_EVERY = 20;
/** Megabytes by which the last third's memory may differ from the third's before: the garbage collector's breath. */
const MEMORY_BOUND_MB = 25;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    multiples: { type: "string", default: "1,10" },
    speeds: { type: "string", default: "20,1" },
    backlog: { type: "string", default: "300" },
  },
});

/** Every validator, `multiple` times over: each copy has its own connections' worth of prompts and its own uuids. */
function cadence(minutes: number, multiple: number, speed: number): PlannedPrompt[] {
  const random = Random.fromSeed(`cadence ${multiple}`);
  const prompts: PlannedPrompt[] = [];
  const add = (seconds: number, prompt: Omit<PlannedPrompt, "atMs">): void => {
    prompts.push({ ...prompt, atMs: (seconds * 1000) / speed });
  };
  for (let copy = 0; copy < multiple; copy++) {
    for (const validator of STAKES.keys()) {
      const late = random.uniform() * SPREAD_SECONDS;
      for (let minute = 0; minute < minutes; minute++) {
        for (const asset of HOUR_ASSETS) add(minute * 60 + late, { ...HOUR, validator, asset });
      }
      for (let index = 0; index * DAY_EVERY_SECONDS < minutes * 60; index++) {
        const asset = DAY_ASSETS[(index + copy) % DAY_ASSETS.length]!;
        add(index * DAY_EVERY_SECONDS + late, { ...DAY, validator, asset });
      }
    }
  }
  return prompts.sort((a, b) => a.atMs - b.atMs);
}

function latencies(results: readonly PromptResult[], horizonSeconds: number): number[] {
  return results.filter((each) => each.horizonSeconds === horizonSeconds).map(({ ms }) => ms);
}

/** Of the answers; 0 where the connection failed or the time ran out. */
function tally(results: readonly PromptResult[]): Record<string, number> {
  const statuses: Record<string, number> = {};
  for (const { status } of results) statuses[status] = (statuses[status] ?? 0) + 1;
  return statuses;
}

async function replay(
  loaded: LoadedMiner,
  options: { minutes: number; multiple: number; speed: number },
): Promise<void> {
  const { minutes, multiple, speed } = options;
  const name = `load ×${multiple}`;
  const prompts = cadence(minutes, multiple, speed);
  const startMs = Date.now();
  const results = await runPlan(loaded, { prompts, judgeEvery: JUDGE_EVERY });
  const endMs = Date.now();
  const judged = results.filter(({ verdict }) => verdict !== null).length;
  const seconds = Math.round((endMs - startMs) / 1000);
  note(name, { minutes, speed, prompts: prompts.length, judged, seconds, statuses: tally(results) });
  say(`${name}: prompts without an outcome`, prompts.length - results.length, { atMost: 0 });
  say(`${name}: misses`, results.filter(missed).length, { atMost: 0 });
  for (const { horizonSeconds, timeoutSeconds } of [HOUR, DAY]) {
    const ms = latencies(results, horizonSeconds);
    note(`${name}: ${horizonSeconds} s prompts`, {
      p50: Math.round(quantile(ms, 0.5)),
      max: Math.round(Math.max(...ms)),
    });
    say(`${name}: ${horizonSeconds} s prompts, p99 ms`, quantile(ms, 0.99), { atMost: timeoutSeconds * 100 });
  }
  sayHealth(loaded, name, { startMs, endMs });
}

function sayHealth(loaded: LoadedMiner, name: string, { startMs, endMs }: { startMs: number; endMs: number }): void {
  const lines = loaded.probe(startMs, endMs);
  sayEventLoop(name, lines, quietMachine);
  const third = Math.floor(lines.length / 3);
  const median = (from: number, of: (line: (typeof lines)[number]) => number): number =>
    quantile(lines.slice(from, from + third).map(of), 0.5) / 2 ** 20;
  const rss = (line: (typeof lines)[number]): number => line.rssBytes;
  const heap = (line: (typeof lines)[number]): number => line.heapBytes;
  say(`${name}: memory, last third over the one before, MB`, median(2 * third, rss) - median(third, rss), {
    atMost: MEMORY_BOUND_MB,
  });
  say(`${name}: heap, last third over the one before, MB`, median(2 * third, heap) - median(third, heap), {
    atMost: MEMORY_BOUND_MB,
  });
}

/** A backlog of every validator at once: shares go by stake, what has no place hears 503 at once. */
async function overload(loaded: LoadedMiner, backlog: number): Promise<void> {
  const prompts = Array.from({ length: backlog }, (_, index) =>
    STAKES.map((_, validator) => ({
      atMs: index * 20,
      validator,
      asset: DAY_ASSETS[index % DAY_ASSETS.length]!,
      ...DAY,
    })),
  ).flat();
  const results = await runPlan(loaded, { prompts, judgeEvery: JUDGE_EVERY });
  const answered = results.filter((each) => !missed(each));
  const refused = results.filter(({ status }) => status === 503);
  const lastAskedMs = Math.max(...refused.map(({ endMs }) => endMs));
  const busy = answered.filter(({ endMs }) => endMs <= lastAskedMs);
  note("overload", {
    asked: prompts.length,
    answered: answered.length,
    refused: refused.length,
    whileAllAsked: busy.length,
    statuses: tally(results),
  });
  say("overload: neither answered nor 503", results.length - answered.length - refused.length, { atMost: 0 });
  const refusedMs = refused.map(({ ms, waitedMs }) => ms - waitedMs);
  note("overload: 503 after, ms", { p50: Math.round(quantile(refusedMs, 0.5)) });
  say("overload: 503 after, p99 ms", quantile(refusedMs, 0.99), { atMost: HOUR.timeoutSeconds * 100 });
  say("overload: 503 was given, times", refused.length, { atLeast: 1 });
  const stake = STAKES.reduce((sum, each) => sum + each);
  for (const [validator, own] of STAKES.entries()) {
    const share = busy.filter((each) => each.validator === validator).length / busy.length;
    note(`overload: share of validator ${validator}`, { share: Math.round(share * 1000) / 1000, stake: own / stake });
    say(`overload: share over stake of validator ${validator}`, share / (own / stake), { atLeast: 0.7 });
  }
}

const quietMachine = machineIsQuiet();
note("machine", machine());
const loaded = await startLoadedMiner(STAKES);
try {
  const [multiples, speeds] = [values.multiples, values.speeds].map((list) => list.split(",").map(Number));
  for (const [index, multiple] of multiples!.entries()) {
    if (multiple === 0) continue; // the overload alone
    await replay(loaded, { minutes: Number(values.minutes), multiple, speed: speeds![index]! });
  }
  if (Number(values.backlog) > 0) await overload(loaded, Number(values.backlog));
} finally {
  await loaded.miner.close();
}
process.exitCode = exitCode();
