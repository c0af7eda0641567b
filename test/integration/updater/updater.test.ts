import assert from "node:assert/strict";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { silentLogger } from "../../../src/log.ts";
import type { AssetSymbol } from "../../../src/market/assets.ts";
import { readUpdaterStatus, updaterStatusPath, type UpdaterStatus } from "../../../src/store/status-file.ts";
import { VolatilityStore } from "../../../src/store/volatility-store.ts";
import type { Candle } from "../../../src/market/candle.ts";
import { unixSeconds } from "../../../src/units.ts";
import { Updater, type UpdaterOptions } from "../../../src/updater/updater.ts";
import { newestCandle, type VolatilityState } from "../../../src/volatility/state.ts";
import { ScriptedFeed } from "../../support/scripted-feed.ts";
import { SteppedClock, eventually } from "../../support/stepped-clock.ts";
import { tempFolder } from "../../support/temp-folder.ts";
import { AUGUST, HALF_LIVES } from "../../support/volatility-fixture.ts";

const DAY = 86_400;
const PARAMETERS = { ...HALF_LIVES, warmupSeconds: 3 * DAY, retentionSeconds: 7 * DAY };
const never = new AbortController().signal;

class Bench {
  readonly feed = new ScriptedFeed();
  readonly stateDir: string;
  readonly store: VolatilityStore;
  readonly clock: SteppedClock;

  constructor(stateDir: string, startSeconds: number) {
    this.stateDir = stateDir;
    this.store = new VolatilityStore(stateDir);
    this.clock = new SteppedClock(startSeconds);
  }

  updater(assets: readonly AssetSymbol[], changes: Partial<UpdaterOptions> = {}): Updater {
    const { feed, store, stateDir, clock } = this;
    const timing = { intervalSeconds: 60, publishDelaySeconds: 2, concurrency: 4 };
    const parametersOf = (): typeof PARAMETERS => PARAMETERS;
    return new Updater({
      assets,
      parametersOf,
      feed,
      store,
      stateDir,
      ...timing,
      clock,
      logger: silentLogger,
      ...changes,
    });
  }

  once(asset: AssetSymbol, changes: Partial<UpdaterOptions> = {}): Promise<void> {
    return this.updater([asset], changes).runOnce(null, never);
  }

  state(asset: AssetSymbol): VolatilityState {
    const loaded = this.store.load(asset);
    assert.ok(loaded.status === "ok", JSON.stringify(loaded));
    return loaded.state;
  }

  heartbeat(): UpdaterStatus {
    const loaded = readUpdaterStatus(this.stateDir);
    assert.ok(loaded.status === "ok", JSON.stringify(loaded));
    return loaded.updater;
  }
}

async function bench(t: TestContext, startSeconds = AUGUST + 2): Promise<Bench> {
  return new Bench(await tempFolder(t), startSeconds);
}

