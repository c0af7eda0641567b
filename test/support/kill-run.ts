import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { signedRequest, type SignedRequest } from "../../src/bittensor/dendrite.ts";
import { systemClock } from "../../src/clock.ts";
import type { MinerProcess } from "../../src/demo/processes.ts";
import { runForecast } from "../../src/engines/forecast.ts";
import { ASSET_SYMBOLS } from "../../src/market/assets.ts";
import { Random } from "../../src/math/random.ts";
import { readRecordings } from "../../src/store/recording-reader.ts";
import { VolatilityStore } from "../../src/store/volatility-store.ts";
import { simulationEvidence, type SimulationEvidence } from "../../src/subnets/synth/evidence.ts";
import { INPUT_FIELD, OUTPUT_FIELD, parseSimulation, SIMULATION_SYNAPSE } from "../../src/subnets/synth/simulation.ts";
import { CORRECT, validateAnswer } from "../../src/subnets/synth/validate-answer.ts";
import { hotkey, millisToNanos } from "../../src/units.ts";
import { createTestMiner, type TestMiner } from "./miner.ts";

/** Traffic on the real `serve` and `update` processes, both killed with SIGKILL at random moments. */
export interface KillRun {
  readonly prompts: number;
  /** Came back whole: 200, the last byte read. */
  readonly acknowledged: number;
  /** Of those, what a validator would not call CORRECT. */
  readonly invalid: readonly string[];
  /** Refused although admitted senders asked while the axon was up: status and message. */
  readonly refused: readonly string[];
  /** No response: the axon was dead, or died over it. */
  readonly unanswered: number;
  readonly kills: { readonly serve: number; readonly update: number };
  readonly recorded: number;
  /** Recorded answers that differ from what came by a byte, or that nobody received and a validator would refuse. */
  readonly recordedInvalid: number;
  /** Acknowledged, but in no recording. */
  readonly lost: number;
  /** Of those, acknowledged a second or more before the axon was killed. */
  readonly lostLongBefore: number;
  /** Replays of acknowledged requests that a new life of the axon answered. */
  readonly replaysAnswered: number;
  /** Damage in the recordings that is not the torn tail of a killed writer. */
  readonly damage: readonly string[];
  /** State files that do not load at the end, or were set aside as corrupt. */
  readonly badStates: readonly string[];
  /** Longest time from a kill to the first answer after it. */
  readonly longestOutageMs: number;
}

const PROMPT_EVERY_MS = 150;
/** Mean time between kills of one process. */
const KILL_EVERY_MS = { serve: 5000, update: 4000 };
const TIMEOUT_SECONDS = 20;
const AT_KILL_MS = 1000;

interface Acknowledged {
  readonly atMs: number;
  /** Hex SHA-256 of the simulation_output that came, to the byte. */
  readonly digest: string;
}

interface Traffic {
  prompts: number;
  /** By the uuid of the request. */
  readonly acknowledged: Map<string, Acknowledged>;
  readonly invalid: string[];
  readonly refused: string[];
  unanswered: number;
  lastAnswered: SignedRequest | null;
  lastAnswerAtMs: number;
  /** Called with every answer. */
  onAnswer: () => void;
}

export async function runUnderKills(options: { seconds: number; seed: string }): Promise<KillRun> {
  const miner = await createTestMiner((config) => ({
    ...config,
    recordings: { ...config.recordings, maxBytes: 1024 * 1024 * 1024 },
  }));
  try {
    const updater = miner.start("update");
    await updater.ready;
    const random = Random.fromSeed(options.seed);
    const stopAtMs = systemClock.nowMs() + options.seconds * 1000;
    const traffic: Traffic = {
      ...{ prompts: 0, acknowledged: new Map<string, Acknowledged>(), invalid: [], refused: [], unanswered: 0 },
      ...{ lastAnswered: null, lastAnswerAtMs: 0, onAnswer: () => undefined },
    };
    const first = miner.start("serve");
    await first.ready;
    const [serve, update] = await Promise.all([
      killAxon(miner, { first, traffic, random, stopAtMs }),
      killUpdater(miner, { first: updater, random, stopAtMs }),
      sendPrompts(miner, traffic, stopAtMs),
    ]);
    await miner.stop("serve");
    await miner.stop("update");
    const recordings = await judgeRecordings(miner, traffic.acknowledged, serve.killedAtMs);
    const { prompts, acknowledged, invalid, refused, unanswered } = traffic;
    return {
      ...{ prompts, acknowledged: acknowledged.size, invalid, refused, unanswered },
      kills: { serve: serve.killedAtMs.length, update },
      ...recordings,
      replaysAnswered: serve.replaysAnswered,
      badStates: badStates(miner),
      longestOutageMs: serve.longestOutageMs,
    };
  } finally {
    await miner.close();
  }
}

