import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { inspect } from "node:util";
import { OperationalError } from "../../../src/errors.ts";
import { createBinanceSource } from "../../../src/feeds/binance/client.ts";
import type { CandleRange, Source } from "../../../src/feeds/feed.ts";
import { createMarketFeed, createSources } from "../../../src/feeds/merge.ts";
import { API_NAMES, type ApiName, type FaultInput } from "../../../src/feeds/recorded/faults.ts";
import { startRecordedMarket, type RecordedMarket } from "../../../src/feeds/recorded/server.ts";
import { silentLogger } from "../../../src/log.ts";
import { ASSET_SYMBOLS, type AssetSymbol, type SourceName } from "../../../src/market/assets.ts";
import { unixSeconds } from "../../../src/units.ts";
import { feedsConfigOf, HandClock } from "../../support/recorded-market-feeds.ts";

const PUBLISH_DELAY_SECONDS = 2;
/** Which asset and source reach an API, by which call. */
const REACH: Readonly<Record<ApiName, { source: SourceName; asset: AssetSymbol; call: "candles" | "price" }>> = {
  binance: { source: "binance", asset: "BTC", call: "candles" },
  hyperliquid: { source: "hyperliquid", asset: "XAU", call: "candles" },
  pythHistory: { source: "pyth", asset: "BTC", call: "candles" },
  // The only asset without a Lazer id: nothing stands in for Hermes.
  pythHermes: { source: "pyth", asset: "WTIOIL", call: "price" },
  pythLazer: { source: "pyth", asset: "BTC", call: "price" },
};

let market: RecordedMarket;
const clock = new HandClock("2026-03-03T12:00:30Z");
const now = (): number => Math.floor(clock.nowMs() / 1000);

before(async () => {
  market = await startRecordedMarket({ dir: null, seed: 5, timeSource: clock });
});
after(() => market.close());
afterEach(() => {
  market.clearFaults();
});

interface Setup {
  readonly sources: readonly Source[];
  readonly wall: HandClock;
}

function setUp(limits: Parameters<typeof feedsConfigOf>[1] = {}): Setup {
  const wall = new HandClock("2026-11-21T10:00:00Z");
  const feeds = feedsConfigOf(market, { maxAttempts: 2, timeoutMs: 2000, ...limits });
  const deps = { clock, wallClock: wall, random: () => 0.5, publishDelaySeconds: PUBLISH_DELAY_SECONDS };
  return { sources: createSources(feeds, { ...deps, logger: silentLogger }), wall };
}

function sourceOf({ sources }: Setup, name: SourceName): Source {
  return sources.find((source) => source.name === name)!;
}

function lastMinutes(minutes: number): CandleRange {
  return { from: unixSeconds(now() - minutes * 60), to: unixSeconds(now()) };
}

async function ask(setup: Setup, api: ApiName): Promise<unknown> {
  const { source, asset, call } = REACH[api];
  const adapter = sourceOf(setup, source);
  return call === "price" ? adapter.fetchPrice(asset) : adapter.fetchCandles(asset, lastMinutes(30));
}

async function codeOf(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
    return "answered";
  } catch (error) {
    assert.ok(error instanceof OperationalError, String(error));
    return error.code;
  }
}

