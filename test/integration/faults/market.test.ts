import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { isDeepStrictEqual } from "node:util";
import type { Candle } from "../../../src/market/candle.ts";
import { newestCandle } from "../../../src/volatility/state.ts";
import { FaultedMiner } from "../../support/faulted-miner.ts";
import { scriptedCandle } from "../../support/scripted-feed.ts";
import { tempFolder } from "../../support/temp-folder.ts";
import { AUGUST } from "../../support/volatility-fixture.ts";

/** Every `answer()` fails its test unless a validator would call the answer CORRECT. */

async function warmMiner(t: TestContext): Promise<FaultedMiner> {
  const miner = new FaultedMiner(await tempFolder(t), AUGUST + 2);
  await miner.update();
  return miner;
}

function isWithin(value: number, expected: number, factor: number): boolean {
  return value < expected * factor && value > expected / factor;
}

describe("every feed dead for six hours", () => {
  it("the EWMA answers from an ageing state, the updater says why, and nothing is missing afterwards", async (t) => {
    const [miner, sound] = [await warmMiner(t), await warmMiner(t)];
    const before = await miner.answer();
    miner.feed.scripts.set("BTC", { fails: true });
    for (let hour = 1; hour <= 6; hour += 1) {
      await miner.updateFor(6);
      miner.clock.advance(3240);
      const { evidence, paths, horizonSigma } = await miner.answer();
      assert.equal(evidence.engine, "ewma");
      assert.equal(evidence.anchorFailure?.code, "feed/all_sources_failed");
      assert.equal(evidence.state.ageSeconds, hour * 3600 + 2);
      assert.equal(evidence.anchor.price, before.evidence.anchor.price);
      assert.ok(isWithin(paths[0]![0]!, before.paths[0]![0]!, 1.001));
      assert.ok(isWithin(horizonSigma, before.horizonSigma, 1.5), `${horizonSigma}, was ${before.horizonSigma}`);
      await miner.answer({ horizonSeconds: 3600 });
    }
    const { outcome, consecutiveFailures, lastError } = miner.status();
    assert.deepEqual([outcome, consecutiveFailures, lastError?.code], ["failed", 36, "feed/all_sources_failed"]);
    miner.feed.scripts.clear();
    await miner.updateFor(1);
    sound.clock.advance(6 * 3600 + 60);
    await sound.update();
    assert.ok(isDeepStrictEqual(miner.state(), sound.state()));
  });
});

describe("an updater that is down for a day", () => {
  it("leaves the EWMA until the state is a day old, then the baseline; back again, it catches up", async (t) => {
    const miner = await warmMiner(t);
    miner.clock.advance(23 * 3600);
    assert.equal((await miner.answer()).evidence.engine, "ewma");
    miner.clock.advance(2 * 3600);
    const { evidence } = await miner.answer();
    assert.deepEqual([evidence.engine, evidence.state.status], ["baseline", "stale"]);
    assert.equal(evidence.handOvers.find(({ engine }) => engine === "ewma")?.code, "state/stale");
    assert.equal(evidence.anchor.source, "last_close");
    await miner.updateFor(1);
    const after = await miner.answer();
    assert.deepEqual([after.evidence.engine, after.evidence.state.status], ["ewma", "ok"]);
    assert.equal(miner.state().gapCount, 0, "the day was fetched, not skipped");
    assert.equal(miner.state().warmFrom, AUGUST - 3 * 86_400, "and the history kept");
  });
});

describe("a frozen feed", () => {
  it("is named after an hour, and the paths do not freeze with it", async (t) => {
    const miner = await warmMiner(t);
    const before = { day: await miner.answer(), hour: await miner.answer({ horizonSeconds: 3600 }) };
    const { close } = newestCandle(miner.state())!;
    const freeze = (c: Candle): Candle => {
      return c.openTime < AUGUST ? c : { ...c, open: close, high: close, low: close, close, volume: 0 };
    };
    miner.feed.scripts.set("BTC", { edit: (candles) => candles.map(freeze) });
    miner.livePrice = close;
    for (const minutes of [10, 50, 240]) {
      miner.clock.advance(60 * (minutes - 1));
      await miner.updateFor(1);
      const [day, hour] = [await miner.answer(), await miner.answer({ horizonSeconds: 3600 })];
      assert.equal(day.evidence.engine, "ewma");
      assert.ok(isWithin(day.horizonSigma, before.day.horizonSigma, 2), `24h: ${day.horizonSigma}`);
      assert.ok(isWithin(hour.horizonSigma, before.hour.horizonSigma, 4), `1h: ${hour.horizonSigma}`);
    }
    assert.match(miner.status().reason ?? "", /the feed looks frozen/);
    miner.feed.scripts.clear();
    await miner.updateFor(1);
    assert.equal(miner.status().outcome, "advanced");
    assert.equal(miner.status().reason, null);
  });
});

describe("a wild tick", () => {
  for (const factor of [0.01, 0.8, 1.25, 10]) {
    it(`of ${factor} times the price: neither the anchor nor the state believes it`, async (t) => {
      const [miner, sound] = [await warmMiner(t), await warmMiner(t)];
      const wildAt = AUGUST + 120;
      const spoil = (c: Candle): Candle => {
        if (c.openTime !== wildAt) return c;
        const close = c.close * factor;
        return { ...c, close, high: Math.max(c.high, close), low: Math.min(c.low, close) };
      };
      const before = await miner.answer();
      miner.feed.scripts.set("BTC", { edit: (candles) => candles.map(spoil) });
      for (let minute = 0; minute < 5; minute += 1) {
        await miner.updateFor(1);
        const { evidence, paths, horizonSigma } = await miner.answer();
        assert.equal(evidence.engine, "ewma");
        assert.ok(isWithin(paths[0]![0]!, before.paths[0]![0]!, 1.02), `minute ${minute}: ${paths[0]![0]!}`);
        assert.ok(isWithin(horizonSigma, before.horizonSigma, 1.2));
        if (minute === 2) assert.match(miner.status().reason ?? "", /waits for the candles after it/);
        if (minute === 3) assert.match(miner.status().reason ?? "", /1 wild candle/);
      }
      const without = (candles: Candle[]): Candle[] => candles.filter(({ openTime }) => openTime !== wildAt);
      sound.feed.scripts.set("BTC", { edit: without });
      await sound.updateFor(5);
      assert.ok(isDeepStrictEqual(miner.state(), sound.state()));
    });
  }

  it("that stays is a price level: the history before it goes, and the EWMA comes back as it grows", async (t) => {
    const miner = await warmMiner(t);
    const split = (c: Candle): Candle => {
      if (c.openTime < AUGUST) return c;
      return { ...c, open: c.open / 10, high: c.high / 10, low: c.low / 10, close: c.close / 10 };
    };
    miner.feed.scripts.set("BTC", { edit: (candles) => candles.map(split) });
    await miner.updateFor(3);
    assert.match(miner.status().lastRestart?.why ?? "", /price level changed/);
    assert.equal(miner.state().warmFrom, AUGUST);
    const { paths } = await miner.answer();
    assert.ok(isWithin(paths[0]![0]!, scriptedCandle("BTC", AUGUST + 60).close / 10, 1.02));
  });
});
