import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import {
  coversUntil,
  coverageWarnings,
  EVENT_KINDS,
  firstEventFrom,
  parseEvents,
  readEvents,
  type EventKind,
} from "../../../src/market/events.ts";
import { OperationalError } from "../../../src/errors.ts";
import { unixSeconds } from "../../../src/units.ts";

const TABLE = path.resolve(import.meta.dirname, "../../../config/events.json");
const MARKET = path.resolve(import.meta.dirname, "../../../../shared/market");

/** ICU's time zone data as the other implementation of New York's clock. */
const NEW_YORK = new Intl.DateTimeFormat("en-US", {
  timeZone: "America/New_York",
  weekday: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

function at(iso: string): number {
  return Date.parse(iso) / 1000;
}

function table(events: readonly { kind: string; time: string }[], rest: object = {}): unknown {
  return { source: "a test", checked: "2026-01-01", notes: [], events, ...rest };
}

function messageOf(json: unknown): string {
  try {
    parseEvents(json);
  } catch (error) {
    assert.ok(error instanceof OperationalError && error.code === "events/bad_table");
    return error.message;
  }
  return assert.fail("expected the table to be refused");
}

describe("config/events.json", () => {
  const events = readEvents(TABLE);

  it("has every event at 08:30 or 14:00 of a New York weekday, by ICU", () => {
    for (const { kind, time } of events) {
      const local = NEW_YORK.format(time * 1000);
      assert.match(
        local,
        kind === "fomc" ? /^(Mon|Tue|Wed|Thu|Fri),? 14:00:00$/ : /^(Mon|Tue|Wed|Thu|Fri),? 08:30:00$/,
      );
    }
  });

  it("has each event once, about monthly (eight meetings a year)", () => {
    const count = (kind: EventKind, year: number) =>
      events.filter((own) => own.kind === kind && new Date(own.time * 1000).getUTCFullYear() === year).length;
    assert.equal(new Set(events.map(({ kind, time }) => `${kind} ${String(time)}`)).size, events.length);
    // Two releases of 2025 never came: the shutdown.
    assert.deepEqual([count("cpi", 2025), count("payrolls", 2025), count("fomc", 2025)], [11, 11, 8]);
    assert.deepEqual([count("cpi", 2026), count("payrolls", 2026), count("fomc", 2026)], [12, 12, 8]);
    assert.equal(count("fomc", 2027), 8);
    for (const kind of EVENT_KINDS) {
      const own = events.filter((event) => event.kind === kind).map(({ time }) => time / 86_400);
      for (let i = 1; i < own.length; i++) {
        assert.ok(own[i]! - own[i - 1]! >= 20 && own[i]! - own[i - 1]! <= 80, `${kind} ${String(own[i])}`);
      }
    }
  });

  it("stands out in the recorded candles of 2025, where the same time a week later does not", (test) => {
    if (!existsSync(MARKET)) {
      test.skip(`no recorded market at ${MARKET}`);
      return;
    }
    const ranges = new Map<number, number>();
    for (let month = 1; month <= 12; month++) {
      const file = path.join(MARKET, `5m/BTC/2025-${String(month).padStart(2, "0")}.csv.gz`);
      for (const line of gunzipSync(readFileSync(file)).toString().split("\n").slice(1)) {
        const [t, , high, low] = line.split(",").map(Number);
        if (t) ranges.set(t, Math.log(high! / low!));
      }
    }
    /** High over low of the five minutes from `time`, over the mean of the two hours before. */
    const surprise = (time: number): number => {
      let before = 0;
      for (let k = 1; k <= 24; k++) before += ranges.get(time - 300 * k)! / 24;
      return ranges.get(time)! / before;
    };
    const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
    for (const kind of EVENT_KINDS) {
      const own = events.filter((event) => event.kind === kind && event.time < at("2026-01-01T00:00Z"));
      const seen = own.map(({ time }) => surprise(time));
      const weekAfter = own.map(({ time }) => surprise(time + 86_400 * 7));
      assert.ok(median(seen) > 3, `${kind}: ${String(median(seen))}`);
      assert.ok(median(weekAfter) < 2, `${kind}: ${String(median(weekAfter))}`);
      // The weakest of the thirty is 2.8; the median day has 1.4 at 08:30 and 0.9 at 14:00.
      assert.ok(Math.min(...seen) > 2.5, `${kind}: ${String(Math.min(...seen))}`);
    }
  });
});

describe("a table of events", () => {
  it("is refused with every wrong row named", () => {
    assert.match(
      messageOf(table([{ kind: "cpi", time: "2025-07-15T13:30:00Z" }])),
      /expected 08:30:00 .* found 09:30:00/,
    );
    assert.match(
      messageOf(table([{ kind: "fomc", time: "2025-12-10T18:00:00Z" }])),
      /expected 14:00:00 .* found 13:00:00/,
    );
    assert.match(messageOf(table([{ kind: "cpi", time: "2025-07-12T12:30:00Z" }])), /weekday/);
    assert.match(messageOf(table([{ kind: "ppi", time: "2025-07-15T12:30:00Z" }])), /kind/);
    assert.match(messageOf(table([{ kind: "cpi", time: "2025-07-15" }])), /time/);
    const row = { kind: "cpi", time: "2025-07-15T12:30:00Z" };
    assert.match(messageOf(table([row, row])), /once/);
    const later = { kind: "cpi", time: "2025-08-12T12:30:00Z" };
    const both = messageOf(table([later, row, { kind: "fomc", time: "2025-12-10T18:00:00Z" }]));
    assert.match(both, /sorted/);
    assert.match(both, /events\[2\]/);
    assert.match(messageOf(table([], { surprise: 1 })), /surprise/);
  });

  it("of any content is taken or refused, never a crash", () => {
    const row = fc.record({
      kind: fc.oneof(fc.constantFrom("cpi", "fomc", "payrolls"), fc.string()),
      time: fc.oneof(fc.date({ noInvalidDate: false }).map(String), fc.constant("2025-07-15T12:30:00Z"), fc.string()),
    });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.jsonValue(),
          fc.array(fc.oneof(row, fc.jsonValue())).map((events) => ({ events })),
        ),
        (own) => {
          try {
            parseEvents(typeof own === "object" && own !== null && "events" in own ? table(own.events as never) : own);
          } catch (error) {
            assert.ok(error instanceof OperationalError && error.code === "events/bad_table", String(error));
          }
        },
      ),
    );
  });

  it("that is missing or no JSON is another error than a wrong one", () => {
    for (const file of [path.join(import.meta.dirname, "no-such-file.json"), import.meta.filename]) {
      assert.throws(() => readEvents(file), { name: "OperationalError", code: "events/unreadable" });
    }
  });

  it("is searched as a scan would", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 50 })), fc.integer({ min: -1, max: 51 }), (times, time) => {
        const events = times.sort((a, b) => a - b).map((own) => ({ kind: "cpi" as const, time: unixSeconds(own) }));
        const expected = events.findIndex((event) => event.time >= time);
        assert.equal(firstEventFrom(events, time), expected < 0 ? events.length : expected);
      }),
    );
  });

  it("warns of each kind that ends within sixty days", () => {
    const events = parseEvents(
      table([
        { kind: "cpi", time: "2025-07-15T12:30:00Z" },
        { kind: "payrolls", time: "2025-08-01T12:30:00Z" },
        { kind: "cpi", time: "2025-08-12T12:30:00Z" },
      ]),
    );
    assert.equal(coversUntil(events, "cpi"), at("2025-08-12T12:30:00Z"));
    assert.equal(coversUntil(events, "fomc"), null);
    const kinds = (now: string) =>
      coverageWarnings(events, unixSeconds(at(now))).map((warning) =>
        EVENT_KINDS.find((kind) => warning.includes(kind)),
      );
    assert.deepEqual(kinds("2025-05-01T00:00:00Z"), ["fomc"]);
    assert.deepEqual(kinds("2025-06-03T00:00:00Z"), ["payrolls", "fomc"]);
    assert.deepEqual(kinds("2025-06-14T00:00:00Z"), ["cpi", "payrolls", "fomc"]);
    assert.deepEqual(kinds("2026-06-14T00:00:00Z"), ["cpi", "payrolls", "fomc"]);
  });
});
