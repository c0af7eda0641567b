import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { describe, it } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { askAxon, type Prompt } from "../../../src/demo/validator.ts";
import { Random } from "../../../src/math/random.ts";
import { CORRECT } from "../../../src/subnets/synth/validate-answer.ts";
import { createTestMiner, type TestMiner } from "../../support/miner.ts";
import type { Faults } from "../../support/subtensor/api.ts";
import { startSubtensorDouble } from "../../support/subtensor/double.ts";
import { subtensorDoubleSkip } from "../../support/subtensor/skip.ts";

const NETUID = 247;
const FLAPS = 16;
const PATIENCE_MS = 60_000;
const FAULTS: readonly Faults[] = [
  { refuseConnections: true },
  { halfOpen: true },
  { delayMs: 400 },
  { metagraph: "empty" },
  { metagraph: "truncated" },
  { metagraph: "garbage" },
  { head: "frozen" },
  { head: "backwards" },
];

interface ChainHealth {
  readonly metagraph: { readonly validators: number };
  readonly chain: { readonly refreshes: number; readonly registered: boolean | null; readonly connected: boolean };
}

async function health(miner: TestMiner): Promise<ChainHealth | null> {
  try {
    return (await (await fetch(`${miner.healthUrl}/healthz`)).json()) as ChainHealth;
  } catch {
    return null; // not up yet
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.nowMs() + PATIENCE_MS;
  while (!(await condition())) {
    assert.ok(systemClock.nowMs() < deadlineMs, `never: ${condition.toString()}`);
    await systemClock.sleep(50);
  }
}

async function ask(miner: TestMiner): Promise<string> {
  const startTimeSeconds = Math.ceil(Date.now() / 60_000) * 60 + 60;
  const size = { stepSeconds: 60, horizonSeconds: 3600, numSimulations: 50 };
  const prompt: Prompt = { asset: "BTC", startTimeSeconds, ...size };
  return (await askAxon(miner.axon, prompt, { keypair: miner.validator, timeoutSeconds: 20 })).verdict;
}

describe("a chain that flaps", { skip: subtensorDoubleSkip, timeout: 240_000 }, () => {
  it(`${FLAPS} times, in eight ways: every prompt is answered, and no connection is left over`, async (t) => {
    const miner = await createTestMiner();
    t.after(() => miner.close());
    const stake = 100_000;
    const neurons = [
      { hotkey: miner.axon.hotkey },
      { hotkey: miner.validator.address, validatorPermit: true, alphaStake: stake },
    ];
    const chain = await startSubtensorDouble({ subnets: [{ netuid: NETUID, neurons }] });
    t.after(() => chain.close());
    const mode = ["--metagraph.mode", "chain", "--metagraph.file", "none", "--subtensor.network", chain.url];
    const pace = ["--metagraph.refresh_seconds", "0.5", "--subtensor.timeout_ms", "5000"];
    const own = ["--axon.external_ip", "203.0.113.7", "--netuid", String(NETUID)];
    const serve = miner.start("serve", [...mode, ...pace, ...own]);
    const refreshes = async (): Promise<number> => (await health(miner))?.chain.refreshes ?? 0;
    await until(async () => (await refreshes()) >= 2);
    const descriptors = readdirSync(`/proc/${serve.pid}/fd`).length;
    const random = Random.fromSeed("flaps");
    for (let flap = 0; flap < FLAPS; flap += 1) {
      const fault = FAULTS[flap % FAULTS.length]!;
      chain.setFaults(fault);
      if (random.uniform() < 0.5) chain.cutConnections();
      // The length of a flap is what is tested: shorter and longer than a refresh and its timeout.
      await systemClock.sleep(100 + 1400 * random.uniform());
      assert.equal(await ask(miner), CORRECT, `during ${JSON.stringify(fault)}`);
      chain.setFaults({});
      await systemClock.sleep(200 * random.uniform());
      assert.equal(await ask(miner), CORRECT, `after ${JSON.stringify(fault)}`);
    }
    const before = await refreshes();
    await until(async () => (await refreshes()) >= before + 3);
    const found = await health(miner);
    assert.deepEqual(
      [found?.chain.connected, found?.chain.registered, found?.metagraph.validators],
      [true, true, 1],
      JSON.stringify(found),
    );
    await until(() => Promise.resolve(readdirSync(`/proc/${serve.pid}/fd`).length <= descriptors + 4));
  });
});