/** An exponential waiting time, cut at the end of the run. */
function waitMs(random: Random, meanMs: number, stopAtMs: number): number {
  return Math.min(-Math.log(1 - random.uniform()) * meanMs, Math.max(0, stopAtMs - systemClock.nowMs()));
}

interface KillPlan {
  readonly first: MinerProcess;
  readonly random: Random;
  readonly stopAtMs: number;
}

async function killUpdater(miner: TestMiner, { first, random, stopAtMs }: KillPlan): Promise<number> {
  let life = first;
  for (let kills = 0; ; kills += 1) {
    await systemClock.sleep(waitMs(random, KILL_EVERY_MS.update, stopAtMs));
    if (systemClock.nowMs() >= stopAtMs) return kills;
    life.kill("SIGKILL");
    await life.exited;
    life = miner.start("update");
  }
}

async function killAxon(
  miner: TestMiner,
  plan: KillPlan & { readonly traffic: Traffic },
): Promise<{ killedAtMs: readonly number[]; replaysAnswered: number; longestOutageMs: number }> {
  const { random, stopAtMs, traffic } = plan;
  let life = plan.first;
  const found = { killedAtMs: [] as number[], replaysAnswered: 0, longestOutageMs: 0 };
  for (;;) {
    await systemClock.sleep(waitMs(random, KILL_EVERY_MS.serve, stopAtMs));
    if (systemClock.nowMs() >= stopAtMs) return found;
    // Every other kill strikes as soon as an answer has come: what was not recorded by then never will be.
    if (found.killedAtMs.length % 2 === 1) {
      const answered = new Promise<void>((resolve) => (traffic.onAnswer = resolve));
      await Promise.race([answered, systemClock.sleep(Math.max(0, stopAtMs - systemClock.nowMs()))]);
    }
    const replayed = traffic.lastAnswered;
    life.kill("SIGKILL");
    const killedAtMs = systemClock.nowMs();
    await life.exited;
    found.killedAtMs.push(killedAtMs);
    life = miner.start("serve");
    while (traffic.lastAnswerAtMs <= killedAtMs && systemClock.nowMs() < stopAtMs) await systemClock.sleep(20);
    found.longestOutageMs = Math.max(found.longestOutageMs, systemClock.nowMs() - killedAtMs);
    if (replayed !== null && (await send(miner, replayed))?.status === 200) found.replaysAnswered += 1;
  }
}

async function sendPrompts(miner: TestMiner, traffic: Traffic, stopAtMs: number): Promise<void> {
  const open = new Set<Promise<void>>();
  while (systemClock.nowMs() < stopAtMs) {
    const asked = askOnce(miner, traffic).finally(() => open.delete(asked));
    open.add(asked);
    await systemClock.sleep(PROMPT_EVERY_MS);
  }
  await Promise.all(open);
}

/** Every tenth prompt is a full one; the others are small, so that many of them meet a kill. */
async function askOnce(miner: TestMiner, traffic: Traffic): Promise<void> {
  const index = traffic.prompts++;
  const isDay = index % 2 === 0;
  const simulationInput = {
    asset: ASSET_SYMBOLS[index % ASSET_SYMBOLS.length]!,
    start_time: new Date(Math.ceil(systemClock.nowMs() / 60_000 + 1) * 60_000).toISOString(),
    time_increment: isDay ? 300 : 60,
    time_length: isDay ? 86_400 : 3600,
    num_simulations: index % 10 === 0 ? 1000 : 50,
  };
  const uuid = randomUUID();
  const request = signedRequest({
    keypair: miner.validator,
    receiverHotkey: miner.axon.hotkey,
    synapse: SIMULATION_SYNAPSE,
    body: { [INPUT_FIELD]: simulationInput, [OUTPUT_FIELD]: null },
    timeoutSeconds: TIMEOUT_SECONDS,
    nonce: millisToNanos(systemClock.nowMs()),
    uuid,
  });
  const reply = await send(miner, request);
  if (reply === null) traffic.unanswered += 1;
  else if (reply.status !== 200) traffic.refused.push(`${reply.status}: ${reply.body.slice(0, 200)}`);
  else {
    traffic.onAnswer();
    traffic.acknowledged.set(uuid, { atMs: systemClock.nowMs(), digest: outputDigest(reply.body) });
    [traffic.lastAnswered, traffic.lastAnswerAtMs] = [request, systemClock.nowMs()];
    const parsed = parseSimulation(simulationInput, hotkey(miner.axon.hotkey));
    assert.ok(parsed.ok);
    const output = (JSON.parse(reply.body) as Record<string, unknown>)[OUTPUT_FIELD];
    const verdict = validateAnswer(output, parsed.request);
    if (verdict !== CORRECT) traffic.invalid.push(verdict);
  }
}

