import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fitEventKernels, type EventObservation } from "../../../../src/evaluation/calibrate/fit-events.ts";
import type { EventKind } from "../../../../src/market/events.ts";
import { Random } from "../../../../src/math/random.ts";
import { unixSeconds } from "../../../../src/units.ts";
import { EVENT_EDGES, eventFactor, eventKernels, type EventKernels } from "../../../../src/volatility/event-kernel.ts";

const WEEK = 7 * 86_400;

function observation(changes: Partial<EventObservation>): EventObservation {
  return {
    ...{ kind: "cpi", assetClass: "crypto", asset: "BTC", eventTime: 0, secondsSinceEvent: 600, stepSeconds: 300 },
    ...{ absReturn: 0.002, expectedAbsReturn: 0.001 },
    ...changes,
  };
}

/** One five-minute bar ten minutes after each of these events, of the given ratios. */
function oneBarEach(ratios: readonly number[], changes: Partial<EventObservation> = {}): EventObservation[] {
  return ratios.map((ratio, i) => observation({ eventTime: i * WEEK, absReturn: ratio * 0.001, ...changes }));
}

function binAt(kernels: EventKernels, kind: EventKind, seconds: number) {
  return kernels.crypto[kind].find(({ from, to }) => from <= seconds && seconds < to)!;
}

/** A kernel of this kind with factors between 0.8 and 6, in bins of its own. */
function truth(): EventKernels {
  const factors = [0.8, 6, 2.5, 1.7, 1.4, 1.2, 2, 1.6, 1.3, 1.1];
  const bins = (kind: EventKind) =>
    EVENT_EDGES[kind].slice(1).map((to, i) => ({
      ...{ from: EVENT_EDGES[kind][i]!, to, factor: factors[i]!, events: 9, fallback: null },
    }));
  const kinds = { cpi: bins("cpi"), payrolls: bins("payrolls"), fomc: bins("fomc") };
  return { crypto: kinds, equity: kinds, commodity: kinds };
}

/** Gaussian |returns| whose standard deviation the true kernel multiplies. `stepOf`: bar length by event. */
function simulated(kind: EventKind, count: number, stepOf: (event: number) => number): EventObservation[] {
  const random = Random.fromSeed(`events/${kind}`);
  const made: EventObservation[] = [];
  for (let i = 0; i < count; i++) {
    const time = i * WEEK;
    const stepSeconds = stepOf(i);
    const effect = {
      kernels: truth(),
      assetClass: "crypto" as const,
      events: [{ kind, time: unixSeconds(time) }],
      knownUntil: -Infinity,
      startTime: -Infinity,
    };
    for (let since = -1800; since < 7200; since += stepSeconds) {
      const sigma = 0.001 * Math.sqrt(stepSeconds) * eventFactor(effect, time + since, time + since + stepSeconds);
      const expectedAbsReturn = 0.001 * Math.sqrt((2 * stepSeconds) / Math.PI);
      const absReturn = Math.abs(sigma * random.normal());
      made.push(
        observation({ kind, eventTime: time, secondsSinceEvent: since, stepSeconds, absReturn, expectedAbsReturn }),
      );
    }
  }
  return made;
}