describe("one update", () => {
  it("warms up from the warm-up's start to the last closed candle", async (t) => {
    const b = await bench(t, AUGUST + 2);
    await b.once("BTC");
    const state = b.state("BTC");
    assert.equal(state.warmFrom, AUGUST - 3 * DAY);
    assert.equal(state.candleCount, 3 * 1440);
    assert.equal(newestCandle(state)?.openTime, AUGUST - 60);
    const status = b.heartbeat().assets.BTC!;
    assert.equal(status.outcome, "advanced");
    assert.equal(status.warmupProgress, 1);
    assert.equal(status.newestCandleAt, "2025-07-31T23:59:00Z");
    assert.equal(status.lastAdvancedAt, "2025-08-01T00:00:02.000Z");
  });

  it("takes no candle before its publish delay has passed", async (t) => {
    const b = await bench(t, AUGUST + 1);
    await b.once("BTC");
    assert.equal(newestCandle(b.state("BTC"))?.openTime, AUGUST - 120);
  });

  it("then asks only for what closed since, and for nothing when nothing did", async (t) => {
    const b = await bench(t, AUGUST + 2);
    await b.once("BTC");
    b.clock.advance(600);
    await b.once("BTC");
    assert.deepEqual(b.feed.asked.at(-1)?.range, { from: AUGUST, to: AUGUST + 600 });
    assert.equal(b.state("BTC").candleCount, 3 * 1440 + 10);
    await b.once("BTC");
    assert.equal(b.feed.asked.length, 2);
    assert.equal(b.heartbeat().assets.BTC?.outcome, "up_to_date");
  });

  it("rebuilt as of a date is what the updater had at that date", async (t) => {
    const then = await bench(t, AUGUST + 2);
    await then.once("BTC");
    const later = await bench(t, AUGUST + 40 * DAY);
    await later.once("BTC");
    await later.updater(["BTC"]).runOnce(unixSeconds(AUGUST), never);
    assert.deepStrictEqual(later.state("BTC"), then.state("BTC"));
    // And goes on from there as that one did.
    const soon = new Bench(later.stateDir, AUGUST + DAY);
    await soon.once("BTC");
    then.clock.advance(DAY - 2);
    await then.once("BTC");
    assert.deepStrictEqual(soon.state("BTC"), then.state("BTC"));
  });

  it("keeps holes as holes and counts them", async (t) => {
    const b = await bench(t);
    b.feed.scripts.set("BTC", { edit: (candles) => candles.filter((_, i) => i % 1000 > 20) });
    await b.once("BTC");
    assert.equal(b.state("BTC").gapCount, 4);
    assert.equal(b.heartbeat().assets.BTC?.gapCount, 4);
  });

  it("restarts after a gap longer than the warm-up, continues after a shorter one", async (t) => {
    const b = await bench(t);
    await b.once("BTC");
    b.clock.advance(2 * DAY);
    await b.once("BTC");
    assert.equal(b.state("BTC").warmFrom, AUGUST - 3 * DAY);
    b.clock.advance(3 * DAY + 60);
    await b.once("BTC");
    assert.equal(b.state("BTC").warmFrom, AUGUST + 2 * DAY + 60);
    assert.match(b.heartbeat().assets.BTC?.lastRestart?.why ?? "", /longer than the warm-up/);
  });

  it("restarts when the half-lives changed", async (t) => {
    const b = await bench(t);
    await b.once("BTC");
    b.clock.advance(60);
    const changed = { parametersOf: () => ({ ...PARAMETERS, halfLifeMinuteSeconds: 1800 }) };
    await b.once("BTC", changed);
    assert.equal(b.state("BTC").warmFrom, AUGUST + 60 - 3 * DAY);
    assert.equal(b.state("BTC").halfLifeMinuteSeconds, 1800);
    assert.match(b.heartbeat().assets.BTC?.lastRestart?.why ?? "", /half-lives/);
  });

  it("keeps the rhythm of the week through restarts and counts no bar twice", async (t) => {
    const b = await bench(t);
    await b.once("BTC");
    const { seasonality } = b.state("BTC");
    assert.equal(seasonality.until, AUGUST);
    assert.ok(seasonality.weekWeight.some((weight) => weight > 0));
    // Other half-lives: the same three days are taken in again, and none of them is counted again.
    await b.once("BTC", { parametersOf: () => ({ ...PARAMETERS, halfLifeMinuteSeconds: 1800 }) });
    assert.equal(b.state("BTC").candleCount, 3 * 1440);
    assert.deepStrictEqual(b.state("BTC").seasonality, seasonality);
    // A gap longer than the warm-up.
    await b.once("BTC");
    b.clock.advance(3 * DAY + 60);
    await b.once("BTC");
    const later = b.state("BTC").seasonality;
    assert.equal(later.until, AUGUST + 3 * DAY + 60);
    const weightOf = (column: Float64Array): number => column.reduce((sum, weight) => sum + weight, 0);
    assert.ok(weightOf(later.weekWeight) > weightOf(seasonality.weekWeight));
    assert.ok(seasonality.weekWeight.every((weight, bin) => later.weekWeight[bin]! >= weight));
    // Another price level, from a second source.
    b.clock.advance(300);
    const tenth = (c: Candle): Candle => ({
      ...c,
      open: c.open / 10,
      high: c.high / 10,
      low: c.low / 10,
      close: c.close / 10,
    });
    b.feed.scripts.set("BTC", { source: "pyth", edit: (candles) => candles.map(tenth) });
    await b.once("BTC");
    assert.match(b.heartbeat().assets.BTC?.lastRestart?.why ?? "", /price level changed/);
    const last = b.state("BTC").seasonality;
    assert.ok(later.weekWeight.every((weight, bin) => last.weekWeight[bin]! >= weight));
    // Five minutes later than what was counted: one bar more, not three days.
    const bars = last.weekWeight.filter((weight, bin) => weight > later.weekWeight[bin]!).length;
    assert.equal(bars, 1);
  });

  it("reports a corrupt state, sets it aside and rebuilds", async (t) => {
    const b = await bench(t);
    await b.once("BTC");
    const good = b.state("BTC");
    await writeFile(b.store.path("BTC"), (await readFile(b.store.path("BTC"))).subarray(0, 5000));
    await b.once("BTC");
    assert.deepStrictEqual(b.state("BTC"), good);
    assert.match(b.heartbeat().assets.BTC?.lastRestart?.why ?? "", /corrupt/);
    const names = await readdir(join(b.stateDir, "volatility"));
    assert.equal(names.filter((name) => name.startsWith("BTC.msgpack.corrupt-")).length, 1);
  });

  it("warms up anew from a fallback source that quotes another level", async (t) => {
    const b = await bench(t);
    await b.once("BTC");
    b.clock.advance(300);
    b.feed.scripts.set("BTC", {
      source: "pyth",
      failures: [{ source: "binance", code: "feed/timeout", message: "too slow" }],
      edit: (candles) =>
        candles.map((c) => ({ ...c, open: c.open / 10, high: c.high / 10, low: c.low / 10, close: c.close / 10 })),
    });
    await b.once("BTC");
    const state = b.state("BTC");
    assert.equal(state.source, "pyth");
    assert.equal(state.warmFrom, AUGUST + 300 - 3 * DAY);
    const status = b.heartbeat().assets.BTC!;
    assert.match(status.lastRestart?.why ?? "", /price level changed .* \(binance to pyth\)/);
    assert.equal(status.fallbackCount, 1);
    assert.equal(status.lastFallback, "binance: feed/timeout: too slow");
  });

  it("leaves the file and says why when the feed fails, has nothing new, or nothing at all", async (t) => {
    const b = await bench(t);
    await b.once("BTC");
    const before = b.state("BTC");
    b.clock.advance(60);
    b.feed.scripts.set("BTC", { fails: true });
    await b.once("BTC");
    let status = b.heartbeat().assets.BTC!;
    assert.equal(status.outcome, "failed");
    assert.equal(status.lastError?.code, "feed/all_sources_failed");
    assert.equal(status.consecutiveFailures, 1);
    // The last life's knowledge stays.
    assert.equal(status.newestCandleAt, "2025-07-31T23:59:00Z");
    b.feed.scripts.set("BTC", { edit: () => [] });
    await b.once("BTC");
    status = b.heartbeat().assets.BTC!;
    assert.equal(status.outcome, "no_new_candles");
    assert.match(status.reason ?? "", /binance has no candle from 2025-08-01T00:00:00Z on/);
    assert.deepStrictEqual(b.state("BTC"), before);
    b.feed.scripts.set("ETH", { edit: () => [] });
    await b.once("ETH");
    assert.equal(b.heartbeat().assets.ETH?.lastError?.code, "updater/no_candles");
    // A heartbeat of one asset does not forget the others.
    assert.equal(b.heartbeat().assets.BTC?.outcome, "no_new_candles");
  });
});

