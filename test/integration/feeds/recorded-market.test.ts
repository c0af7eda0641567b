import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { startRecordedMarket, type RecordedMarket } from "../../../src/feeds/recorded/server.ts";
import type { AssetSymbol } from "../../../src/market/assets.ts";
import { unixSeconds } from "../../../src/units.ts";
import { HandClock } from "../../support/recorded-market-feeds.ts";

const DAY = 86_400;
const WEEK = 7 * DAY;
const seconds = (iso: string): number => Date.parse(iso) / 1000;
const range = (
  from: number,
  to: number,
): { from: ReturnType<typeof unixSeconds>; to: ReturnType<typeof unixSeconds> } => {
  return { from: unixSeconds(from), to: unixSeconds(to) };
};

/** Minute bars whose close says their own time: price = 100 + minutes since `origin` / 1000. */
function csv(from: number, to: number, origin: number): string {
  const rows = ["t,o,h,l,c,v"];
  for (let time = from; time < to; time += 60) {
    const close = 100 + (time - origin) / 60_000;
    rows.push(`${time},${close - 0.001},${close + 0.002},${close - 0.002},${close},${time % 120 === 0 ? "" : "1.5"}`);
  }
  return rows.join("\n");
}

let dir: string;
const ORIGIN = seconds("2025-06-02T00:00:00Z");
/** ETH: ten days. BTC: two windows that touch, as segments.csv says. SOL: an hour. XRP: 5m only. */
const ETH_TO = ORIGIN + 10 * DAY;
const BTC_BORDER = seconds("2025-06-10T00:00:00Z");

before(async () => {
  dir = mkdtempSync(join(tmpdir(), "recorded-market-"));
  const write = async (path: string, text: string): Promise<void> => {
    await mkdir(join(dir, path, ".."), { recursive: true });
    await writeFile(join(dir, path), path.endsWith(".gz") ? gzipSync(text) : text);
  };
  await write("1m/ETH/2025-06.csv.gz", csv(ORIGIN, ETH_TO, ORIGIN));
  await write("1m/BTC/2025-06.csv", csv(ORIGIN, ETH_TO, ORIGIN));
  await write("1m/SOL/2025-06.csv", csv(ORIGIN, ORIGIN + 3600, ORIGIN));
  await write("5m/XRP/2025-06.csv", csv(ORIGIN, ORIGIN + 3600, ORIGIN));
  const segments = [
    "asset,res,start_utc,end_utc,bars,missing_pct,instrument,note",
    'BTC,1m,2025-06-02 00:00:00,2025-06-09 23:59:00,1,0,"perp, old",x',
    "BTC,1m,2025-06-10 00:00:00,2025-06-11 23:59:59 or the last bar before,(cut),,spot,x",
  ];
  await write("segments.csv", segments.join("\n"));
});
after(() => {
  rmSync(dir, { recursive: true, force: true });
});

async function withMarket(
  options: { now: string; start?: string },
  test: (market: RecordedMarket, clock: HandClock) => Promise<void>,
): Promise<void> {
  const clock = new HandClock(options.now);
  const market = await startRecordedMarket({
    dir,
    seed: 1,
    timeSource: clock,
    clock: { start: options.start ?? null },
  });
  try {
    await test(market, clock);
  } finally {
    await market.close();
  }
}

async function klines(
  market: RecordedMarket,
  query: string,
): Promise<[number, string, string, string, string, string][]> {
  const response = await fetch(`${market.urls.binance}/api/v3/klines?interval=1m&${query}`);
  return (await response.json()) as [number, string, string, string, string, string][];
}

