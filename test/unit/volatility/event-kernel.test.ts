import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { EventKind, ScheduledEvent } from "../../../src/market/events.ts";
import { unixSeconds } from "../../../src/units.ts";
import {
  EVENT_EDGES,
  EVENT_REACH_SECONDS,
  eventFactor,
  eventKernels,
  eventsNear,
  type EventBin,
  type EventKernels,
} from "../../../src/volatility/event-kernel.ts";

/** Factors that differ by bin, kind and class. */
function kernels(): EventKernels {
  const kernel = (kind: EventKind, offset: number): EventBin[] =>
    EVENT_EDGES[kind].slice(1).map((to, i) => ({
      ...{
        from: EVENT_EDGES[kind][i]!,
        to,
        factor: i === 0 ? 0.75 : offset + ((7 * i) % 5),
        events: 9,
        fallback: null,
      },
    }));
  const kinds = (offset: number) => ({
    cpi: kernel("cpi", offset),
    payrolls: kernel("payrolls", offset + 0.5),
    fomc: kernel("fomc", offset + 0.25),
  });
  return { crypto: kinds(1), equity: kinds(1.25), commodity: kinds(1.5) };
}

function event(kind: EventKind, time: number): ScheduledEvent {
  return { kind, time: unixSeconds(time) };
}

const KERNELS = kernels();

/** The definition, second by second. */
function byBruteForce(events: readonly ScheduledEvent[], from: number, to: number): number {
  let variance = 0;
  for (let second = from; second < to; second++) {
    const factors = events.flatMap(({ kind, time }) =>
      KERNELS.crypto[kind]
        .filter((bin) => bin.from <= second - time && second - time < bin.to)
        .map(({ factor }) => factor),
    );
    variance += (factors.length > 0 ? Math.max(...factors) : 1) ** 2;
  }
  return Math.sqrt(variance / (to - from));
}

/** All of it is still to come. */
const AHEAD = { knownUntil: -Infinity, startTime: -Infinity };
const effect = (events: readonly ScheduledEvent[]) => ({
  ...{ kernels: KERNELS, assetClass: "crypto" as const, events },
  ...AHEAD,
});

const schedules = fc
  .array(
    fc.record({
      kind: fc.constantFrom<EventKind>("cpi", "payrolls", "fomc"),
      time: fc.integer({ min: 0, max: 40_000 }),
    }),
    {
      maxLength: 5,
    },
  )
  .map((events) => events.map(({ kind, time }) => event(kind, time)).sort((a, b) => a.time - b.time));

describe("factor of scheduled events", () => {
  it("equals the mean of squares over seconds, with overlapping events and steps of any length", () => {
    fc.assert(
      fc.property(
        schedules,
        fc.integer({ min: 0, max: 40_000 }),
        fc.integer({ min: 1, max: 9000 }),
        (events, from, length) => {
          const factor = eventFactor(effect(events), from, from + length);
          assert.ok(Math.abs(factor - byBruteForce(events, from, from + length)) < 1e-9);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("adds up in variance, so that five minutes say what their five do", () => {
    fc.assert(
      fc.property(schedules, fc.integer({ min: 0, max: 500 }), (events, minute) => {
        let minutes = 0;
        for (let k = 0; k < 5; k++)
          minutes += eventFactor(effect(events), 60 * (minute + k), 60 * (minute + k + 1)) ** 2 / 5;
        assert.ok(Math.abs(eventFactor(effect(events), 60 * minute, 60 * minute + 300) ** 2 - minutes) < 1e-9);
      }),
    );
  });

  it("is 1 out of reach, and begins and ends with it to the second", () => {
    const own = effect([event("cpi", 100_000)]);
    const start = 100_000 - EVENT_REACH_SECONDS.before;
    const end = 100_000 + EVENT_REACH_SECONDS.after;
    assert.equal(eventFactor(effect([]), 0, 60), 1);
    assert.equal(eventFactor(own, start - 60, start), 1);
    assert.notEqual(eventFactor(own, start - 59, start + 1), 1);
    assert.notEqual(eventFactor(own, end - 1, end + 59), 1);
    assert.equal(eventFactor(own, end, end + 60), 1);
  });

  it("is the class's own", () => {
    const events = [event("fomc", 1000)];
    const factors = (["crypto", "equity", "commodity"] as const).map((assetClass) =>
      eventFactor({ kernels: kernels(), assetClass, events, ...AHEAD }, 1000, 1060),
    );
    assert.deepEqual(factors, [3.25, 3.5, 3.75]);
  });

  it("fades as the levels take the news in, without a cliff", () => {
    const news = event("cpi", 100_000);
    const at = (sinceNews: number): number => {
      const startTime = news.time + sinceNews;
      const own = { ...effect([news]), startTime, knownUntil: startTime - 60 };
      return Math.log(eventFactor(own, news.time + 1200, news.time + 1260));
    };
    const whole = at(-600);
    const shares = [0, 60, 120, 600, 1140].map((sinceNews) => at(sinceNews) / whole);
    assert.deepEqual(
      shares.map((share) => Number(share.toFixed(3))),
      [1, 0.5, 0.187, 0.107, 0.057],
    );
  });

  it("keeps the press conference whole until it begins", () => {
    const news = event("fomc", 100_000);
    const from = news.time + 1800;
    const at = (startTime: number): number =>
      eventFactor({ ...effect([news]), startTime, knownUntil: startTime - 60 }, from, from + 60);
    assert.equal(at(news.time + 1740), at(news.time - 3600));
    assert.ok(at(from + 120) < at(from));
  });

  it("tells which events a bar belongs to", () => {
    const events = [event("cpi", 10_000), event("fomc", 16_000)];
    assert.deepEqual(eventsNear(events, 9700, 10_000), [{ kind: "cpi", eventTime: 10_000, secondsSinceEvent: -300 }]);
    assert.deepEqual(
      eventsNear(events, 15_900, 16_200).map(({ kind, secondsSinceEvent }) => [kind, secondsSinceEvent]),
      [
        ["cpi", 5900],
        ["fomc", -100],
      ],
    );
    assert.deepEqual(eventsNear(events, 17_200, 17_500).length, 1);
    assert.deepEqual(eventsNear(events, 7900, 8200), []);
    assert.deepEqual(eventsNear(events, 23_200, 23_500), []);
  });
});

describe("stored kernels", () => {
  it("survive JSON, and are refused beyond the bounds, out of order or with unknown keys", () => {
    const whole = kernels();
    assert.deepEqual(eventKernels.parse(JSON.parse(JSON.stringify(whole))), whole);
    const withBins = (bins: readonly object[]) => ({ ...whole, crypto: { ...whole.crypto, cpi: bins } });
    const bin = whole.crypto.cpi[0]!;
    const wrong = [
      [{ ...bin, factor: 8.1 }],
      [{ ...bin, factor: 0.4 }],
      [{ ...bin, from: -1801 }],
      [{ ...bin, to: 7201 }],
      [bin, bin],
      [{ ...bin, from: 0, to: 0 }],
      [{ ...bin, sigma: 1 }],
    ];
    assert.ok(eventKernels.safeParse(withBins([bin])).success);
    assert.deepEqual(
      wrong.map((bins) => eventKernels.safeParse(withBins(bins)).success),
      wrong.map(() => false),
    );
  });
});
