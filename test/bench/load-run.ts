import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { PACKAGE_ROOT } from "../../src/config/load.ts";
import { CORRECT } from "../../src/subnets/synth/validate-answer.ts";
import { keypairFromSeed } from "../../src/wallet/keypair.ts";
import { createTestMiner, type TestMiner } from "../support/miner.ts";
import type { LoadPlan, PromptResult } from "./load-client.ts";
import type { ProbeLine } from "./probe.ts";

/** The real `update` and `serve` processes on a generated market, with several validators and a probe inside. */
export interface LoadedMiner {
  readonly miner: TestMiner;
  /** Hex seeds, in the order of `stakes`. */
  readonly validators: readonly string[];
  readonly servePid: number;
  probe(fromMs: number, toMs: number): readonly ProbeLine[];
  counters(): Promise<AxonCounters>;
}

export interface AxonCounters {
  readonly answered: number;
  readonly refused: Readonly<Record<string, number>>;
}

export async function startLoadedMiner(stakes: readonly number[]): Promise<LoadedMiner> {
  const miner = await createTestMiner();
  const seeds = stakes.map((_, index) => Buffer.alloc(32, 100 + index).toString("hex"));
  const neurons = stakes.map((stake, index) => {
    const { address } = keypairFromSeed(Buffer.from(seeds[index]!, "hex"));
    return { uid: index, hotkey: address, stake, validator_permit: true, ip: `127.0.1.${index + 1}` };
  });
  writeFileSync(path.join(miner.dir, "metagraph.json"), JSON.stringify({ neurons }));
  await miner.start("update").ready;
  const probeFile = path.join(miner.dir, "probe.jsonl");
  writeFileSync(probeFile, "");
  // The process inherits the environment; its threads and the updater run the probe's file and do nothing.
  process.env["SYNTH_PROBE"] = probeFile;
  process.env["NODE_OPTIONS"] = `--import ${path.join(PACKAGE_ROOT, "test/bench/probe.ts")}`;
  const serve = miner.start("serve");
  delete process.env["NODE_OPTIONS"];
  void serve.exited.then((exit) => {
    note("the axon has ended", { ...exit, date: new Date().toISOString() }); // before the figures, where it was not asked to
  });
  await serve.ready;
  return {
    miner,
    validators: seeds,
    servePid: serve.pid,
    probe: (fromMs, toMs) =>
      readFileSync(probeFile, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as ProbeLine)
        .filter(({ atMs }) => atMs >= fromMs && atMs <= toMs),
    counters: async () => {
      const response = await fetch(`${miner.healthUrl}/healthz`);
      return ((await response.json()) as { axon: AxonCounters }).axon;
    },
  };
}

/** Lets the client process ask the plan; in the order of the answers. */
export async function runPlan(
  loaded: LoadedMiner,
  plan: Pick<LoadPlan, "prompts" | "judgeEvery">,
): Promise<PromptResult[]> {
  const { port, hotkey } = loaded.miner.axon;
  const client = spawn(process.execPath, [path.join(PACKAGE_ROOT, "test/bench/load-client.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  client.stdin.end(
    JSON.stringify({ ...plan, port, receiver: hotkey, validators: loaded.validators } satisfies LoadPlan),
  );
  const results: PromptResult[] = [];
  for await (const line of createInterface({ input: client.stdout })) results.push(JSON.parse(line) as PromptResult);
  return results;
}

export function missed({ status, verdict }: PromptResult): boolean {
  return status !== 200 || (verdict !== null && verdict !== CORRECT);
}

export function quantile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? Number.NaN;
}

/** Of the event loop, over a time: its own delays are bounded, the whole ones only where no other program wants the cores. */
export function sayEventLoop(name: string, lines: readonly ProbeLine[], quietMachine: boolean): void {
  const p99 = (of: (line: ProbeLine) => number): number => quantile(lines.map(of), 0.99);
  const own = p99(({ ownDelayMs }) => ownDelayMs.p99);
  const whole = p99(({ delayMs }) => delayMs.p99);
  say(`${name}: event-loop delay of its own, p99 of the seconds' p99, ms`, own, { atMost: EVENT_LOOP_BOUND_MS });
  const waiting = `${name}: event-loop delay with waiting for a core, p99 of the seconds' p99, ms`;
  if (quietMachine) say(waiting, whole, { atMost: EVENT_LOOP_BOUND_MS });
  else note(waiting, { figure: Math.round(whole), why: "not judged: other programs wanted the cores before the run" });
}

/** Whether the last minute left a core free. */
export function machineIsQuiet(): boolean {
  return loadavg()[0]! < cpus().length - 1;
}

export function machine(): Readonly<Record<string, unknown>> {
  const load = Math.round(loadavg()[0]! * 10) / 10;
  return { cpu: cpus()[0]?.model, cores: cpus().length, load, node: process.version, date: new Date().toISOString() };
}

const EVENT_LOOP_BOUND_MS = 50;
let failed = false;

/** One line of the table: what was measured, within which bound. */
export function say(
  name: string,
  figure: number,
  bound: { readonly atMost: number } | { readonly atLeast: number },
): void {
  const pass = "atMost" in bound ? figure <= bound.atMost : figure >= bound.atLeast;
  failed ||= !pass;
  const rounded = Math.round(figure * 1000) / 1000;
  process.stdout.write(`${JSON.stringify({ name, figure: rounded, ...bound, pass })}\n`);
}

export function note(name: string, figures: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify({ name, ...figures })}\n`);
}

/** 1 when a figure was out of its bound. */
export function exitCode(): number {
  return failed ? 1 : 0;
}
