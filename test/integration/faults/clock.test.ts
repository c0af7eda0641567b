import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { askAxon, exchange, nextNonce, signedCall } from "../../support/dendrite.ts";
import { gatedService, openAxon, prompt } from "../../support/dendrite-axon.ts";
import { FaultedMiner } from "../../support/faulted-miner.ts";
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

    it(`(${step}) answers what waits for its turn at that moment, and times it truly`, async (t) => {
      const { service, started, finish } = gatedService();
      const { ask, axon, exchanges, shiftClock } = await openAxon(t, { services: [service], threads: 1 });
      const running = askAxon({ ...ask, ...prompt("BTC"), timeoutSeconds: 50 });
      await eventually(() => started.includes("BTC"), "the run");
      const waiting = askAxon({ ...ask, ...prompt("ETH"), timeoutSeconds: 50 });
      await eventually(() => axon.stats().queued === 1, "the wait");
      shiftClock(step);
      finish.get("BTC")!();
      assert.equal((await running).status, 200);
      await eventually(() => started.includes("ETH"), "its turn");
      finish.get("ETH")!();
      assert.equal((await waiting).status, 200);
      for (const { timings } of exchanges) assert.ok(timings.totalMs >= 0 && timings.totalMs < 50_000);
    });
  }

  it("forward: misses nobody, of known and new senders, short and long timeouts", async (t) => {
    const { ask, shiftClock } = await openAxon(t);
    const uuid = randomUUID();
    assert.equal((await askAxon({ ...ask, uuid })).status, 200);
    shiftClock(STEP_SECONDS);
    assert.equal((await askAxon({ ...ask, uuid })).status, 200, "a validator keeps its uuid");
    assert.equal(
      (await askAxon({ ...ask, timeoutSeconds: 50 })).status,
      200,
      "at first sight, by the time since the start",
    );
  });

  it("forward by more than two minutes: goes on with senders that it knows, and with all when the clock is right again", async (t) => {
    const { ask, shiftClock } = await openAxon(t);
    const uuid = randomUUID();
    assert.equal((await askAxon({ ...ask, uuid })).status, 200);
    shiftClock(2 * STEP_SECONDS);
    assert.equal((await askAxon({ ...ask, uuid })).status, 200, "a validator keeps its uuid");
    const stranger = await askAxon({ ...ask, timeoutSeconds: 50 });
    assert.equal(stranger.status, 401, "at first sight the nonce is 180 s old, and only 54 s are allowed");
    assert.equal((await askAxon({ ...ask, timeoutSeconds: 200 })).status, 200, "within its own timeout");
    shiftClock(-2 * STEP_SECONDS);
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
