import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OperationalError } from "../../../src/errors.ts";
import type { Source } from "../../../src/feeds/feed.ts";
import { createMarketFeed, type MergedFeed } from "../../../src/feeds/merge.ts";
import { silentLogger } from "../../../src/log.ts";
import type { SourceName } from "../../../src/market/assets.ts";
import type { Candle } from "../../../src/market/candle.ts";
import { unixSeconds } from "../../../src/units.ts";
import { HandClock } from "../../support/recorded-market-feeds.ts";

const clock = new HandClock("2026-03-02T12:00:00Z");
const now = clock.nowMs() / 1000;
const range = { from: unixSeconds(now - 3600), to: unixSeconds(now) };

function candlesUntil(end: number): Candle[] {
  const first = Math.ceil(range.from / 60) * 60;
  return Array.from({ length: Math.max(0, (end - first) / 60) }, (_, index) => {
    return { openTime: unixSeconds(first + index * 60), open: 1, high: 1, low: 1, close: 1, volume: 1 };
  });
}

type Script = Partial<{ candles: () => Promise<readonly Candle[]>; price: (signal?: AbortSignal) => Promise<number> }>;

function scripted(name: SourceName, script: Script): Source {
  return {
    name,
    hasCandles: () => script.candles !== undefined,
    hasPrice: () => script.price !== undefined,
    fetchCandles: () => script.candles!(),
    fetchPrice: async (_asset, signal) => ({ price: await script.price!(signal), source: name, asOfMs: clock.nowMs() }),
  };
}

const down = (): Promise<never> => Promise.reject(new OperationalError("feed/timeout", "down"));

function feedOf(binance: Script, pyth: Script, priceTimeoutMs = 1000): MergedFeed {
  const sources = [scripted("pyth", pyth), scripted("binance", binance)];
  return createMarketFeed({ sources, feeds: { priceTimeoutMs, priceMaxJump: 0.1 }, clock, logger: silentLogger });
}

async function failuresOf(answer: Promise<unknown>): Promise<unknown> {
  const error = await answer.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof OperationalError);
  assert.equal(error.code, "feed/all_sources_failed");
  return (error.details["failures"] as { source: string; code: string }[]).map(
    ({ source, code }) => `${source} ${code}`,
  );
}