describe("real adapters against the recorded market", () => {
  it("every source gives the market's own closed candles and the price inside the running one", async () => {
    const setup = setUp();
    for (const asset of ASSET_SYMBOLS) {
      const range = lastMinutes(120);
      const truth = market
        .candles(asset, range)
        .filter(({ openTime }) => openTime + 60 + PUBLISH_DELAY_SECONDS <= now());
      const minute = now() - (now() % 60);
      const running = market.candles(asset, { from: unixSeconds(minute), to: unixSeconds(minute + 60) })[0]!;
      for (const source of setup.sources) {
        if (source.hasCandles(asset)) assert.deepEqual(await source.fetchCandles(asset, range), truth, asset);
        if (!source.hasPrice(asset)) continue;
        const { price, asOfMs } = await source.fetchPrice(asset);
        assert.ok(price >= running.low && price <= running.high, `${asset} ${price}`);
        assert.equal(Math.floor(asOfMs / 1000), now());
      }
    }
  });

  it("pages over the hosts' limits without losing or doubling a minute", async () => {
    const setup = setUp();
    const pages = async (source: SourceName, minutes: number): Promise<[number, number]> => {
      const before = market.requests.length;
      const candles = await sourceOf(setup, source).fetchCandles(
        source === "hyperliquid" ? "XAU" : "BTC",
        lastMinutes(minutes),
      );
      assert.ok(candles.every(({ openTime }, index) => index === 0 || openTime === candles[index - 1]!.openTime + 60));
      return [candles.length, market.requests.length - before];
    };
    assert.deepEqual(await pages("binance", 4320), [4319, 5]);
    assert.deepEqual(await pages("pyth", 4320), [4319, 3]);
    // The host has the latest 5000 only, the running one among them.
    assert.deepEqual(await pages("hyperliquid", 7200), [4999, 1]);
  });

  it("shows no candle before its minute and the publish delay are over", async () => {
    const source = sourceOf(setUp(), "binance");
    const newest = async (): Promise<number> => (await source.fetchCandles("ETH", lastMinutes(5))).at(-1)!.openTime;
    const minute = now() - (now() % 60);
    assert.equal(await newest(), minute - 60);
    clock.advance(31_000);
    assert.equal(await newest(), minute - 60);
    clock.advance(1000);
    assert.equal(await newest(), minute);
    clock.advance(-32_000);
  });

  it("refuses an absurd range and an asset it does not list", async () => {
    const binance = sourceOf(setUp(), "binance");
    assert.equal(
      await codeOf(binance.fetchCandles("BTC", { from: unixSeconds(0), to: unixSeconds(now()) })),
      "feed/range_too_long",
    );
    assert.equal(await codeOf(binance.fetchCandles("XAU", lastMinutes(5))), "feed/not_listed");
    assert.equal(await codeOf(binance.fetchPrice("XAU")), "feed/not_listed");
  });

  it("concurrent prompts share one answer of all mids, per dex", async () => {
    const hyperliquid = sourceOf(setUp(), "hyperliquid");
    const before = market.requests.length;
    await Promise.all(
      (["XAU", "SP500", "NVDAX", "HYPE", "XAU"] as const).map((asset) => hyperliquid.fetchPrice(asset)),
    );
    await hyperliquid.fetchPrice("TSLAX");
    assert.equal(market.requests.length - before, 2);
    clock.advance(1000);
    await hyperliquid.fetchPrice("TSLAX");
    assert.equal(market.requests.length - before, 3);
    const given = AbortSignal.abort();
    assert.equal(await codeOf(hyperliquid.fetchPrice("TSLAX", given)), "feed/aborted");
  });
});

