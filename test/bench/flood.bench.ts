/**
 * 2,000 hostile requests a second from other addresses, a third of them forged under a real validator's hotkey: that
 * validator's answers, quiet and under the flood, in turn. One JSON line per figure.
 *
 *   npm run bench:flood -- [--rounds 4] [--prompts 60] [--rate 2000] [--addresses 100] [--sockets 4] [--pipelined 1]
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { Agent } from "node:http";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { PACKAGE_ROOT } from "../../src/config/load.ts";
import { keypairFromSeed } from "../../src/wallet/keypair.ts";
import { askAxon } from "../support/dendrite.ts";
import type { FloodPlan, FloodResult } from "./flood-client.ts";
import type { PromptResult } from "./load-client.ts";
import type { ProbeLine } from "./probe.ts";
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

const STAKES = [400_000, 200_000];
const PROMPT = { asset: "BTC", horizonSeconds: 86_400, timeoutSeconds: 110 } as const;
/** Apart, so that the validator never waits for itself. */
const EVERY_MS = 1000;
const JUDGE_EVERY = 10;
const SETTLE_MS = 1000;
/** Of the third-largest of 240 against another such; of fewer answers it says nothing. */
const P99_NOISE = 0.1;
const ENOUGH_FOR_P99 = 200;
/** Below --axon.max_connections. */
const NEWCOMER_CROWD = 480;
const NEWCOMER_ADDRESS = "127.0.9.1";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "4" },
    prompts: { type: "string", default: "60" },
    rate: { type: "string", default: "2000" },
    addresses: { type: "string", default: "100" },
    sockets: { type: "string", default: "4" },
    pipelined: { type: "string", default: "1" },
  },
});

function ask(loaded: LoadedMiner): Promise<PromptResult[]> {
  const prompts = Array.from({ length: Number(values.prompts) }, (_, index) => ({
    ...PROMPT,
    validator: 0,
    atMs: index * EVERY_MS,
  }));
  return runPlan(loaded, { prompts, judgeEvery: JUDGE_EVERY });
}

interface Flood {
  stop(): Promise<FloodResult>;
}

async function startFlood(loaded: LoadedMiner, options: Partial<FloodPlan> = {}): Promise<Flood> {
  const plan: FloodPlan = {
    port: loaded.miner.axon.port,
    receiver: loaded.miner.axon.hotkey,
    validator: loaded.validators[0]!,
    perSecond: Number(values.rate),
    addresses: Number(values.addresses),
    sockets: Number(values.sockets),
    pipelined: Number(values.pipelined),
    forged: false,
    ...options,
  };
  const child: ChildProcess = spawn(process.execPath, [path.join(PACKAGE_ROOT, "test/bench/flood-client.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin!.end(JSON.stringify(plan));
  const lines = createInterface({ input: child.stdout! });
  await once(lines, "line");
  await delay(SETTLE_MS);
  return {
    stop: async () => {
      const said = once(lines, "line");
      child.kill("SIGTERM");
      const [line] = (await said) as [string];
      return JSON.parse(line) as FloodResult;
    },
  };
}

/** Seconds until a validator is answered that publishes no address and never asked from this one, forgeries all around. */
async function askAsNewcomer(loaded: LoadedMiner): Promise<number> {
  const { port, hotkey } = loaded.miner.axon;
  const flood = await startFlood(loaded, { addresses: NEWCOMER_CROWD, sockets: 1, forged: true });
  const startMs = performance.now();
  const { status } = await askAxon({
    port,
    receiverHotkey: hotkey,
    keypair: keypairFromSeed(Buffer.from(loaded.validators[1]!, "hex")),
    timeoutSeconds: PROMPT.timeoutSeconds,
    agent: new Agent({ localAddress: NEWCOMER_ADDRESS }),
    body: {
      simulation_input: {
        asset: PROMPT.asset,
        start_time: new Date(Date.now() + 60_000).toISOString(),
        time_increment: 300,
        time_length: PROMPT.horizonSeconds,
        num_simulations: 1000,
      },
      simulation_output: null,
    },
  });
  const seconds = (performance.now() - startMs) / 1000;
  await flood.stop();
  return status === 200 ? seconds : Number.POSITIVE_INFINITY;
}

const quietMachine = machineIsQuiet();
note("machine", machine());
const loaded = await startLoadedMiner(STAKES);
try {
  await ask(loaded); // warm
  const [quiet, flooded]: [PromptResult[], PromptResult[]] = [[], []];
  const [floods, probed]: [FloodResult[], ProbeLine[]] = [[], []];
  for (let round = 0; round < Number(values.rounds); round++) {
    quiet.push(...(await ask(loaded)));
    const flood = await startFlood(loaded);
    const startMs = Date.now();
    flooded.push(...(await ask(loaded)));
    probed.push(...loaded.probe(startMs, Date.now()));
    floods.push(await flood.stop());
    await delay(SETTLE_MS);
  }
  const statuses: Record<string, number> = {};
  for (const flood of floods)
    for (const [status, times] of Object.entries(flood.statuses)) statuses[status] = (statuses[status] ?? 0) + times;
  const sent = floods.reduce((sum, flood) => sum + flood.sent, 0);
  const perSecond = sent / floods.reduce((sum, { seconds }) => sum + seconds, 0);
  const [quietMs, floodedMs] = [quiet, flooded].map((results) => results.map(({ ms }) => ms));
  const shape = (ms: readonly number[]) => ({
    p50: Math.round(quantile(ms, 0.5)),
    p90: Math.round(quantile(ms, 0.9)),
    p99: Math.round(quantile(ms, 0.99)),
  });
  note("flood", { sent, statuses, addresses: Number(values.addresses), counters: (await loaded.counters()).refused });
  note("flood: the validator's answers, ms", { quiet: shape(quietMs!), flooded: shape(floodedMs!) });
  say("flood: requests per second", perSecond, { atLeast: Number(values.rate) * 0.95 });
  say("flood: hostile requests that were answered 200", statuses["200"] ?? 0, { atMost: 0 });
  say("flood: the validator's misses", [...quiet, ...flooded].filter(missed).length, { atMost: 0 });
  say("flood: the validator's median, ms, within the quiet p99", quantile(floodedMs!, 0.5), {
    atMost: quantile(quietMs!, 0.99),
  });
  const p99 = quantile(floodedMs!, 0.99);
  say("flood: the validator's p99, ms, within a tenth of the deadline", p99, { atMost: PROMPT.timeoutSeconds * 100 });
  const quietP99 = quantile(quietMs!, 0.99);
  const beyond = floodedMs!.filter((ms) => ms > quietP99).length / floodedMs!.length;
  say("flood: share of the validator's answers beyond the quiet p99", beyond, { atMost: 0.05 });
  if (flooded.length >= ENOUGH_FOR_P99) {
    say("flood: the validator's p99 over the quiet p99", p99 / quietP99, { atMost: 1 + P99_NOISE });
  }
  say("flood: a validator at a new address among forgers at 480 others, s", await askAsNewcomer(loaded), {
    atMost: PROMPT.timeoutSeconds / 10,
  });
  sayEventLoop("flood", probed, quietMachine);
} finally {
  await loaded.miner.close();
}
process.exitCode = exitCode();