describe("createMarketFeed: candles", () => {
  const full = (): Promise<Candle[]> => Promise.resolve(candlesUntil(now));

  it("asks the scored source first and no other when it answers", async () => {
    const feed = feedOf({ candles: full }, { candles: down });
    const answer = await feed.candles("BTC", range);
    assert.deepEqual([answer.source, answer.candles.length, answer.failures], ["binance", 60, []]);
    assert.deepEqual(Object.fromEntries(feed.counters), { "candles/BTC/binance/answered": 1 });
  });

  it("falls back, names the failure and counts it", async () => {
    const feed = feedOf({ candles: down }, { candles: full });
    const answer = await feed.candles("BTC", range);
    assert.equal(answer.source, "pyth");
    assert.deepEqual(
      answer.failures.map(({ source, code }) => [source, code]),
      [["binance", "feed/timeout"]],
    );
    assert.equal(feed.counters.get("candles/BTC/fallback"), 1);
    assert.equal(feed.counters.get("candles/BTC/binance/feed/timeout"), 1);
  });

  it("prefers a fresher source to one that stopped, by name", async () => {
    const stale = (): Promise<Candle[]> => Promise.resolve(candlesUntil(now - 1200));
    const answer = await feedOf({ candles: stale }, { candles: full }).candles("BTC", range);
    assert.deepEqual([answer.source, answer.failures[0]?.code], ["pyth", "feed/stale"]);
  });

  it("keeps the scored source when none is fresher, and says that it is stale", async () => {
    const stale = (): Promise<Candle[]> => Promise.resolve(candlesUntil(now - 1200));
    for (const other of [stale, down, (): Promise<Candle[]> => Promise.resolve([])]) {
      const feed = feedOf({ candles: stale }, { candles: other });
      const answer = await feed.candles("BTC", range);
      assert.deepEqual([answer.source, answer.failures[0]?.code, answer.candles.length], ["binance", "feed/stale", 40]);
      assert.equal(feed.counters.has("candles/BTC/fallback"), false);
    }
  });

  describe("a long range whose beginning is missing", () => {
    const DAY = 86_400;
    const long = { from: unixSeconds(now - 5 * DAY), to: unixSeconds(now) };
    /** A minute candle at every `every`th minute of the last days, at a level that tells the source. */
    const lastDays = (days: number, level: number, { every = 1, end = now } = {}) =>
      scriptOf(
        Array.from({ length: Math.floor((days * DAY) / 60 / every) }, (_, index) => end - (index + 1) * every * 60)
          .reverse()
          .map((time) => ({ ...candlesUntil(now)[0]!, openTime: unixSeconds(time), close: level })),
      );
    const scriptOf =
      (candles: readonly Candle[]): (() => Promise<readonly Candle[]>) =>
      () =>
        Promise.resolve(candles);
    const ask = async (scored: Script["candles"], other: Script["candles"], asked = long): Promise<unknown[]> => {
      const feed = feedOf({ candles: scored! }, { candles: other! });
      const answer = await feed.candles("BTC", asked);
      assert.equal(new Set(answer.candles.map(({ close }) => close)).size, 1, "two sources were joined");
      assert.equal(feed.counters.get("candles/BTC/fallback") ?? 0, answer.source === "pyth" ? 1 : 0);
      return [answer.source, answer.failures.map(({ source, code }) => `${source} ${code}`)];
    };

    it("is answered by a source with clearly more of it, by name", async () => {
      assert.deepEqual(await ask(lastDays(3.4, 1), lastDays(5, 2)), ["pyth", ["binance feed/short_history"]]);
    });

    it("stays with the scored source, by name, where no other is worth more", async () => {
      const short = "binance feed/short_history";
      const kept = ["binance", [short]];
      assert.deepEqual(await ask(lastDays(3.4, 1), lastDays(4, 2)), kept);
      // Sessions only: from the beginning, but fewer minutes.
      assert.deepEqual(await ask(lastDays(3.4, 1), lastDays(5, 2, { every: 4 })), kept);
      assert.deepEqual(await ask(lastDays(3.4, 1), down), ["binance", [short, "pyth feed/timeout"]]);
      const stale = lastDays(5, 2, { end: now - 3600 });
      assert.deepEqual(await ask(lastDays(3.4, 1), stale), ["binance", [short, "pyth feed/stale"]]);
    });

    it("asks nobody else for a late start within a tenth, or within a short range", async () => {
      assert.deepEqual(await ask(lastDays(4.6, 1), down), ["binance", []]);
      const halfDay = { from: unixSeconds(now - DAY / 2), to: unixSeconds(now) };
      assert.deepEqual(await ask(lastDays(0.1, 1), down, halfDay), ["binance", []]);
    });
  });

  it("throws with every failure when none answers; a bug is not swallowed", async () => {
    const feed = feedOf({ candles: down }, { candles: down });
    assert.deepEqual(await failuresOf(feed.candles("BTC", range)), ["binance feed/timeout", "pyth feed/timeout"]);
    const bug = (): Promise<never> => Promise.reject(new TypeError("bug"));
    await assert.rejects(feedOf({ candles: bug }, { candles: full }).candles("BTC", range), TypeError);
  });
});

describe("createMarketFeed: prices", () => {
  const quoted = (price: number) => (): Promise<number> => Promise.resolve(price);
  const hanging = (signal?: AbortSignal): Promise<number> =>
    new Promise((_resolve, reject) => {
      signal?.addEventListener("abort", () => {
        reject(new OperationalError("feed/aborted", "given up"));
      });
    });

  it("a hanging source leaves the others their share of the budget", async () => {
    const feed = feedOf({ price: hanging }, { price: quoted(100) }, 40);
    assert.equal((await feed.price("BTC")).source, "pyth");
    assert.equal(feed.counters.get("price/BTC/binance/feed/timeout"), 1);
    const deaf = feedOf({ price: hanging }, { price: hanging }, 40);
    assert.deepEqual(await failuresOf(deaf.price("BTC")), ["binance feed/timeout", "pyth feed/timeout"]);
  });

  it("passes over a price that jumped against the last close", async () => {
    const feed = feedOf({ price: quoted(120) }, { price: quoted(101) });
    assert.equal((await feed.price("BTC", undefined, 100)).source, "pyth");
    assert.equal(feed.counters.get("price/BTC/binance/feed/price_jump"), 1);
    assert.equal((await feed.price("BTC")).price, 120);
    const jumped = feedOf({ price: quoted(120) }, { price: quoted(80) });
    assert.deepEqual(await failuresOf(jumped.price("BTC", undefined, 100)), [
      "binance feed/price_jump",
      "pyth feed/price_jump",
    ]);
  });

  it("a caller that gives up gets feed/aborted", async () => {
    const feed = feedOf({ price: hanging }, { price: quoted(1) });
    const controller = new AbortController();
    const answer = feed.price("BTC", controller.signal);
    controller.abort();
    await assert.rejects(answer, { code: "feed/aborted" });
  });
});