describe("faults of every API, as the adapters name them", () => {
  const named: readonly [string, FaultInput, string][] = [
    ["429 without Retry-After", { kind: "rate_limit" }, "feed/rate_limited"],
    ["429 with a long Retry-After", { kind: "rate_limit", retryAfter: 3600 }, "feed/rate_limited"],
    ["451", { kind: "geo_block" }, "feed/geo_blocked"],
    ["500", { kind: "server_error" }, "feed/http_status"],
    ["404", { kind: "server_error", status: 404 }, "feed/http_status"],
    ["a cut connection", { kind: "cut" }, "feed/connection"],
    ["bad JSON", { kind: "bad_json" }, "feed/bad_json"],
    ["a delay beyond the timeout", { kind: "delay", delayMs: 5000 }, "feed/timeout"],
  ];
  for (const api of API_NAMES) {
    for (const [name, fault, code] of named) {
      it(`${api}: ${name} is ${code}`, async () => {
        if (api === "pythLazer") market.setFault("pythHermes", { kind: "server_error" });
        market.setFault(api, fault);
        assert.equal(await codeOf(ask(setUp({ timeoutMs: 200 }), api)), code);
      });
    }

    it(`${api}: a fault for one request is survived by a retry, a price by its next call`, async () => {
      if (api === "pythLazer") market.setFault("pythHermes", { kind: "server_error" });
      const setup = setUp();
      for (const kind of ["server_error", "cut", "bad_json"] as const) {
        market.setFault(api, { kind, count: 1 });
        if (REACH[api].call === "price") assert.notEqual(await codeOf(ask(setup, api)), "answered");
        assert.equal(await codeOf(ask(setup, api)), "answered");
      }
    });
  }

  for (const api of ["binance", "hyperliquid", "pythHistory"] as const) {
    const { source, asset } = REACH[api];
    const times = async (): Promise<number[]> =>
      (await sourceOf(setUp(), source).fetchCandles(asset, lastMinutes(30))).map(({ openTime }) => openTime);

    it(`${api}: gaps stay gaps, a stale feed ends, another asset is untouched`, async () => {
      const whole = await times();
      market.setFault(api, { kind: "gap", from: now() - 600, to: now() - 300, asset });
      assert.deepEqual(
        await times(),
        whole.filter((time) => time < now() - 600 || time >= now() - 300),
      );
      market.clearFaults(api);
      market.setFault(api, { kind: "stale", at: now() - 600, asset });
      assert.deepEqual(
        await times(),
        whole.filter((time) => time + 60 <= now() - 540),
      );
      market.setFault(api, { kind: "stale", at: now() - 600, asset: "SPYX" });
      market.clearFaults(api);
      market.setFault(api, { kind: "gap", from: 0, to: now() + 60, asset: "SPYX" });
      assert.deepEqual(await times(), whole);
    });

    it(`${api}: a frozen feed repeats one price`, async () => {
      market.setFault(api, { kind: "frozen", at: now() - 600 });
      const candles = await sourceOf(setUp(), source).fetchCandles(asset, lastMinutes(30));
      const frozen = candles.filter(({ openTime }) => openTime >= now() - 600);
      assert.ok(frozen.length >= 9);
      assert.equal(new Set(frozen.flatMap(({ open, high, low, close }) => [open, high, low, close])).size, 1);
    });
  }

  it("a stale Pyth price is a named result", async () => {
    for (const api of ["pythHermes", "pythLazer"] as const) market.setFault(api, { kind: "stale", at: now() - 300 });
    assert.equal(await codeOf(sourceOf(setUp(), "pyth").fetchPrice("BTC")), "feed/stale");
    market.clearFaults("pythLazer");
    assert.equal(await codeOf(sourceOf(setUp(), "pyth").fetchPrice("BTC")), "answered");
  });

  it("a frozen price stays while time goes on", async () => {
    market.setFault("binance", { kind: "frozen" });
    const binance = sourceOf(setUp(), "binance");
    const first = await binance.fetchPrice("BTC");
    clock.advance(600_000);
    assert.equal((await binance.fetchPrice("BTC")).price, first.price);
  });

  it("faults are set, listed and cleared over HTTP, and a wrong one is refused", async () => {
    const url = `${market.urls.binance}/__faults`;
    const post = (body: unknown): Promise<Response> =>
      fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    assert.equal((await post([{ kind: "server_error", count: 2 }])).status, 200);
    assert.deepEqual(await (await fetch(url)).json(), [{ kind: "server_error", status: 500, count: 2 }]);
    assert.equal((await fetch(`${market.urls.binance}/api/v3/ticker/price?symbol=BTCUSDT`)).status, 500);
    assert.equal((await fetch(url, { method: "DELETE" })).status, 200);
    assert.equal((await fetch(`${market.urls.binance}/api/v3/ticker/price?symbol=BTCUSDT`)).status, 200);
    assert.equal((await post({ kind: "earthquake" })).status, 400);
    assert.equal(
      (await fetch(url, { method: "POST", body: "{", headers: { "content-type": "application/json" } })).status,
      400,
    );
  });
});

