import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { OperationalError } from "../../../src/errors.ts";
import { parseKlines, parseTicker } from "../../../src/feeds/binance/parse.ts";
import { parseAllMids, parseCandleSnapshot } from "../../../src/feeds/hyperliquid/parse.ts";
import { parseHermes, parseHistory, parseLazer } from "../../../src/feeds/pyth/parse.ts";
import { selectCandles } from "../../../src/feeds/source.ts";
import type { Candle } from "../../../src/market/candle.ts";
import { unixSeconds } from "../../../src/units.ts";

const BTC_ID = "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43";

function fixture(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../fixtures/feeds/${name}.json`, import.meta.url), "utf8"));
}

describe("payloads in their documented shape", () => {
  it("reads Binance klines and prices", () => {
    const candles = parseKlines(fixture("binance-klines"));
    assert.equal(candles.length, 3);
    const first = {
      openTime: 1749567600,
      open: 109345.99,
      high: 109372,
      low: 109345.98,
      close: 109366.48,
      volume: 5.86342,
    };
    assert.deepEqual(candles[0], first);
    assert.equal(parseTicker({ symbol: "BTCUSDT", price: "109320.01000000" }, "BTCUSDT"), 109320.01);
  });

  it("reads Hyperliquid candles and mids, leaving out mids that are no price", () => {
    const candles = parseCandleSnapshot(fixture("hyperliquid-candles"), "xyz:GOLD");
    assert.deepEqual(candles[0], {
      openTime: 1749567600,
      open: 3325.1,
      high: 3325.6,
      low: 3324.9,
      close: 3325.4,
      volume: 12.345,
    });
    assert.deepEqual(parseCandleSnapshot(fixture("hyperliquid-candles"), "xyz:CL"), [null, null]);
    const mids = parseAllMids(fixture("hyperliquid-all-mids"));
    assert.deepEqual([...mids.keys()], ["BTC", "@107", "PURR/USDC", "xyz:GOLD"]);
    assert.equal(mids.get("@107"), 38.9125);
  });

  it("reads Pyth history, Hermes and Lazer", () => {
    const candles = parseHistory(fixture("pyth-history"));
    assert.deepEqual(candles[0], {
      openTime: 1749567600,
      open: 3325.1,
      high: 3325.6,
      low: 3324.9,
      close: 3325.4,
      volume: 0,
    });
    assert.equal(candles[2], null);
    assert.deepEqual(parseHistory({ s: "no_data" }), []);
    assert.deepEqual(parseHermes(fixture("pyth-hermes"), BTC_ID), { price: 109320.01, asOfMs: 1749567722000 });
    assert.deepEqual(parseLazer(fixture("pyth-lazer"), 1), { price: 109320.01, asOfMs: 1749567722400 });
    const untimed = { parsed: { priceFeeds: [{ price: "10932001000000", exponent: -8 }] } };
    assert.deepEqual(parseLazer(untimed, 1), { price: 109320.01, asOfMs: null });
  });
});

describe("payloads out of shape", () => {
  const parsers: readonly [string, (payload: unknown) => unknown][] = [
    ["klines", parseKlines],
    ["ticker", (payload) => parseTicker(payload, "BTCUSDT")],
    ["candleSnapshot", (payload) => parseCandleSnapshot(payload, "xyz:GOLD")],
    ["allMids", parseAllMids],
    ["history", parseHistory],
    ["hermes", (payload) => parseHermes(payload, BTC_ID)],
    ["lazer", (payload) => parseLazer(payload, 1)],
  ];
  const shapes = [
    "binance-klines",
    "hyperliquid-candles",
    "hyperliquid-all-mids",
    "pyth-history",
    "pyth-hermes",
    "pyth-lazer",
  ].map(fixture);

  /** A fixture with one value somewhere replaced. */
  function mutated(payload: unknown, path: readonly number[], value: unknown): unknown {
    const [step, ...rest] = path;
    if (step === undefined || typeof payload !== "object" || payload === null) return value;
    const keys = Object.keys(payload);
    if (keys.length === 0) return value;
    const key = keys[step % keys.length]!;
    const copy = (Array.isArray(payload) ? [...(payload as unknown[])] : { ...payload }) as Record<string, unknown>;
    copy[key] = mutated(copy[key], rest, value);
    return copy;
  }

  for (const [name, parse] of parsers) {
    it(`${name}: whatever arrives, nothing but OperationalError is thrown`, () => {
      const payload = fc.oneof(
        fc.anything(),
        fc
          .tuple(fc.constantFrom(...shapes), fc.array(fc.nat(20), { maxLength: 6 }), fc.anything())
          .map(([shape, path, value]) => mutated(shape, path, value)),
      );
      fc.assert(
        fc.property(payload, (value) => {
          try {
            parse(value);
          } catch (error) {
            assert.ok(error instanceof OperationalError && error.code.startsWith("feed/"));
          }
        }),
        { numRuns: 300 },
      );
    });
  }

  it("names what is wrong by code", () => {
    const codeOf = (parse: () => unknown): string => {
      try {
        parse();
      } catch (error) {
        if (error instanceof OperationalError) return error.code;
      }
      return "nothing thrown";
    };
    assert.equal(
      codeOf(() => parseKlines({ code: -1121, msg: "Invalid symbol." })),
      "feed/bad_payload",
    );
    assert.equal(
      codeOf(() => parseTicker({ symbol: "BTCUSDT", price: "" }, "BTCUSDT")),
      "feed/bad_payload",
    );
    assert.equal(
      codeOf(() => parseTicker({ symbol: "BTCUSDT", price: "-1" }, "BTCUSDT")),
      "feed/bad_payload",
    );
    assert.equal(
      codeOf(() => parseTicker({ symbol: "ETHUSDT", price: "1" }, "BTCUSDT")),
      "feed/bad_payload",
    );
    assert.equal(
      codeOf(() => parseHistory({ s: "ok", t: [1], o: [], h: [1], l: [1], c: [1] })),
      "feed/bad_payload",
    );
    assert.equal(
      codeOf(() => parseHistory({ s: "error", errmsg: "unknown symbol" })),
      "feed/refused",
    );
    assert.equal(
      codeOf(() => parseHermes({ parsed: [] }, BTC_ID)),
      "feed/no_data",
    );
    assert.equal(
      codeOf(() => parseLazer({ parsed: { priceFeeds: [] } }, 1)),
      "feed/no_data",
    );
  });
});

describe("selectCandles", () => {
  const options = {
    range: { from: unixSeconds(600), to: unixSeconds(1200) },
    nowSeconds: 1000,
    publishDelaySeconds: 2,
  };
  const at = (openTime: number, change: Partial<Candle> = {}): Candle => {
    return { openTime: unixSeconds(openTime), open: 10, high: 12, low: 9, close: 11, volume: 1, ...change };
  };

  it("keeps closed candles of the range only, ascending, the last of duplicates", () => {
    const rows = [at(960), at(900, { close: 10 }), at(720), at(600), at(540), at(720, { close: 12 })];
    const { candles, invalid } = selectCandles(rows, options);
    assert.deepEqual(
      candles.map(({ openTime, close }) => [openTime, close]),
      [
        [600, 11],
        [720, 12],
        [900, 10],
      ],
    );
    assert.equal(invalid, 0);
  });

  it("waits for the publisher: a candle counts once its minute and the delay are over", () => {
    const count = (nowSeconds: number): number => selectCandles([at(900)], { ...options, nowSeconds }).candles.length;
    assert.deepEqual([959, 961, 962].map(count), [0, 0, 1]);
  });

  it("counts and drops what cannot be a minute bar", () => {
    const broken = [
      null,
      at(630),
      at(660, { high: 10 }),
      at(720, { low: 0 }),
      at(780, { close: Number.NaN }),
      at(840, { volume: -1 }),
    ];
    assert.deepEqual(selectCandles([...broken, at(600)], options), { candles: [at(600)], invalid: broken.length });
  });
});