/** Of the text as it came: `100000.0` and `100000` are one number and two texts. */
function outputDigest(body: string): string {
  const from = body.indexOf("[", body.indexOf(`"${OUTPUT_FIELD}"`));
  const output = body.slice(from, body.indexOf("]]", from) + 2);
  return createHash("sha256").update(output).digest("hex");
}

/** Null when the axon died over it or was not there. */
async function send(miner: TestMiner, request: SignedRequest): Promise<{ status: number; body: string } | null> {
  const { method, headers, body } = request;
  const signal = AbortSignal.timeout(TIMEOUT_SECONDS * 1000);
  try {
    const response = await fetch(`${miner.axon.url}${request.path}`, { method, headers, body, signal });
    return { status: response.status, body: await response.text() };
  } catch {
    return null;
  }
}

async function judgeRecordings(
  miner: TestMiner,
  acknowledged: ReadonlyMap<string, Acknowledged>,
  killedAtMs: readonly number[],
): Promise<Pick<KillRun, "recorded" | "recordedInvalid" | "lost" | "lostLongBefore" | "damage">> {
  const found = new Set<string>();
  const damage: string[] = [];
  let recordedInvalid = 0;
  for await (const entry of readRecordings(join(miner.stateDir, "recordings", miner.axon.hotkey))) {
    if (entry.kind === "damage") {
      if (entry.code !== "torn_tail") damage.push(`${entry.code}: ${entry.message}`);
      continue;
    }
    const { headers, status, evidence } = entry.recording.exchange;
    if (status !== 200) continue;
    const uuid = headers["bt_header_dendrite_uuid"] ?? "";
    found.add(uuid);
    const parsed = simulationEvidence.safeParse(evidence);
    const received = acknowledged.get(uuid);
    // What came was judged when it came; what nobody received is simulated again.
    const isValid =
      parsed.success && (received ? parsed.data.digest === received.digest : await isReproduced(parsed.data));
    if (!isValid) recordedInvalid += 1;
  }
  const lostAtMs = [...acknowledged].filter(([uuid]) => !found.has(uuid)).map(([, { atMs }]) => atMs);
  const isAtKill = (atMs: number): boolean => killedAtMs.some((killMs) => killMs >= atMs && killMs - atMs < AT_KILL_MS);
  const lostLongBefore = lostAtMs.filter((atMs) => !isAtKill(atMs)).length;
  return { recorded: found.size, recordedInvalid, lost: lostAtMs.length, lostLongBefore, damage };
}

/** The recorded evidence gives the recorded bytes again, and a validator calls them CORRECT. */
async function isReproduced({ task, engine, digest }: SimulationEvidence): Promise<boolean> {
  const inputs = task.inputs.filter((input) => input.engine === engine);
  const again = await runForecast({ request: task.request, inputs });
  const output: unknown = JSON.parse(Buffer.from(again.simulationOutput).toString());
  return again.digest === digest && validateAnswer(output, task.request) === CORRECT;
}

function badStates(miner: TestMiner): string[] {
  const store = new VolatilityStore(miner.stateDir);
  const unloaded = ASSET_SYMBOLS.filter((asset) => store.load(asset).status !== "ok");
  const aside = readdirSync(join(miner.stateDir, "volatility")).filter((name) => name.includes("corrupt"));
  return [...unloaded, ...aside];
}