describe("hosts in trouble", () => {
  const recent = (api: ApiName, since: number): number =>
    market.requests.slice(since).filter((request) => request.api === api).length;

  it("waits for a short Retry-After, in seconds or as a date", async () => {
    for (const [retryAfter, waitMs] of [
      [1, 1000],
      ["Sat, 21 Nov 2026 10:00:02 GMT", 2000],
    ] as const) {
      const setup = setUp();
      market.setFault("binance", { kind: "rate_limit", retryAfter, count: 1 });
      assert.equal(await codeOf(ask(setup, "binance")), "answered");
      assert.deepEqual(setup.wall.slept, [waitMs]);
    }
  });

  it("leaves a host alone for a long Retry-After, then tries it again", async () => {
    const setup = setUp();
    market.setFault("binance", { kind: "rate_limit", retryAfter: 60, count: 1 });
    const since = market.requests.length;
    assert.equal(await codeOf(ask(setup, "binance")), "feed/rate_limited");
    assert.equal(await codeOf(ask(setup, "binance")), "feed/circuit_open");
    setup.wall.advance(59_999);
    assert.equal(await codeOf(ask(setup, "binance")), "feed/circuit_open");
    assert.equal(recent("binance", since), 1);
    setup.wall.advance(1);
    assert.equal(await codeOf(ask(setup, "binance")), "answered");
  });

  it("Pyth's silent 429 means a minute", async () => {
    const setup = setUp();
    market.setFault("pythHistory", { kind: "rate_limit", count: 1 });
    assert.equal(await codeOf(ask(setup, "pythHistory")), "feed/rate_limited");
    setup.wall.advance(59_999);
    assert.equal(await codeOf(ask(setup, "pythHistory")), "feed/circuit_open");
    setup.wall.advance(1);
    assert.equal(await codeOf(ask(setup, "pythHistory")), "answered");
  });

  it("backs off with jitter, bounded, and opens the circuit; a trial closes or reopens it", async () => {
    const setup = setUp({ maxAttempts: 3, circuitFailures: 5, circuitOpenMs: 10_000, retryBaseMs: 100 });
    market.setFault("binance", { kind: "server_error", count: 6 });
    const since = market.requests.length;
    assert.equal(await codeOf(ask(setup, "binance")), "feed/http_status");
    assert.deepEqual(setup.wall.slept, [75, 150]);
    assert.equal(await codeOf(ask(setup, "binance")), "feed/http_status");
    assert.equal(recent("binance", since), 5);
    assert.equal(await codeOf(ask(setup, "binance")), "feed/circuit_open");
    setup.wall.advance(10_000);
    assert.equal(await codeOf(ask(setup, "binance")), "feed/http_status");
    assert.equal(await codeOf(ask(setup, "binance")), "feed/circuit_open");
    setup.wall.advance(10_000);
    assert.equal(await codeOf(ask(setup, "binance")), "answered");
    assert.equal(await codeOf(ask(setup, "binance")), "answered");
    assert.equal(recent("binance", since), 8);
  });

  it("a refused connection is a named failure", async () => {
    const dead = await startRecordedMarket({ dir: null, seed: 1 });
    const feeds = feedsConfigOf(dead, { maxAttempts: 2 });
    await dead.close();
    const deps = {
      clock,
      wallClock: new HandClock("2026-11-21T10:00:00Z"),
      publishDelaySeconds: 2,
      logger: silentLogger,
    };
    for (const source of createSources(feeds, deps)) {
      const asset = source.name === "hyperliquid" ? "XAU" : "BTC";
      assert.equal(await codeOf(source.fetchCandles(asset, lastMinutes(5))), "feed/connection");
      assert.equal(await codeOf(source.fetchPrice(asset)), "feed/connection");
    }
  });

  it("a caller can give up a request and a back-off", async () => {
    market.setFault("binance", { kind: "delay", delayMs: 60_000 });
    const controller = new AbortController();
    const answer = sourceOf(setUp({ timeoutMs: 30_000 }), "binance").fetchCandles(
      "BTC",
      lastMinutes(5),
      controller.signal,
    );
    controller.abort();
    assert.equal(await codeOf(answer), "feed/aborted");
  });

  it("a 451 from Binance's public host moves all requests to its mirror, once, and a mirror's 451 is final", async () => {
    const mirror = await startRecordedMarket({ dir: null, seed: 5, timeSource: clock });
    try {
      const feeds = feedsConfigOf(market);
      const warnings: unknown[] = [];
      const logger = Object.assign(Object.create(silentLogger) as typeof silentLogger, {
        warn: (context: unknown) => warnings.push(context),
      });
      const deps = { clock, wallClock: clock, random: Math.random, publishDelaySeconds: 2, priceTimeoutMs: 1000 };
      const hosts = { main: market.urls.binance, mirror: mirror.urls.binance };
      const source = createBinanceSource(feeds.binance, { ...deps, logger, counters: new Map() }, hosts);
      market.setFault("binance", { kind: "geo_block" });
      const since = market.requests.length;
      const answers = await Promise.all([source.fetchPrice("BTC"), source.fetchPrice("ETH"), source.fetchPrice("SOL")]);
      assert.equal(answers.length, 3);
      await source.fetchPrice("XRP");
      assert.deepEqual([recent("binance", since), mirror.requests.length, warnings.length], [3, 4, 1]);
      mirror.setFault("binance", { kind: "geo_block" });
      assert.equal(await codeOf(source.fetchPrice("BTC")), "feed/geo_blocked");
    } finally {
      await mirror.close();
    }
  });

  it("falls back from a dead scored source to Pyth, and back", async () => {
    const { sources } = setUp({ circuitFailures: 100 });
    const feeds = feedsConfigOf(market);
    const feed = createMarketFeed({ sources, feeds, clock, logger: silentLogger });
    market.setFault("binance", { kind: "cut" });
    assert.equal((await feed.candles("BTC", lastMinutes(30))).source, "pyth");
    assert.equal((await feed.price("BTC")).source, "pyth");
    market.clearFaults();
    assert.equal((await feed.candles("BTC", lastMinutes(30))).source, "binance");
    assert.equal((await feed.price("BTC")).source, "binance");
  });
});

