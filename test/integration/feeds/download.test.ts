import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { readTimeline } from "../../../src/evaluation/backtest/data.ts";
import { CandleArchive } from "../../../src/feeds/recorded/archive.ts";
import { downloadCandles, type DownloadOptions } from "../../../src/feeds/recorded/download.ts";
import { ScriptedFeed, scriptedCandles } from "../../support/scripted-feed.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const DAY = 86_400;
/** Five days before a month ends. */
const START = Date.parse("2026-09-26T00:00:00Z") / 1000;

interface Setup extends DownloadOptions {
  readonly feed: ScriptedFeed;
  readonly clock: SteppedClock;
  readonly dir: string;
}

function setup(dir: string, days: number): Setup {
  return {
    feed: new ScriptedFeed(),
    dir: join(dir, "market"),
    from: START,
    clock: new SteppedClock(START + days * DAY),
    signal: new AbortController().signal,
    onProgress: () => undefined,
  };
}

function recorded(dir: string, to: number): ReturnType<CandleArchive["range"]> {
  return new CandleArchive(dir, "1m").range("BTC", 0, to);
}

describe("download of candles", () => {
  it("gives back what the feed has, across months, whatever the steps it is made in", async (test) => {
    const steps = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(steps, async (minutes) => {
        const own = setup(await tempFolder(test), 4);
        for (const count of [0, ...minutes]) {
          own.clock.advance(count * 60);
          await downloadCandles("BTC", own);
        }
        const to = own.clock.nowMs() / 1000;
        assert.deepEqual(recorded(own.dir, to), scriptedCandles("BTC", { from: START, to }));
        const asked = own.feed.asked.map(({ range }) => range);
        for (const [i, { from, to: end }] of asked.entries())
          assert.ok(end > from && (i === 0 || from === asked[i - 1]!.to));
      }),
      { numRuns: 4 },
    );
  });

  it("keeps a file a month, and says of what source it is", async (test) => {
    const own = setup(await tempFolder(test), 10);
    const { candles, newest, problem } = await downloadCandles("BTC", own);
    assert.deepEqual([candles, newest, problem], [10 * 1440, START + 10 * DAY - 60, null]);
    assert.deepEqual(await readdir(join(own.dir, "1m/BTC")), ["2026-09.csv.gz", "2026-10.csv.gz"]);
    const segments = await readFile(join(own.dir, "segments.csv"), "utf8");
    assert.equal(
      segments,
      "asset,res,start_utc,end_utc,instrument\nBTC,1m,2026-09-26 00:00:00,2026-10-05 23:59:00,binance\n",
    );
  });

  it("goes on where a source failed, and tells of it", async (test) => {
    const own = setup(await tempFolder(test), 10);
    own.feed.scripts.set("BTC", { fails: true });
    assert.match((await downloadCandles("BTC", own)).problem!, /scripted failure/);
    own.feed.scripts.delete("BTC");
    const failing = own.feed.candles.bind(own.feed);
    let calls = 0;
    own.feed.candles = (...args) => {
      own.feed.scripts.set("BTC", { fails: ++calls === 2 });
      return failing(...args);
    };
    const first = await downloadCandles("BTC", own);
    assert.deepEqual([first.candles, first.problem !== null], [5 * 1440, true]);
    assert.equal((await downloadCandles("BTC", own)).candles, 5 * 1440);
    assert.equal(recorded(own.dir, START + 20 * DAY).length, 10 * 1440);
  });

  it("draws a border where the source changes, so that no return is taken across", async (test) => {
    const own = setup(await tempFolder(test), 2);
    await downloadCandles("BTC", own);
    own.clock.advance(DAY);
    own.feed.scripts.set("BTC", { source: "pyth" });
    await downloadCandles("BTC", own);
    own.clock.advance(DAY);
    await downloadCandles("BTC", own);
    assert.equal(recorded(own.dir, START + 4 * DAY).length, 4 * 1440 - 1);
    const source = { dir: own.dir, resolution: "1m", folder: "BTC", priceFactor: 1 } as const;
    const { runStarts } = readTimeline(source, START, START + 4 * DAY);
    assert.deepEqual([...new Set(runStarts)], [START + 60, START + 2 * DAY + 120]);
  });

  it("goes on from what a killed run wrote, though it listed more", async (test) => {
    const own = setup(await tempFolder(test), 2);
    await downloadCandles("BTC", own);
    const path = join(own.dir, "segments.csv");
    const listed = (await readFile(path, "utf8")).replace("2026-09-27 23:59", "2026-09-28 23:59");
    await writeFile(path, listed);
    own.clock.advance(DAY);
    own.feed.scripts.set("BTC", { source: "pyth" });
    await downloadCandles("BTC", own);
    assert.match(
      await readFile(path, "utf8"),
      /BTC,1m,2026-09-26 00:00:00,2026-09-27 23:59:00,binance\nBTC,1m,2026-09-28 00:01:00/,
    );
  });

  it("leaves holes as they are, and begins where the market does", async (test) => {
    const own = setup(await tempFolder(test), 10);
    const open = START + 8 * DAY;
    own.feed.scripts.set("BTC", {
      edit: (candles) => candles.filter(({ openTime }) => openTime >= open && openTime !== open + 60),
    });
    assert.equal((await downloadCandles("BTC", own)).candles, 2 * 1440 - 1);
    assert.deepEqual(
      recorded(own.dir, open + 180).map(({ openTime }) => openTime - open),
      [0, 120],
    );
  });

  it("does not add to a folder of other recordings", async (test) => {
    const own = setup(await tempFolder(test), 1);
    await downloadCandles("BTC", own);
    await writeFile(
      join(own.dir, "segments.csv"),
      "asset,res,start_utc,end_utc,instrument\nBTC,5m,2026-01-01,2026-02-01,x\n",
    );
    own.clock.advance(DAY);
    await assert.rejects(downloadCandles("BTC", own), { code: "market/bad_file" });
  });

  it("stops when told to", async (test) => {
    const stop = new AbortController();
    const own = { ...setup(await tempFolder(test), 10), signal: stop.signal };
    own.onProgress = () => {
      stop.abort();
    };
    const { candles, problem } = await downloadCandles("BTC", own);
    assert.deepEqual([candles, problem], [5 * 1440, "interrupted"]);
  });
});
