/**
 * Validators of a benchmark, in a process of their own: asks what the plan on standard input says, when it says it, and
 * prints one JSON line per prompt. Answers come by gzip; one in `judgeEvery` is unpacked and judged by the subnet's rules.
 */
import { randomUUID } from "node:crypto";
import { Agent, request as httpRequest } from "node:http";
import { json } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { signedRequest } from "../../src/bittensor/dendrite.ts";
import { parseSimulation } from "../../src/subnets/synth/simulation.ts";
import { validateAnswer } from "../../src/subnets/synth/validate-answer.ts";
import { hotkey } from "../../src/units.ts";
import { keypairFromSeed } from "../../src/wallet/keypair.ts";
import { nextNonce } from "../support/dendrite.ts";

export interface PlannedPrompt {
  /** After the start of the run. */
  readonly atMs: number;
  readonly validator: number;
  readonly asset: string;
  readonly horizonSeconds: number;
  readonly timeoutSeconds: number;
}

export interface LoadPlan {
  readonly port: number;
  readonly receiver: string;
  /** Hex seeds. */
  readonly validators: readonly string[];
  readonly prompts: readonly PlannedPrompt[];
  readonly judgeEvery: number;
}

export interface PromptResult {
  readonly validator: number;
  readonly horizonSeconds: number;
  /** 0: no response. */
  readonly status: number;
  /** From the plan's moment on. */
  readonly ms: number;
  /** Of these, waiting for one of the client's own connections. */
  readonly waitedMs: number;
  readonly bytes: number;
  /** Null where nothing was judged. */
  readonly verdict: string | null;
  /** Of the end. */
  readonly endMs: number;
}

/** Below the axon's bound per address; four validators together hold more than its queue does. */
const CONNECTIONS = 60;
const NUM_SIMULATIONS = 1000;

function ask(plan: LoadPlan, prompt: PlannedPrompt, context: { agent: Agent; judged: boolean }): Promise<PromptResult> {
  const { validator, horizonSeconds, timeoutSeconds } = prompt;
  const simulationInput = {
    asset: prompt.asset,
    start_time: new Date(Math.ceil(Date.now() / 60_000) * 60_000 + 60_000).toISOString(),
    time_increment: horizonSeconds === 3600 ? 60 : 300,
    time_length: horizonSeconds,
    num_simulations: NUM_SIMULATIONS,
  };
  const { path, headers, body } = signedRequest({
    keypair: keypairs[validator]!,
    receiverHotkey: plan.receiver,
    synapse: "Simulation",
    body: { simulation_input: simulationInput, simulation_output: null },
    timeoutSeconds,
    nonce: nextNonce(),
    uuid: randomUUID(),
  });
  const startedMs = performance.now();
  let waitedMs = 0;
  return new Promise((resolve) => {
    const end = (status: number, chunks: readonly Buffer[]): void => {
      const ms = performance.now() - startedMs;
      const bytes = Buffer.concat(chunks);
      const verdict = context.judged && status === 200 ? judge(bytes, simulationInput, plan.receiver) : null;
      resolve({ validator, horizonSeconds, status, ms, waitedMs, bytes: bytes.length, verdict, endMs: Date.now() });
    };
    const options = {
      host: "127.0.0.1",
      port: plan.port,
      method: "POST",
      path,
      agent: context.agent,
      localAddress: `127.0.1.${validator + 1}`, // every validator is an address of its own
      headers: { ...headers, "content-length": Buffer.byteLength(body), "accept-encoding": "gzip" },
    };
    const outgoing = httpRequest(options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        end(response.statusCode ?? 0, chunks);
      });
    });
    outgoing.once("socket", () => {
      waitedMs = performance.now() - startedMs;
    });
    outgoing.setTimeout(timeoutSeconds * 1000, () => outgoing.destroy());
    outgoing.on("error", () => {
      end(0, []);
    });
    outgoing.end(body);
  });
}

function judge(bytes: Buffer, simulationInput: unknown, receiver: string): string {
  const parsed = parseSimulation(simulationInput, hotkey(receiver));
  if (!parsed.ok) return parsed.message;
  const answer = JSON.parse(gunzipSync(bytes).toString()) as { simulation_output: unknown };
  return validateAnswer(answer.simulation_output, parsed.request);
}

const plan = (await json(process.stdin)) as LoadPlan;
const keypairs = plan.validators.map((seed) => keypairFromSeed(Buffer.from(seed, "hex")));
const agents = plan.validators.map(() => new Agent({ keepAlive: true, maxSockets: CONNECTIONS }));
const startMs = performance.now();
const asked = plan.prompts.map(async (prompt, index) => {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, prompt.atMs - (performance.now() - startMs))));
  const context = { agent: agents[prompt.validator]!, judged: index % plan.judgeEvery === 0 };
  process.stdout.write(`${JSON.stringify(await ask(plan, prompt, context))}\n`);
});
await Promise.all(asked);
for (const agent of agents) agent.destroy();
