/**
 * One 24h prompt (1000 paths, 289 points) end to end over HTTP, and eight at once: the real `update` and `serve`
 * processes on a generated market, asked by the demo's validator. Its peer is the subnet's reference miner on the Bittensor
 * SDK's own axon (test/bench/reference_axon.py), asked by the same validator in the same run.
 *
 *   npm run bench        (SYNTH_TEST_PYTHON names a Python with test/e2e/python/requirements.txt)
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import path from "node:path";
import { textTable } from "../../src/commands/text-table.ts";
import { loadConfig, PACKAGE_ROOT } from "../../src/config/load.ts";
import { marketFeeds } from "../../src/demo/market-feeds.ts";
import { freePort } from "../../src/demo/free-port.ts";
import { startMinerProcess, stopMinerProcess } from "../../src/demo/processes.ts";
import { createRehearsal, type Rehearsal } from "../../src/demo/rehearsal.ts";
import { promptCall, type AxonAddress } from "../../src/demo/validator.ts";
import { callAxon, judgeReply, type AxonCall } from "../../src/evaluation/call-axon.ts";
import { startRecordedMarket } from "../../src/feeds/recorded/server.ts";
import { ASSET_SYMBOLS } from "../../src/market/assets.ts";
import { CORRECT } from "../../src/subnets/synth/validate-answer.ts";
import { z } from "zod";

const SINGLE_PROMPTS = 40;
const BURSTS = 10;
const BURST_SIZE = 8;
const CLOCK_TICKS_PER_SECOND = 100;

interface Measured {
  readonly singleMs: readonly number[];
  readonly burstMs: readonly number[];
  readonly cpuSecondsPerPrompt: number;
  readonly rssMegabytes: number;
}

function quantile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))]!;
}

/** CPU seconds (user and system, all threads) of a process, from /proc. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}

/** The process's peak resident memory, as the kernel kept it. */
function peakRssMegabytes(pid: number): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

async function measure(axon: AxonAddress, rehearsal: Rehearsal, pid: number): Promise<Measured> {
  let count = 0;
  const nextCall = (): AxonCall => {
    const asset = ASSET_SYMBOLS[count++ % ASSET_SYMBOLS.length]!;
    const startTimeSeconds = Math.ceil(Date.now() / 60_000) * 60 + 60;
    const prompt = { asset, startTimeSeconds, stepSeconds: 300, horizonSeconds: 86_400, numSimulations: 1000 };
    return promptCall(axon, prompt, { keypair: rehearsal.validator, timeoutSeconds: 60 });
  };
  /** Milliseconds of each, all asked at once; judged when the last byte is here, so that judging delays none. */
  const ask = async (calls: readonly AxonCall[]): Promise<number[]> => {
    const replies = await Promise.all(calls.map(callAxon));
    for (const [index, reply] of replies.entries()) {
      const verdict = judgeReply(calls[index]!, reply);
      if (verdict !== CORRECT) throw new Error(`${axon.url} answered: ${verdict}`);
    }
    return replies.map(({ seconds }) => seconds * 1000);
  };
  for (let i = 0; i < ASSET_SYMBOLS.length; i++) await ask([nextCall()]);
  const before = cpuSeconds(pid);
  const singleMs: number[] = [];
  for (let i = 0; i < SINGLE_PROMPTS; i++) singleMs.push(...(await ask([nextCall()])));
  const cpuSecondsPerPrompt = (cpuSeconds(pid) - before) / SINGLE_PROMPTS;
  const burstMs: number[] = [];
  for (let i = 0; i < BURSTS; i++) burstMs.push(...(await ask(Array.from({ length: BURST_SIZE }, nextCall))));
  return { singleMs, burstMs, cpuSecondsPerPrompt, rssMegabytes: peakRssMegabytes(pid) };
}

async function measureMiner(dir: string): Promise<{ measured: Measured; startMs: number; rehearsal: Rehearsal }> {
  const market = await startRecordedMarket({ dir: null, seed: 1 });
  const { config } = loadConfig({
    args: [],
    env: {},
    cwd: dir,
    options: z.object({}),
    positionals: [],
    configFiles: ["config/demo.json"],
  });
  const port = await freePort();
  const rehearsal = await createRehearsal(dir, {
    ...config,
    axon: { ...config.axon, port },
    feeds: marketFeeds(market, config.feeds),
  });
  const { configFile, logFile } = rehearsal;
  const place = { logFile, cwd: dir, pythApiKey: null };
  const updater = startMinerProcess({ command: "update", args: ["--config", configFile], ...place });
  await updater.ready;
  const startedMs = performance.now();
  const miner = startMinerProcess({ command: "serve", args: ["--config", configFile], ...place });
  await miner.ready;
  const startMs = performance.now() - startedMs;
  const axon = { url: `http://127.0.0.1:${port}`, hotkey: rehearsal.minerHotkey };
  const measured = await measure(axon, rehearsal, miner.pid);
  await stopMinerProcess(miner);
  await stopMinerProcess(updater);
  await market.close();
  return { measured, startMs, rehearsal };
}

/** The reference miner under the same wallet; null where there is no Python with the SDK. */
async function measureReference(rehearsal: Rehearsal): Promise<Measured | null> {
  const python = process.env["SYNTH_TEST_PYTHON"];
  if (python === undefined) return null;
  const port = await freePort();
  const script = path.join(PACKAGE_ROOT, "test/bench/reference_axon.py");
  const wallets = path.join(rehearsal.dir, "wallets");
  const child = spawn(python, [script, wallets, "demo", "miner", String(port)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    if (!line.toString().includes("listening")) throw new Error(`reference axon said ${line.toString()}`);
    const axon = { url: `http://127.0.0.1:${port}`, hotkey: rehearsal.minerHotkey };
    return await measure(axon, rehearsal, child.pid!);
  } finally {
    child.kill("SIGKILL");
  }
}

const dir = mkdtempSync(path.join(tmpdir(), "synth-bench-"));
const { measured, startMs, rehearsal } = await measureMiner(dir);
const reference = await measureReference(rehearsal);
rmSync(dir, { recursive: true, force: true });

function row(name: string, of: (m: Measured) => number, digits = 1): string[] {
  const ours = of(measured);
  if (reference === null) return [name, ours.toFixed(digits), "-", "-"];
  return [name, ours.toFixed(digits), of(reference).toFixed(digits), (ours / of(reference)).toFixed(3)];
}

const rows = [
  row("24h prompt, p50, ms", (m) => quantile(m.singleMs, 0.5)),
  row("24h prompt, p95, ms", (m) => quantile(m.singleMs, 0.95)),
  row("CPU seconds a prompt", (m) => m.cpuSecondsPerPrompt, 3),
  row(`${BURST_SIZE} at once, p50, ms`, (m) => quantile(m.burstMs, 0.5)),
  row(`${BURST_SIZE} at once, p95, ms`, (m) => quantile(m.burstMs, 0.95)),
  row("peak resident memory, MB", (m) => m.rssMegabytes),
  ["start to ready, s", (startMs / 1000).toFixed(2), "-", "-"],
];
const machine = `${cpus().length} × ${cpus()[0]?.model ?? "unknown CPU"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
process.stdout.write(`${new Date().toISOString().slice(0, 10)}, ${machine}\n`);
process.stdout.write(
  `${textTable(["measure", "miner", "reference", "ratio"], rows, ["miner", "reference", "ratio"])}\n`,
);
if (reference === null)
  process.stdout.write("No reference: set SYNTH_TEST_PYTHON to a Python with the Bittensor SDK.\n");