describe("fit of event kernels", () => {
  it("finds the factors that the returns were drawn with, from minutes and from minutes mixed with five-minute bars", () => {
    for (const kind of ["cpi", "fomc"] as const) {
      for (const stepOf of [() => 60, (event: number) => (event % 2 === 0 ? 60 : 300)]) {
        const fitted = fitEventKernels(simulated(kind, 800, stepOf));
        for (const { from, factor } of truth().crypto[kind]) {
          // One return per event in the first minute: a standard error of 0.76 / sqrt(400) = 4 %, so four of them.
          const ratio = binAt(fitted, kind, from).factor / factor;
          assert.ok(Math.abs(ratio - 1) < 0.16, `${kind} ${String(from)}: ${String(ratio)}`);
        }
      }
    }
  });

  it("splits evenly what five-minute bars alone cannot tell apart", () => {
    const fitted = fitEventKernels(simulated("cpi", 1000, () => 300));
    const [first, second] = [binAt(fitted, "cpi", 0).factor, binAt(fitted, "cpi", 60).factor];
    assert.ok(Math.abs(first / second - 1) < 1e-9);
    const over5 = Math.sqrt((6 ** 2 + 4 * 2.5 ** 2) / 5);
    assert.ok(Math.abs(first / over5 - 1) < 0.1);
  });

  it("is the mean ratio, shrunk to 1 by three events, where bars lie within one bin", () => {
    const ratios = [1, 2, 3, 4, 5, 6];
    const bin = binAt(fitEventKernels(oneBarEach(ratios)), "cpi", 600);
    assert.deepEqual({ ...bin, factor: 0 }, { from: 300, to: 900, factor: 0, events: 6, fallback: null });
    assert.ok(Math.abs(bin.factor - (6 * 3.5 + 3) / 9) < 1e-9);
  });

  it("takes the part of a bar outside all bins at factor 1", () => {
    // Half of the bar in the last bin: 2² = 1/2 + f²/2.
    const bars = oneBarEach([2, 2, 2, 2, 2, 2], { secondsSinceEvent: 7050 });
    const { factor } = binAt(fitEventKernels(bars), "cpi", 7000);
    assert.ok(Math.abs(factor - (6 * Math.sqrt(7) + 3) / 9) < 1e-6);
  });

  it("lets events weigh the same, however many bars and assets saw them", () => {
    const more = Array.from({ length: 50 }, () => observation({ asset: "ETH", absReturn: 0.006, eventTime: 5 * WEEK }));
    const [one, many] = [[], more].map((rest) => fitEventKernels([...oneBarEach([1, 2, 3, 4, 5, 6]), ...rest]));
    assert.ok(Math.abs(binAt(one!, "cpi", 600).factor - binAt(many!, "cpi", 600).factor) < 1e-9);
  });

  it("stays within its bounds, whatever a bar says", () => {
    assert.equal(binAt(fitEventKernels(oneBarEach(Array(20).fill(1e9) as number[])), "cpi", 600).factor, 8);
    assert.equal(binAt(fitEventKernels(oneBarEach(Array(200).fill(0) as number[])), "cpi", 600).factor, 0.5);
  });

  it("falls back to 1 with a reason when fewer than six events were seen", () => {
    const bin = binAt(fitEventKernels(oneBarEach([9, 9, 9, 9, 9])), "cpi", 600);
    assert.equal(bin.factor, 1);
    assert.match(bin.fallback!, /^5 events/);
    assert.match(binAt(fitEventKernels([]), "fomc", 0).fallback!, /^0 events/);
    const twice = [...oneBarEach([9, 9, 9, 9, 9]), ...oneBarEach([9, 9, 9, 9, 9], { asset: "ETH" })];
    assert.equal(binAt(fitEventKernels(twice), "cpi", 600).factor, 1);
  });

  it("takes no bar without a sensible expectation, of another class or kind, or out of reach", () => {
    const good = oneBarEach([2, 2, 2, 2, 2, 2]);
    const others = [
      ...oneBarEach([50], { expectedAbsReturn: 0 }),
      ...oneBarEach([50], { expectedAbsReturn: NaN }),
      ...oneBarEach([50], { expectedAbsReturn: -0.001 }),
      ...oneBarEach([NaN]),
      ...oneBarEach([50], { assetClass: "equity", asset: "SP500" }),
      ...oneBarEach([50], { kind: "payrolls" }),
      ...oneBarEach([50], { secondsSinceEvent: 7200 }),
      ...oneBarEach([50], { secondsSinceEvent: -2100 }),
    ];
    const kernels = fitEventKernels([...good, ...others]);
    assert.deepEqual(kernels.crypto.cpi, fitEventKernels(good).crypto.cpi);
    assert.ok(eventKernels.safeParse(kernels).success);
  });
});