describe("the loop", () => {
  it("runs shortly after every minute; a hanging asset and a dead host hold nobody else up", async (t) => {
    const b = await bench(t, AUGUST + 30);
    const controller = new AbortController();
    const hanging = Promise.withResolvers<undefined>();
    b.feed.scripts.set("BTC", { until: hanging.promise });
    for (const asset of ["XAU", "NVDAX", "SP500", "HYPE", "SPCX"] as const) {
      b.feed.scripts.set(asset, { until: new Promise(() => undefined) });
    }
    let ready = 0;
    const updater = b.updater(["BTC", "ETH", "XAU", "NVDAX", "SP500", "HYPE", "SPCX", "SPYX"]);
    const stopped = updater.run(controller.signal, () => {
      ready += 1;
    });
    const advanced = (at: string): boolean =>
      (["ETH", "SPYX"] as const).every((asset) => updater.statusOf(asset).lastAdvancedAt === at);
    await eventually(() => advanced("2025-08-01T00:00:30.000Z"), "first cycle");
    b.clock.advance(31);
    assert.equal(b.feed.asked.filter(({ asset }) => asset === "ETH").length, 1);
    b.clock.advance(1);
    await eventually(() => advanced("2025-08-01T00:01:02.000Z"), "second cycle");
    assert.equal(newestCandle(b.state("ETH"))?.openTime, AUGUST);
    assert.equal(updater.statusOf("BTC").skippedCycles, 1);
    assert.equal(updater.statusOf("BTC").updatingSince, "2025-08-01T00:00:30.000Z");
    assert.equal(ready, 0);
    hanging.resolve(undefined);
    await eventually(() => updater.statusOf("BTC").outcome === "advanced", "BTC");
    b.clock.advance(60);
    await eventually(() => updater.statusOf("BTC").lastAdvancedAt === "2025-08-01T00:02:02.000Z", "BTC again");
    controller.abort();
    await stopped;
    const heartbeat = b.heartbeat();
    assert.equal(heartbeat.running, false);
    assert.equal(heartbeat.cycles, 3);
    assert.equal(heartbeat.assets.XAU?.consecutiveFailures, 0);
  });

  it("is ready after the first try of every asset, failed ones included, and stops between cycles", async (t) => {
    const b = await bench(t);
    const controller = new AbortController();
    b.feed.scripts.set("XAU", { fails: true });
    const ready = Promise.withResolvers<undefined>();
    const updater = b.updater(["BTC", "XAU"]);
    const stopped = updater.run(controller.signal, () => {
      ready.resolve(undefined);
    });
    await ready.promise;
    assert.equal(updater.statusOf("BTC").outcome, "advanced");
    assert.equal(updater.statusOf("XAU").consecutiveFailures, 1);
    controller.abort();
    await stopped;
    assert.equal(b.heartbeat().running, false);
  });

  it("keeps an asset's bug to that asset", async (t) => {
    const b = await bench(t);
    b.feed.scripts.set("BTC", {
      edit: () => {
        throw new TypeError("our bug");
      },
    });
    await b.updater(["BTC", "ETH"]).runOnce(null, never);
    const { assets } = b.heartbeat();
    assert.equal(assets.BTC?.lastError?.code, "updater/unexpected");
    assert.equal(assets.ETH?.outcome, "advanced");
  });

  it("has a heartbeat whose damage is a result", async (t) => {
    const b = await bench(t);
    assert.deepEqual(readUpdaterStatus(b.stateDir), { status: "missing" });
    await b.once("BTC");
    await writeFile(updaterStatusPath(b.stateDir), "{");
    assert.equal(readUpdaterStatus(b.stateDir).status, "corrupt");
    await writeFile(updaterStatusPath(b.stateDir), "{}");
    assert.equal(readUpdaterStatus(b.stateDir).status, "corrupt");
    await b.once("BTC");
    assert.equal(readUpdaterStatus(b.stateDir).status, "ok");
  });
});
