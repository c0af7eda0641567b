import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { factorAt } from "../../../src/engines/recalibration.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../../../src/units.ts";
import { MARKET_START, SimulatedMiner, startsOfDay } from "../../support/simulated-miner.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const DAYS = 10;

/**
 * A miner that lives ten days (of which five-minute blocks tell the scale to 1.4 %, half-hours to 3.5 %; seeded): answers, is updated and scored once a day, and applies what
 * it has learnt.
 */
async function live(test: TestContext, sigmaRatio: number): Promise<SimulatedMiner> {
  const miner = new SimulatedMiner(await tempFolder(test), { sigmaRatio, days: DAYS + 2, seed: "i" });
  await miner.updateTo(MARKET_START + 60);
  for (let day = 0; day <= DAYS; day += 1) {
    // Order of receipt is that of the log; both horizons of a day overlap in it.
    await miner.answer(startsOfDay(day, SECONDS_PER_HOUR), SECONDS_PER_HOUR);
    await miner.answer(startsOfDay(day, 6 * SECONDS_PER_HOUR), SECONDS_PER_DAY);
    await miner.updateTo(MARKET_START + (day + 1) * SECONDS_PER_DAY);
    assert.equal((await miner.score()).finished, true);
  }
  return miner;
}

describe("a live miner that scores itself", () => {
  it("comes within 4 % of the right factor in ten days when its sigma is 15 % too small", async (t) => {
    const miner = await live(t, 0.85);
    const right = 1 / 0.85;
    for (const [horizon, lengths] of [
      ["1h", [60, 300, 1800]],
      ["24h", [300, 1800, 10_800]],
    ] as const) {
      const factors = miner.factorsOf(horizon);
      for (const seconds of lengths) {
        const found = factorAt(factors, seconds);
        assert.ok(Math.abs(found / right - 1) < 0.04, `${horizon} ${seconds} s: ${found}`);
      }
    }
  });

  it("stays within 2 % of 1 when it is calibrated", async (t) => {
    const miner = await live(t, 1);
    for (const horizon of ["1h", "24h"] as const) {
      const factors = miner.factorsOf(horizon);
      assert.ok(factors.length >= 4, horizon);
      for (const { seconds, factor } of factors) {
        assert.ok(Math.abs(factor - 1) < 0.02, `${horizon} ${seconds} s: ${factor}`);
      }
    }
  });
});
