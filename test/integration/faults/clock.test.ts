import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Clock } from "../../../src/clock.ts";
import { createSimulationPool } from "../../../src/engines/pool.ts";
import { systemClock } from "../../../src/clock.ts";
import { unixMillis } from "../../../src/units.ts";
import { askAxon, exchange, nextNonce, signedCall } from "../../support/dendrite.ts";
import { gatedService, openAxon, prompt } from "../../support/dendrite-axon.ts";
import { FaultedMiner } from "../../support/faulted-miner.ts";
import { ewmaInput, forecastRequest } from "../../support/forecast-inputs.ts";
import { eventually } from "../../support/stepped-clock.ts";
import { tempFolder } from "../../support/temp-folder.ts";
import { AUGUST } from "../../support/volatility-fixture.ts";

const STEP_SECONDS = 90;

describe("an axon whose clock steps 90 s", () => {
  for (const step of [STEP_SECONDS, -STEP_SECONDS]) {
    it(`(${step}) answers what runs at that moment`, async (t) => {
      const { service, started, finish } = gatedService();
      const { ask, shiftClock } = await openAxon(t, { services: [service] });
      const asked = askAxon({ ...ask, ...prompt("BTC") });
      await eventually(() => started.includes("BTC"), "the run");
      shiftClock(step);
      finish.get("BTC")!();
      assert.equal((await asked).status, 200);
    });
  }

  it("forward: goes on with senders that it knows, and with all when the clock is right again", async (t) => {
    const { ask, shiftClock } = await openAxon(t);
    const uuid = randomUUID();
    assert.equal((await askAxon({ ...ask, uuid })).status, 200);
    shiftClock(STEP_SECONDS);
    assert.equal((await askAxon({ ...ask, uuid })).status, 200, "a validator keeps its uuid");
    const stranger = await askAxon({ ...ask, timeoutSeconds: 50 });
    assert.equal(stranger.status, 401, "at first sight the nonce is 90 s old, and only 54 s are allowed");
    assert.equal((await askAxon({ ...ask, timeoutSeconds: 110 })).status, 200, "within the timeout of a 24h prompt");
    shiftClock(-STEP_SECONDS);
    assert.equal((await askAxon({ ...ask, uuid })).status, 200);
    assert.equal((await askAxon(ask)).status, 200);
  });

  it("back: refuses nonces from its future by name, and answers all when the clock is right again", async (t) => {
    const { ask, shiftClock } = await openAxon(t);
    const uuid = randomUUID();
    assert.equal((await askAxon({ ...ask, uuid })).status, 200);
    shiftClock(-STEP_SECONDS);
    const refused = await askAxon({ ...ask, uuid });
    assert.deepEqual([refused.status, /too far in the future/.test(refused.message)], [401, true]);
    shiftClock(STEP_SECONDS);
    assert.equal((await askAxon({ ...ask, uuid })).status, 200);
  });

  it("back, with axon.nonce_future_seconds above the step: misses nothing", async (t) => {
    const { ask, shiftClock } = await openAxon(t, { config: { nonceFutureSeconds: 120 } });
    shiftClock(-STEP_SECONDS);
    assert.equal((await askAxon(ask)).status, 200);
  });

  it("to and fro: never takes a nonce twice", async (t) => {
    const { ask, shiftClock } = await openAxon(t);
    const calls = Array.from({ length: 4 }, () => signedCall({ ...ask, uuid: randomUUID(), nonce: nextNonce() }));
    for (const call of calls) assert.equal((await exchange(call)).status, 200);
    for (const step of [STEP_SECONDS, -2 * STEP_SECONDS, STEP_SECONDS]) {
      shiftClock(step);
      for (const call of calls) assert.equal((await exchange(call)).status, 401);
    }
  });
});

describe("an updater whose clock steps 90 s", () => {
  it("has the state of one whose clock did not, whatever the order of the steps", async (t) => {
    const [miner, sound] = [
      new FaultedMiner(await tempFolder(t), AUGUST + 2),
      new FaultedMiner(await tempFolder(t), AUGUST + 2),
    ];
    for (const one of [miner, sound]) await one.updateFor(2);
    for (const step of [-STEP_SECONDS, STEP_SECONDS, STEP_SECONDS, -STEP_SECONDS]) {
      miner.clock.advance(step);
      await miner.update();
      await miner.answer();
      assert.notEqual(miner.status().outcome, "failed");
      assert.equal(miner.status().lastRestart?.why, "there was no state", "no warm-up begins anew");
    }
    // The states may meet only where both clocks have gone past the furthest step.
    await miner.updateFor(2);
    await sound.updateFor(2);
    const [stepped, steady] = [miner.store.load("BTC"), sound.store.load("BTC")];
    assert.ok(stepped.status === "ok" && steady.status === "ok");
    assert.deepEqual(stepped.state, steady.state);
  });
});

describe("a simulation pool whose clock steps 90 s forward", () => {
  it("after its first attempt failed: the baseline still has the time that is truly left", async () => {
    const workerFile = fileURLToPath(new URL("../../support/faulty-simulation-worker.ts", import.meta.url));
    let reads = 0;
    const clock: Clock = {
      ...systemClock,
      nowMs: () => unixMillis(systemClock.nowMs() + (reads++ === 0 ? 0 : STEP_SECONDS * 1000)),
    };
    const pool = await createSimulationPool({ threads: 1, simulationTimeoutMs: 10_000, workerFile, clock });
    try {
      const result = await pool.simulate(
        {
          request: forecastRequest({ seed: "throw", numSimulations: 20 }),
          inputs: [ewmaInput(), { engine: "baseline", anchorPrice: 100_000, sigmaPerHour: 0.005 }],
        },
        { deadlineMs: unixMillis(systemClock.nowMs() + 50_000) },
      );
      assert.equal(result.engine, "baseline");
    } finally {
      await pool.close();
    }
  });
});
