import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { askAxon, exchange, nextNonce, signedCall } from "../../support/dendrite.ts";
import { gatedService, openAxon, prompt } from "../../support/dendrite-axon.ts";
import { FaultedMiner } from "../../support/faulted-miner.ts";
import { eventually } from "../../support/stepped-clock.ts";
import { tempFolder } from "../../support/temp-folder.ts";
import { AUGUST } from "../../support/volatility-fixture.ts";

const STEP_SECONDS = 90;
const DAY = 86_400;

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
    assert.ok(isDeepStrictEqual(stepped.state, steady.state));
  });
});

/** A miner whose updater has learnt for four days more than a warm-up gives. */
async function learnedMiner(t: TestContext): Promise<FaultedMiner> {
  const miner = new FaultedMiner(await tempFolder(t), AUGUST + 2);
  for (let day = 0; day <= 4; day += 1) {
    await miner.update();
    miner.clock.advance(DAY);
  }
  await miner.update();
  return miner;
}

function bytesOf(miner: FaultedMiner): Buffer {
  return readFileSync(miner.store.path("BTC"));
}

function setAside(miner: FaultedMiner): string[] {
  const folder = dirname(miner.store.path("BTC"));
  const names = readdirSync(folder).filter((name) => name.startsWith("BTC.msgpack.ahead-"));
  return names.map((name) => join(folder, name));
}

describe("an updater whose clock is set far back", () => {
  for (const back of [1200, DAY, 30 * DAY]) {
    it(`(${back} s) keeps what it learnt, says why it waits, and goes on as if nothing had been`, async (t) => {
      const [miner, sound] = [await learnedMiner(t), await learnedMiner(t)];
      const before = bytesOf(miner);
      miner.clock.advance(-back);
      await miner.updateFor(5);
      assert.ok(bytesOf(miner).equals(before)); // the difference of two states would take the machine's memory to print
      const { outcome, lastError, consecutiveFailures } = miner.status();
      assert.deepEqual([outcome, lastError?.code, consecutiveFailures], ["failed", "updater/clock_behind", 5]);
      assert.equal((await miner.answer()).evidence.engine, "ewma");
      miner.clock.advance(back);
      await miner.updateFor(1);
      await sound.updateFor(6);
      assert.ok(isDeepStrictEqual(miner.state(), sound.state()));
      assert.equal(miner.status().outcome, "advanced");
    });
  }

  it("counts the hour by the steady clock, anew after every moment with a right clock", async (t) => {
    const miner = await learnedMiner(t);
    const { warmFrom } = miner.state();
    for (let round = 0; round < 3; round += 1) {
      miner.clock.advance(-DAY);
      await miner.update();
      miner.steady.advance(3540);
      await miner.update();
      assert.equal(miner.status().lastError?.code, "updater/clock_behind");
      miner.clock.advance(DAY + 60);
      await miner.update();
      assert.equal(miner.status().outcome, "advanced");
    }
    assert.equal(miner.state().warmFrom, warmFrom);
    assert.deepEqual(setAside(miner), []);
  });

  it("for more than an hour: rebuilds, but sets the state aside, and keeps the rhythm of the week", async (t) => {
    const miner = await learnedMiner(t);
    const [before, bytes] = [miner.state(), bytesOf(miner)];
    miner.clock.advance(-DAY);
    await miner.update();
    miner.steady.advance(3600);
    miner.feed.scripts.set("BTC", { fails: true });
    await miner.update();
    assert.ok(bytesOf(miner).equals(bytes), "nothing goes before there is something better");
    miner.feed.scripts.clear();
    await miner.update();
    assert.match(miner.status().lastRestart?.why ?? "", /the clock stayed behind the state \(1440 min\)/);
    assert.equal(miner.state().warmFrom, AUGUST + DAY);
    assert.ok(isDeepStrictEqual(miner.state().seasonality, before.seasonality), "and counts no bar twice");
    assert.deepEqual(
      setAside(miner).map((path) => readFileSync(path).equals(bytes)),
      [true],
    );
    assert.equal((await miner.answer()).evidence.engine, "ewma");
    miner.clock.advance(DAY);
    await miner.updateFor(5);
    const after = miner.state();
    assert.deepEqual([after.warmFrom, miner.status().outcome], [AUGUST + DAY, "advanced"]);
    assert.equal(after.seasonality.until, AUGUST + 5 * DAY + 300);
    assert.ok(before.seasonality.weekWeight.every((weight, bin) => after.seasonality.weekWeight[bin]! >= weight));
  });

  it("into another time, such as a rehearsal's: has fresh volatility after an hour, and a rhythm of its own", async (t) => {
    const miner = await learnedMiner(t);
    miner.clock.advance(-30 * DAY);
    await miner.updateFor(61);
    assert.equal(miner.status().outcome, "advanced");
    const { candles, seasonality } = miner.state();
    assert.equal(candles.openTime.at(-1), AUGUST - 25 * DAY + 3600);
    assert.equal(seasonality.until, AUGUST - 25 * DAY + 3660);
    await miner.updateFor(1);
    assert.equal(setAside(miner).length, 1);
  });
});