describe("at recorded time", () => {
  const start = "2025-06-11T12:00:30Z";

  it("plays candles at their own time and says which asset plays what", async () => {
    await withMarket({ now: start, start }, async (market) => {
      const kinds = Object.fromEntries(market.sources().map(({ asset, description }) => [asset, description]));
      assert.match(kinds["ETH"]!, /^recorded ETH ETH 2025-06-02 00:00 to 2025-06-11 23:59$/);
      assert.match(kinds["BTC"]!, /^recorded BTC spot 2025-06-10 00:00 to/);
      assert.match(kinds["SOL"]!, /^generated \(seed 1\): not recorded around 2025-06-11 12:00$/);
      assert.match(kinds["XRP"]!, /^generated \(seed 1\): only 5m recorded$/);
      assert.match(kinds["SPCX"]!, /^generated \(seed 1\): no recording$/);
      const rows = await klines(market, `symbol=ETHUSDT&limit=2`);
      const minute = seconds("2025-06-11T12:00:00Z");
      assert.deepEqual(
        rows.map(([time]) => time / 1000),
        [minute - 60, minute],
      );
      assert.equal(Number(rows[0]![4]), 100 + (minute - 60 - ORIGIN) / 60_000);
      assert.deepEqual(
        rows.map(([, , , , , volume]) => Number(volume)),
        [1.5, 0],
      );
    });
  });

  it("the running candle has seen nothing beyond the clock, and nothing later is served", async () => {
    await withMarket({ now: start, start }, async (market, clock) => {
      const running = (await klines(market, `symbol=ETHUSDT&limit=1`))[0]!;
      const minute = seconds("2025-06-11T12:00:00Z");
      const whole = market.candles("ETH", range(minute, minute + 60))[0]!;
      const half = whole.open + (whole.close - whole.open) / 2;
      assert.ok(Math.abs(Number(running[4]) - half) < 1e-6);
      assert.ok(Number(running[2]) < whole.high);
      const later = await klines(market, `symbol=ETHUSDT&startTime=${(minute + 60) * 1000}`);
      assert.deepEqual(later, []);
      clock.advance(60_000);
      assert.equal((await klines(market, `symbol=ETHUSDT&startTime=${(minute + 60) * 1000}`)).length, 1);
    });
  });

  it("serves no window across a segment border, and hides what is before a recent one", async () => {
    await withMarket({ now: start, start }, async (market) => {
      const first = async (from: number): Promise<number | undefined> =>
        (
          await klines(market, `symbol=BTCUSDT&limit=1000&startTime=${from * 1000}&endTime=${(from + 50_000) * 1000}`)
        )[0]?.[0];
      assert.equal(await first(BTC_BORDER - 3600), BTC_BORDER * 1000);
      assert.equal(await first(BTC_BORDER - 2 * DAY), undefined);
    });
    const late = "2025-06-19T00:00:00Z";
    await withMarket({ now: "2025-06-11T12:00:00Z", start }, async (market, clock) => {
      clock.advance(Date.parse(late) - Date.parse(start));
      const old = await klines(
        market,
        `symbol=BTCUSDT&startTime=${(BTC_BORDER - 2 * DAY) * 1000}&endTime=${(BTC_BORDER - DAY) * 1000}`,
      );
      assert.equal(old[0]?.[0], (BTC_BORDER - 2 * DAY) * 1000);
    });
  });
});