describe("the Pyth key", () => {
  const KEY = "k3y-that-must-stay-secret";

  it("is in no error and no log, whatever goes wrong", async () => {
    const lines: unknown[] = [];
    const record = (...entry: unknown[]): void => {
      lines.push(entry);
    };
    const logger = Object.assign(Object.create(silentLogger) as typeof silentLogger, {
      debug: record,
      info: record,
      warn: record,
      error: record,
    });
    const feeds = feedsConfigOf(market, { timeoutMs: 200, maxAttempts: 2, circuitFailures: 2 });
    const config = { ...feeds, pyth: { ...feeds.pyth, apiKey: KEY } };
    const faults: FaultInput[] = [
      { kind: "server_error" },
      { kind: "cut" },
      { kind: "bad_json" },
      { kind: "geo_block" },
      { kind: "rate_limit", retryAfter: 99 },
      { kind: "delay", delayMs: 3000 },
    ];
    for (const fault of faults) {
      for (const api of ["pythHistory", "pythHermes", "pythLazer"] as const) market.setFault(api, fault);
      const deps = { clock, wallClock: new HandClock("2026-11-21T10:00:00Z"), publishDelaySeconds: 2, logger };
      const feed = createMarketFeed({ sources: createSources(config, deps), feeds: config, clock, logger });
      for (const call of [
        (): Promise<unknown> => feed.candles("SPYX", lastMinutes(5)),
        (): Promise<unknown> => feed.price("SPYX"),
      ]) {
        await assert.rejects(call(), (error: unknown) => lines.push(error) > 0);
      }
      market.clearFaults();
    }
    const everything = inspect(lines, {
      depth: Infinity,
      showHidden: true,
      maxStringLength: Infinity,
      maxArrayLength: Infinity,
    });
    assert.ok(everything.includes("feed/all_sources_failed"));
    assert.equal(everything.includes(KEY), false);
  });
});
