import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { updateCommand } from "../../../src/commands/update.ts";
import { configSchema, type Config } from "../../../src/config/schema.ts";
import { startRecordedMarket, type RecordedMarket } from "../../../src/feeds/recorded/server.ts";
import { silentLogger } from "../../../src/log.ts";
import { ASSET_SYMBOLS, type AssetSymbol } from "../../../src/market/assets.ts";
import { readUpdaterStatus, type UpdaterStatus } from "../../../src/store/status-file.ts";
import { VolatilityStore } from "../../../src/store/volatility-store.ts";
import { unixSeconds } from "../../../src/units.ts";
import { acquireLock } from "../../../src/updater/process-lock.ts";
import { newestCandle, type VolatilityState } from "../../../src/volatility/state.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const DEFAULTS: unknown = JSON.parse(readFileSync(new URL("../../../config/default.json", import.meta.url), "utf8"));
/** 2025-08-06T12:00:00Z, a Wednesday; the market shows it when it starts. */
const START = "2025-08-06T12:00:30Z";
const NOON = Date.parse("2025-08-06T12:00:00Z") / 1000;

/** The `update` command in this process, with the real feeds against a local market of generated candles. */
class Bench {
  readonly market: RecordedMarket;
  readonly config: Config;
  readonly printed: string[] = [];

  constructor(market: RecordedMarket, stateDir: string) {
    this.market = market;
    const config = configSchema.parse(DEFAULTS);
    const { binance, hyperliquid, pythHistory, pythHermes, pythLazer } = market.urls;
    const quick = { timeoutMs: 3000, maxAttempts: 2, retryBaseMs: 5 };
    this.config = {
      ...config,
      stateDir,
      clock: market.rehearsal ?? config.clock,
      // Five days of all its assets are more than Hyperliquid gives in a minute, and the feeds would wait for the next.
      updater: { ...config.updater, warmupHoursOther: 72 },
      feeds: {
        ...config.feeds,
        binance: { ...config.feeds.binance, ...quick, baseUrl: binance },
        hyperliquid: { ...config.feeds.hyperliquid, ...quick, baseUrl: hyperliquid },
        pyth: {
          ...config.feeds.pyth,
          ...quick,
          historyBaseUrl: pythHistory,
          hermesBaseUrl: pythHermes,
          lazerBaseUrl: pythLazer,
        },
      },
    };
  }

  run(options: Record<string, unknown>, signal = new AbortController().signal): Promise<number> {
    return updateCommand.run({
      config: this.config,
      configFiles: [],
      options,
      positionals: [],
      logger: silentLogger,
      signal,
      print: (text) => this.printed.push(text),
    });
  }

  once(assets: readonly AssetSymbol[]): Promise<number> {
    return this.run({ oneShot: true, assets: assets.join(",") });
  }

  state(asset: AssetSymbol): VolatilityState {
    const loaded = new VolatilityStore(this.config.stateDir).load(asset);
    assert.ok(loaded.status === "ok", JSON.stringify(loaded));
    return loaded.state;
  }

  heartbeat(): UpdaterStatus {
    const loaded = readUpdaterStatus(this.config.stateDir);
    assert.ok(loaded.status === "ok");
    return loaded.updater;
  }
}

async function bench(t: TestContext): Promise<Bench> {
  const market = await startRecordedMarket({ dir: null, seed: 5, clock: { start: START } });
  t.after(() => market.close());
  return new Bench(market, await tempFolder(t));
}

describe("update --one-shot against the local market", () => {
  it("warms every asset up with exactly the market's closed candles, one summary line each", async (t) => {
    const b = await bench(t);
    assert.equal(await b.run({ oneShot: true }), 0);
    assert.deepEqual(
      b.printed.map((line) => line.split(" ")[0]),
      [...ASSET_SYMBOLS],
    );
    const expected = b.market.candles("BTC", { from: unixSeconds(NOON - 72 * 3600), to: unixSeconds(NOON) });
    const { candles, warmFrom } = b.state("BTC");
    assert.equal(warmFrom, NOON - 72 * 3600);
    assert.deepEqual(
      [...candles.openTime],
      expected.map(({ openTime }) => openTime),
    );
    assert.deepEqual(
      [...candles.close],
      expected.map(({ close }) => close),
    );
    for (const asset of ASSET_SYMBOLS) assert.equal(b.heartbeat().assets[asset]?.outcome, "advanced", asset);
  });

  it("with a dead Hyperliquid: its assets fall back or say why not, Binance's never notice", async (t) => {
    const b = await bench(t);
    b.market.setFault("hyperliquid", { kind: "server_error" });
    assert.equal(await b.once(["BTC", "HYPE", "SPCX"]), 1);
    const { assets } = b.heartbeat();
    assert.equal(assets.BTC?.source, "binance");
    assert.equal(assets.BTC.fallbackCount, 0);
    assert.equal(assets.HYPE?.source, "pyth");
    assert.equal(assets.HYPE.fallbackCount, 1);
    assert.equal(assets.SPCX?.outcome, "failed");
    assert.equal(assets.SPCX.lastError?.code, "feed/all_sources_failed");
    b.market.clearFaults();
    assert.equal(await b.once(["BTC", "HYPE", "SPCX"]), 0);
    assert.equal(b.heartbeat().assets.SPCX?.outcome, "advanced");
  });

  it("keeps the market's holes and counts them", async (t) => {
    const b = await bench(t);
    b.market.setFault("binance", { kind: "gap", from: NOON - 7200, to: NOON - 3600 });
    assert.equal(await b.once(["BTC"]), 0);
    const state = b.state("BTC");
    assert.equal(state.gapCount, 1);
    assert.equal(state.candleCount, 72 * 60 - 60);
  });

  it("--warmup-date rebuilds as of that date, from candles closed by then", async (t) => {
    const b = await bench(t);
    assert.equal(await b.once(["BTC"]), 0);
    assert.equal(await b.run({ oneShot: true, warmupDate: "2025-08-05", assets: "BTC" }), 0);
    const midnight = Date.parse("2025-08-05T00:00:00Z") / 1000;
    const state = b.state("BTC");
    assert.equal(newestCandle(state)?.openTime, midnight - 60);
    assert.equal(state.warmFrom, midnight - 72 * 3600);
    // An ordinary update takes it from there.
    assert.equal(await b.once(["BTC"]), 0);
    assert.equal(b.state("BTC").warmFrom, midnight - 72 * 3600);
    assert.equal(newestCandle(b.state("BTC"))?.openTime, NOON - 60);
  });

  it("is refused while another updater holds the state folder", async (t) => {
    const b = await bench(t);
    const lock = await acquireLock(join(b.config.stateDir, "updater.lock"));
    await assert.rejects(b.once(["BTC"]), { code: "updater/locked" });
    await lock.release();
    assert.equal(await b.once(["BTC"]), 0);
  });

  it("stops with 0 when told to, in the middle of a request", async (t) => {
    const b = await bench(t);
    b.market.setFault("binance", { kind: "delay", delayMs: 60_000 });
    const controller = new AbortController();
    const stopped = b.run({ oneShot: false, assets: "BTC,HYPE" }, controller.signal);
    setImmediate(() => {
      controller.abort();
    });
    assert.equal(await stopped, 0);
    assert.equal(b.heartbeat().running, false);
  });
});