describe("damaged recordings", () => {
  const start = "2025-06-11T12:00:00Z";
  const openWith = async (files: Record<string, string | Buffer>): Promise<RecordedMarket> => {
    const damaged = mkdtempSync(join(dir, "damaged-"));
    for (const [path, content] of Object.entries(files)) {
      await mkdir(join(damaged, path, ".."), { recursive: true });
      await writeFile(join(damaged, path), content);
    }
    return startRecordedMarket({ dir: damaged, seed: 1, timeSource: new HandClock(start), clock: { start } });
  };
  const descriptionOf = (market: RecordedMarket, asset: AssetSymbol): string =>
    market.sources().find((source) => source.asset === asset)!.description;

  it("rows out of order, doubled or of another month cost themselves only, and are counted", async () => {
    const [header, ...rows] = csv(ORIGIN, ETH_TO, ORIGIN).split("\n") as [string, ...string[]];
    const other = rows[5]!.replace(/,[^,]*$/, ",777");
    const far = rows[7]!.replace(/^\d+/, "4102444800");
    const lines = [header, far, rows[9]!, ...rows.slice(0, 9), ...rows.slice(10), other, "1,2", ""];
    const market = await openWith({ "1m/ETH/2025-06.csv": lines.join("\n") });
    try {
      assert.match(descriptionOf(market, "ETH"), /; 2025-06: 3 rows dropped \(1 invalid, 1 duplicate, 1 outside/);
      const candles = market.candles("ETH", range(ORIGIN, ETH_TO));
      assert.deepEqual(
        candles.map(({ openTime }) => openTime),
        rows.map((row) => Number(row.split(",")[0])),
      );
      assert.notEqual(candles[5]!.volume, 777);
    } finally {
      await market.close();
    }
  });

  it("files that are no candle files cost their asset's month only", async () => {
    const whole = csv(ORIGIN, ETH_TO, ORIGIN);
    const market = await openWith({
      "1m/ETH/2025-06.csv.gz": "",
      "1m/BTC/2025-05.csv": "garbage",
      "1m/BTC/2025-06.csv": whole,
      "1m/XRP/2025-06.csv.gz": gzipSync(whole).subarray(0, 1000),
    });
    try {
      assert.match(descriptionOf(market, "ETH"), /^generated .*; 2025-06: .*cannot be read/);
      assert.match(descriptionOf(market, "XRP"), /^generated .*; 2025-06: .*cannot be read/);
      assert.match(descriptionOf(market, "BTC"), /^recorded BTC .*; 2025-05: .*expected the header/);
      assert.equal(market.candles("BTC", range(ORIGIN, ETH_TO)).length, (ETH_TO - ORIGIN) / 60);
    } finally {
      await market.close();
    }
  });
});

describe("moved to now", () => {
  it("moves a recording by whole weeks, with six days of history behind now", async () => {
    for (const now of ["2026-11-21T10:00:00Z", "2026-11-24T23:59:30Z", "2027-01-01T00:00:00Z"]) {
      await withMarket({ now }, async (market) => {
        const nowSeconds = seconds(now);
        const minute = Math.floor(nowSeconds / 60) * 60;
        const history = market.candles("ETH", range(minute - 6 * DAY, minute));
        const description = market.sources().find(({ asset }) => asset === "ETH")!.description;
        const weeks = Number(/(\d+) weeks later/.exec(description)?.[1]);
        assert.ok(weeks > 0, description);
        for (const { openTime, close } of history) {
          const recordedTime = openTime - weeks * WEEK;
          assert.ok(Math.abs(close - (100 + (recordedTime - ORIGIN) / 60_000)) < 1e-9);
        }
        assert.ok(history.length > (2 * DAY) / 60, `${history.length}`);
        assert.equal((await klines(market, "symbol=ETHUSDT&limit=1"))[0]![0], minute * 1000);
      });
    }
  });

  it("plays again, whole weeks earlier and at the level it had, when the clock passes the end", async () => {
    await withMarket({ now: "2026-11-24T12:00:00Z" }, (market) => {
      const { description } = market.sources().find(({ asset }) => asset === "ETH")!;
      const weeks = Number(/(\d+) weeks later/.exec(description)![1]);
      const end = ETH_TO + weeks * WEEK;
      const around = market.candles("ETH", range(end - 3600, end + 3600));
      const times = around.map(({ openTime }) => openTime);
      // The first minute of the new pass is left out, as at every border of the recordings.
      assert.deepEqual(
        times.filter((time) => time >= end - 60 && time <= end + 60),
        [end - 60, end + 60],
      );
      const before = around.find(({ openTime }) => openTime === end - 60)!;
      const after = around.find(({ openTime }) => openTime === end + 60)!;
      assert.ok(Math.abs(after.open / before.close - 1) < 1e-9);
      const yearLater = market.candles("ETH", range(end + 52 * WEEK, end + 53 * WEEK));
      assert.equal(yearLater.length, WEEK / 60 - 1);
      assert.ok(yearLater.every(({ openTime }) => openTime % 60 === 0));
      return Promise.resolve();
    });
  });

  it("generates where the recording is too short", async () => {
    await withMarket({ now: "2026-11-24T12:00:00Z" }, (market) => {
      const { description } = market.sources().find(({ asset }) => asset === "SOL")!;
      assert.equal(description, "generated (seed 1): no window with enough history for now");
      return Promise.resolve();
    });
  });
});

describe("the APIs' own manners", () => {
  it("answers unknown symbols, intervals and ids as the hosts do", async () => {
    await withMarket({ now: "2026-11-24T12:00:00Z" }, async (market) => {
      const { urls } = market;
      const status = async (url: string, body?: unknown): Promise<number> => {
        const post = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
        return (await fetch(url, body === undefined ? {} : post)).status;
      };
      assert.equal(await status(`${urls.binance}/api/v3/klines?symbol=NOPE&interval=1m`), 400);
      assert.equal(await status(`${urls.binance}/api/v3/klines?symbol=BTCUSDT&interval=5m`), 400);
      assert.equal(await status(`${urls.binance}/api/v3/depth?symbol=BTCUSDT`), 404);
      assert.equal(await status(`${urls.hyperliquid}/info`, { type: "nope" }), 422);
      assert.equal(await status(`${urls.pythHermes}/v2/updates/price/latest?ids[]=00`), 404);
      assert.equal(
        await status(`${urls.pythLazer}/v1/latest_price`, { priceFeedIds: [-1], properties: ["price"] }),
        400,
      );
      const history = await fetch(`${urls.pythHistory}/history?symbol=Crypto.BTC/USD&resolution=1&from=100&to=200`);
      assert.deepEqual(await history.json(), { s: "no_data" });
      const mids = async (dex?: string): Promise<string[]> => {
        const body = JSON.stringify({ type: "allMids", ...(dex === undefined ? {} : { dex }) });
        const answer = await fetch(`${urls.hyperliquid}/info`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body,
        });
        return Object.keys((await answer.json()) as object);
      };
      assert.deepEqual(await mids(), ["@107"]);
      assert.ok((await mids("xyz")).includes("xyz:GOLD"));
    });
  });

  it("a taken port and a missing folder are named failures", async () => {
    const market = await startRecordedMarket({ dir: null, seed: 1 });
    try {
      const port = Number(new URL(market.urls.binance).port);
      await assert.rejects(startRecordedMarket({ dir: null, seed: 1, ports: [port] }), {
        code: "market/listen_failed",
      });
    } finally {
      await market.close();
    }
    await assert.rejects(startRecordedMarket({ dir: "/nowhere", seed: 1 }), { code: "market/no_directory" });
    const file = join(dir, "segments.csv");
    await assert.rejects(startRecordedMarket({ dir: file, seed: 1 }), {
      code: "market/no_directory",
      message: `${file} is not a directory`,
    });
  });

  it("runs at any speed from any start, and says what other processes need for the same clock", async () => {
    const clock = { start: "2030-01-01T00:00:00Z", speed: 1000 };
    const market = await startRecordedMarket({ dir: null, seed: 1, clock });
    try {
      assert.equal(market.rehearsal?.speed, 1000);
      assert.equal(market.rehearsal.start, "2030-01-01T00:00:00.000Z");
      assert.ok(market.clock.nowMs() >= Date.parse(clock.start));
      assert.ok(market.sources().every(({ kind }) => kind === "generated"));
    } finally {
      await market.close();
    }
  });
});

