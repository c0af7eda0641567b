import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadRecalibration } from "../../../src/store/recalibration-store.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../../../src/units.ts";
import { MARKET_START, SimulatedMiner, startsOfDay } from "../../support/simulated-miner.ts";
import { tempFolder } from "../../support/temp-folder.ts";

describe("a miner that scores itself", () => {
  it("keeps its factors when the feed stands still for twelve hours", async (t) => {
    const frozenSpan = { from: MARKET_START + 30 * SECONDS_PER_HOUR, to: MARKET_START + 42 * SECONDS_PER_HOUR };
    const learn = async (frozen: boolean): Promise<readonly number[]> => {
      const miner = new SimulatedMiner(await tempFolder(t), { sigmaRatio: 1, days: 4, seed: "frozen" });
      await miner.answer([...startsOfDay(0, SECONDS_PER_HOUR), ...startsOfDay(1, SECONDS_PER_HOUR)], SECONDS_PER_HOUR);
      if (frozen) miner.freeze(frozenSpan);
      await miner.updateTo(MARKET_START + 3 * SECONDS_PER_DAY);
      const { scored, skipped } = await miner.score();
      assert.deepEqual([scored, skipped.get("no_prices")], frozen ? [36, 12] : [48, undefined]);
      return miner.factorsOf("1h").map(({ factor }) => factor);
    };
    const [moving, frozen] = [await learn(false), await learn(true)];
    assert.equal(frozen.length, moving.length);
    for (const [i, factor] of frozen.entries()) assert.ok(Math.abs(factor / moving[i]! - 1) < 0.01, `${i}: ${factor}`);
  });

  it("counts unchanged prices where the model expected them", async (t) => {
    const miner = new SimulatedMiner(await tempFolder(t), { sigmaRatio: 1, days: 2, seed: "zeros" });
    miner.zeroShare = 0.5;
    await miner.answer([MARKET_START + 7200], SECONDS_PER_HOUR, 120);
    miner.freeze({ from: MARKET_START + 3600, to: MARKET_START + 6 * SECONDS_PER_HOUR });
    await miner.updateTo(MARKET_START + SECONDS_PER_DAY);
    const { counted, skipped } = await miner.score();
    assert.deepEqual([counted, [...skipped]], [1, []]);
  });

  it("learns anew for another calibration, and knows the former one again within ten days", async (t) => {
    const miner = new SimulatedMiner(await tempFolder(t), { sigmaRatio: 0.9, days: 16, seed: "calibrations" });
    const live = async (calibration: string, ...days: readonly number[]): Promise<void> => {
      miner.calibration = calibration;
      for (const day of days) {
        await miner.answer(startsOfDay(day, SECONDS_PER_HOUR), SECONDS_PER_HOUR, 120);
        await miner.updateTo(MARKET_START + (day + 1) * SECONDS_PER_DAY + SECONDS_PER_HOUR);
        await miner.score();
      }
    };
    const kept = (): unknown[] => {
      const loaded = loadRecalibration(miner.stateDir);
      assert.ok(loaded.status === "ok");
      return loaded.state.series.map(({ calibration, prompts }) => [calibration, prompts]).sort();
    };
    await live("first", 0, 1, 2);
    assert.ok(miner.factorsOf("1h").length > 0);
    miner.calibration = "second";
    assert.deepEqual(miner.factorsOf("1h"), []);
    assert.match(miner.reader.lookUp("BTC", "1h", "second").reason!, /of another calibration of ewma than second/);
    await live("second", 3);
    assert.deepEqual(kept(), [
      ["first", 72],
      ["second", 24],
    ]);
    miner.calibration = "first";
    assert.ok(miner.factorsOf("1h").length > 0, "taken back, it is known");
    await live("second", 8, 12);
    assert.deepEqual(kept(), [
      ["first", 72],
      ["second", 72],
    ]);
    await live("second", 13);
    assert.deepEqual(kept(), [["second", 96]]);
  });
});
