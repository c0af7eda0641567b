/**
 * Memory, handles and files of a real `serve` process over many prompts: small ones, then full ones, from four keep-alive
 * connections. The heap is measured after a collection, at ten moments of each phase; growth is the median of the last
 * three minus that of the third to fifth (the first two warm up). Exit code 1 when a bound is broken.
 *
 *   npm run bench:soak [-- --small 100000 --full 2000]        (default: 3000 and 60)
 */
import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { z } from "zod";
import { signedRequest } from "../../src/bittensor/dendrite.ts";
import { systemClock } from "../../src/clock.ts";
import { PACKAGE_ROOT } from "../../src/config/load.ts";
import { ASSET_SYMBOLS } from "../../src/market/assets.ts";
import { INPUT_FIELD, OUTPUT_FIELD, parseSimulation, SIMULATION_SYNAPSE } from "../../src/subnets/synth/simulation.ts";
import { CORRECT, validateAnswer } from "../../src/subnets/synth/validate-answer.ts";
import { hotkey, millisToNanos } from "../../src/units.ts";
import { figure } from "../support/figures.ts";
import { createTestMiner, type TestMiner } from "../support/miner.ts";

const CONNECTIONS = 4;
const MOMENTS = 10;
const MEGABYTE = 1024 * 1024;
/** So small that both phases rotate many times. */
const MAX_RECORDING_BYTES = MEGABYTE;
/** Answers judged in full: every one of so many; of the others the status and the whole body. */
const JUDGED_EVERY = 25;

const sampleSchema = z.object({
  heapUsed: z.number(),
  external: z.number(),
  rss: z.number(),
  resources: z.number(),
  descriptors: z.number(),
});

interface Sample extends z.infer<typeof sampleSchema> {
  /** In the state folder, without the recordings. */
  readonly files: number;
  readonly segments: number;
  readonly recordingBytes: number;
}

interface Phase {
  readonly name: string;
  readonly prompts: number;
  readonly input: { readonly time_increment: number; readonly time_length: number; readonly num_simulations: number };
}

const { values } = parseArgs({
  options: { small: { type: "string", default: "3000" }, full: { type: "string", default: "60" } },
});
const PHASES: readonly Phase[] = [
  {
    name: "small",
    prompts: Number(values.small),
    input: { time_increment: 60, time_length: 3600, num_simulations: 5 },
  },
  {
    name: "full",
    prompts: Number(values.full),
    input: { time_increment: 300, time_length: 86_400, num_simulations: 1000 },
  },
];

let asked = 0;

/** One validator's connection: one uuid, one socket, nonces that count upwards. Throws at the first answer that is not good. */
async function askInTurn(miner: TestMiner, phase: Phase, prompts: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const uuid = randomUUID();
  try {
    for (let index = 0; index < prompts; index += 1) {
      const count = asked++;
      const input = {
        asset: ASSET_SYMBOLS[count % ASSET_SYMBOLS.length]!,
        start_time: new Date(Math.ceil(systemClock.nowMs() / 60_000 + 1) * 60_000).toISOString(),
        ...phase.input,
      };
      const { status, body } = await post(miner, agent, { uuid, input });
      if (status !== 200) throw new Error(`prompt ${count}: HTTP ${status}: ${body.slice(0, 300)}`);
      if (count % JUDGED_EVERY === 0) judge(miner, input, body);
    }
  } finally {
    agent.destroy();
  }
}

function judge(miner: TestMiner, input: object, body: string): void {
  const parsed = parseSimulation(input, hotkey(miner.axon.hotkey));
  const output = (JSON.parse(body) as Record<string, unknown>)[OUTPUT_FIELD];
  const verdict = parsed.ok ? validateAnswer(output, parsed.request) : parsed.message;
  if (verdict !== CORRECT) throw new Error(verdict);
}

function post(
  miner: TestMiner,
  agent: Agent,
  prompt: { uuid: string; input: object },
): Promise<{ status: number; body: string }> {
  const signed = signedRequest({
    keypair: miner.validator,
    receiverHotkey: miner.axon.hotkey,
    synapse: SIMULATION_SYNAPSE,
    body: { [INPUT_FIELD]: prompt.input, [OUTPUT_FIELD]: null },
    timeoutSeconds: 60,
    nonce: millisToNanos(systemClock.nowMs()) + BigInt(asked % 1_000_000),
    uuid: prompt.uuid,
  });
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
  const headers = { ...signed.headers, "content-length": Buffer.byteLength(signed.body) };
  const request = httpRequest(
    `${miner.axon.url}${signed.path}`,
    { method: signed.method, headers, agent },
    (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() });
      });
    },
  );
  request.on("error", reject).end(signed.body);
  return promise;
}