const SHARED = resolve(import.meta.dirname, "../../../../shared/market");

describe("the project's own recordings", { skip: existsSync(SHARED) ? false : `${SHARED} is not there` }, () => {
  it("plays them at their time, one instrument at a time, and generates the rest", async () => {
    const start = "2025-06-10T15:00:00Z";
    const timeSource = new HandClock(start);
    const market = await startRecordedMarket({ dir: SHARED, seed: 1, timeSource, clock: { start } });
    try {
      const recorded = market.sources().filter(({ kind }) => kind === "recorded");
      assert.deepEqual(
        recorded.map(({ asset }) => asset),
        ["BTC", "ETH", "SOL", "XRP"] satisfies AssetSymbol[],
      );
      const now = seconds(start);
      assert.equal(market.candles("BTC", range(now - 3 * DAY, now)).length, 4320);
      const spyStart = "2025-12-23T18:00:00Z";
      const later = await startRecordedMarket({
        dir: SHARED,
        seed: 1,
        timeSource: new HandClock(spyStart),
        clock: { start: spyStart },
      });
      const at = seconds(spyStart);
      const [index, share] = (["SP500", "SPYX"] as const).map(
        (asset) => later.candles(asset, range(at - 60, at))[0]!.close,
      );
      assert.ok(Math.abs(index! / share! - 10) < 1e-9);
      await later.close();
    } finally {
      await market.close();
    }
  });
});