async function takeSample(miner: TestMiner, pid: number, probeFile: string): Promise<Sample> {
  await systemClock.sleep(500); // the last recordings and closed sockets
  const before = existsSync(probeFile) ? statSync(probeFile).size : 0;
  process.kill(pid, "SIGUSR2");
  while (!existsSync(probeFile) || statSync(probeFile).size === before) await systemClock.sleep(20);
  const line = readFileSync(probeFile, "utf8").trimEnd().split("\n").at(-1)!;
  const recordings = path.join(miner.stateDir, "recordings", miner.axon.hotkey);
  const sizes = readdirSync(recordings).map((name) => statSync(path.join(recordings, name)).size);
  return {
    ...sampleSchema.parse(JSON.parse(line)),
    files: readdirSync(miner.stateDir, { recursive: true }).length - sizes.length,
    segments: sizes.length,
    recordingBytes: sizes.reduce((sum, size) => sum + size, 0),
  };
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!;
}

function growth(samples: readonly Sample[], value: (sample: Sample) => number): number {
  return median(samples.slice(-3).map(value)) - median(samples.slice(2, 5).map(value));
}

function report({ name, prompts }: Phase, samples: readonly Sample[], seconds: number): boolean {
  const grown = (label: string, atMost: number, value: (sample: Sample) => number): boolean =>
    figure(`soak ${name}: growth of ${label}`, growth(samples, value), { atMost });
  const most = (label: string, atMost: number, value: (sample: Sample) => number): boolean =>
    figure(`soak ${name}: ${label}`, Math.max(...samples.map(value)), { atMost });
  process.stderr.write(
    `${name}: ${prompts} prompts in ${Math.round(seconds)} s; last ${JSON.stringify(samples.at(-1))}\n`,
  );
  return [
    figure(`soak ${name}: prompts, all answered 200`, prompts, { atLeast: 1 }),
    grown("the heap, MB", 2, ({ heapUsed }) => heapUsed / MEGABYTE),
    grown("memory outside the heap, MB", 2, ({ external }) => external / MEGABYTE),
    grown("resident memory, MB", 40, ({ rss }) => rss / MEGABYTE),
    grown("handles", 1, ({ resources }) => resources),
    // The sockets of the last connections may still be closing.
    grown("file descriptors", CONNECTIONS, ({ descriptors }) => descriptors),
    grown("files, recordings apart", 0, ({ files }) => files),
    most("recording segments", 16, ({ segments }) => segments),
    most("recordings, MB", MAX_RECORDING_BYTES / MEGABYTE, ({ recordingBytes }) => recordingBytes / MEGABYTE),
  ].every(Boolean);
}

const miner = await createTestMiner((config) => ({
  ...config,
  recordings: { ...config.recordings, maxBytes: MAX_RECORDING_BYTES },
}));
try {
  await miner.start("update").ready;
  await miner.stop("update"); // the state stands still: what grows is the axon's
  const probeFile = path.join(miner.dir, "probe.jsonl");
  const probe = pathToFileURL(path.join(PACKAGE_ROOT, "test/support/soak-probe.ts")).href;
  Object.assign(process.env, { NODE_OPTIONS: `--import ${probe}`, SOAK_PROBE_FILE: probeFile });
  const serve = miner.start("serve");
  await serve.ready;
  let passed = true;
  for (const phase of PHASES) {
    const startedMs = systemClock.nowMs();
    const samples: Sample[] = [];
    const each = Math.ceil(phase.prompts / MOMENTS / CONNECTIONS);
    for (let moment = 0; moment < MOMENTS; moment += 1) {
      await Promise.all(Array.from({ length: CONNECTIONS }, () => askInTurn(miner, phase, each)));
      samples.push(await takeSample(miner, serve.pid, probeFile));
      const { heapUsed, rss } = samples.at(-1)!;
      process.stderr.write(
        `${phase.name} ${moment + 1}/${MOMENTS}: ${(moment + 1) * each * CONNECTIONS} prompts, ` +
          `${Math.round((systemClock.nowMs() - startedMs) / 1000)} s, heap ${(heapUsed / MEGABYTE).toFixed(1)} MB, ` +
          `resident ${(rss / MEGABYTE).toFixed(0)} MB\n`,
      );
    }
    passed = report(phase, samples, (systemClock.nowMs() - startedMs) / 1000) && passed;
  }
  process.exitCode = passed ? 0 : 1;
} finally {
  await miner.close();
}
