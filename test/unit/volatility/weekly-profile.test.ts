import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { weekSessionShares } from "../../../src/market/session.ts";
import { Random } from "../../../src/math/random.ts";
import {
  countSeasonality,
  emptySeasonality,
  MINUTE_BINS,
  minuteBin,
  weekBin,
  weightAt,
  WEEK_BINS,
  type BarReturn,
} from "../../../src/volatility/seasonality.ts";
import type { SeasonalityStats } from "../../../src/volatility/state.ts";
import {
  seasonalFactor,
  smoothCircular,
  weeklyProfile,
  type ProfilePrior,
  type WeeklyProfile,
} from "../../../src/volatility/weekly-profile.ts";

const DAY = 86_400;
const WEEK = 7 * DAY;
const SUMMER = Date.parse("2026-06-01T00:00Z") / 1000;

const column = z.array(z.number()).transform((values) => Float64Array.from(values));
const { profiles } = z
  .object({
    profiles: z.array(
      z.object({
        stats: z.object({
          until: z.number(),
          week_sum: column,
          week_weight: column,
          minute_sum: column,
          minute_weight: column,
        }),
        prior: z
          .object({ week: column, week_weight: column, minute: column, minute_weight: z.number() })
          .transform((prior): ProfilePrior => ({
            week: prior.week,
            weekWeight: prior.week_weight,
            minute: prior.minute,
            minuteWeight: prior.minute_weight,
          }))
          .nullable(),
        off_hours_multiplier: z.number().nullable(),
        expected: z.object({ week: column, minute: column }),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(new URL("../../vectors/weekly_profile.json", import.meta.url), "utf8")));

function sessionsOf(offHoursMultiplier: number): { share: Float64Array; offHoursMultiplier: number } {
  return { share: weekSessionShares(), offHoursMultiplier };
}

function mean(values: ArrayLike<number>, weights: ArrayLike<number> = new Float64Array(values.length).fill(1)): number {
  let [sum, total] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    sum += weights[i]! * values[i]!;
    total += weights[i]!;
  }
  return sum / total;
}

function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, relative: number): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    assert.ok(Math.abs(actual[i]! / expected[i]! - 1) <= relative, `${i}: expected ${expected[i]}, was ${actual[i]}`);
  }
}

/** Student-like returns of a level times a rhythm, five-minute bars and minutes. */
function simulated(
  rhythm: (time: number, stepSeconds: number) => number,
  { from, weeks, seed = "rhythm" }: { from: number; weeks: number; seed?: string },
): SeasonalityStats {
  const random = Random.fromSeed(seed);
  const bars: BarReturn[] = [];
  for (const stepSeconds of [300, 60]) {
    for (let openTime = from; openTime < from + weeks * WEEK; openTime += stepSeconds) {
      const logReturn = 1e-3 * rhythm(openTime, stepSeconds) * random.normal();
      bars.push({ openTime, stepSeconds, logReturn });
    }
  }
  return countSeasonality(emptySeasonality(), bars);
}

/** `observations` of each bin of the week, of these means. */
function statsOf(means: (bin: number) => number, observations: number): SeasonalityStats {
  const until = SUMMER;
  const weekWeight = new Float64Array(WEEK_BINS).fill(observations * weightAt(until));
  return { ...emptySeasonality(), until, weekWeight, weekSum: weekWeight.map((w, bin) => w * means(bin)) };
}

function priorOf(means: (bin: number) => number, weight = 8): ProfilePrior {
  return {
    week: Float64Array.from({ length: WEEK_BINS }, (_, bin) => means(bin)),
    weekWeight: new Float64Array(WEEK_BINS).fill(weight),
    minute: new Float64Array(MINUTE_BINS).fill(1),
    minuteWeight: 1000,
  };
}

const evening = (bin: number): number => 1 + 0.5 * Math.sin((2 * Math.PI * bin) / 288);
const morning = (bin: number): number => 1 - 0.5 * Math.sin((2 * Math.PI * bin) / 288);

describe("vectors made by numpy and pandas", () => {
  profiles.forEach(({ stats, prior, off_hours_multiplier: multiplier, expected }, index) => {
    it(`pool and smooth to the same factors: case ${index}`, () => {
      const own: SeasonalityStats = {
        ...emptySeasonality(),
        until: stats.until,
        weekSum: stats.week_sum,
        weekWeight: stats.week_weight,
        minuteSum: stats.minute_sum,
        minuteWeight: stats.minute_weight,
      };
      const found = weeklyProfile(own, prior, multiplier === null ? null : sessionsOf(multiplier));
      // The other side convolves by FFT: rounding of 2016 additions.
      assertClose(
        found.week.filter((_, bin) => bin % 7 === 0),
        expected.week,
        1e-11,
      );
      assertClose(found.minute, expected.minute, 1e-12);
    });
  });
});

describe("circular smoothing", () => {
  it("keeps the mean and a constant, commutes with rotation, and is flat for a wide kernel", () => {
    const series = fc.array(fc.double({ min: 0, max: 10, noNaN: true }), { minLength: 12, maxLength: 60 });
    fc.assert(
      fc.property(series, fc.double({ min: 0.3, max: 8, noNaN: true }), fc.nat(59), (values, bandwidth, turn) => {
        const smooth = smoothCircular(Float64Array.from(values), bandwidth);
        assert.ok(Math.abs(mean(smooth) - mean(values)) < 1e-12);
        const turned = values.map((_, i) => values[(i + turn) % values.length]!);
        const both = smoothCircular(Float64Array.from(turned), bandwidth);
        both.forEach((value, i) => {
          assert.ok(Math.abs(value - smooth[(i + turn) % values.length]!) < 1e-12);
        });
        assert.ok(Math.max(...smooth) <= Math.max(...values) + 1e-12);
      }),
    );
  });
});

describe("the weekly profile", () => {
  it("has mean 1 over the bins that trade, and over every five minutes", () => {
    const random = Random.fromSeed("mean");
    const weights = new Float64Array(WEEK_BINS).map(() => (random.uniform() < 0.3 ? 0 : 20 * random.uniform()));
    const stats = statsOf(evening, 1);
    const own = {
      ...stats,
      weekWeight: stats.weekWeight.map((w, bin) => w * weights[bin]!),
      weekSum: stats.weekSum.map((sum, bin) => sum * weights[bin]!),
      minuteSum: new Float64Array(60).map((_, i) => (100 + i) * weightAt(SUMMER)),
      minuteWeight: new Float64Array(60).fill(100 * weightAt(SUMMER)),
    };
    const found = weeklyProfile(own, null, null);
    const pooled = weights.map((weight) => weight + 0.5);
    assert.ok(Math.abs(mean(found.week, pooled) - 1) < 1e-12);
    const inSession = weeklyProfile(own, null, sessionsOf(0.6));
    assert.ok(Math.abs(mean(inSession.week, weekSessionShares()) - 1) < 1e-12);
    for (let first = 0; first < 60; first += 5) {
      assert.ok(Math.abs(mean(found.minute.subarray(first, first + 5)) - 1) < 1e-12);
    }
  });

  it("does not depend on the scale of the returns, nor on that of a prior", () => {
    const random = Random.fromSeed("scale");
    const bars = Array.from({ length: 3000 }, (_, i): BarReturn => {
      return { openTime: SUMMER + 300 * i, stepSeconds: 300, logReturn: 1e-3 * random.normal() };
    });
    // A power of two is exact in floating point.
    const larger = bars.map((bar) => ({ ...bar, logReturn: 1024 * bar.logReturn }));
    const [one, other] = [bars, larger].map((each) => countSeasonality(emptySeasonality(), each)) as [
      SeasonalityStats,
      SeasonalityStats,
    ];
    assertClose(weeklyProfile(other, null, null).week, weeklyProfile(one, null, null).week, 1e-12);
    const scaled = (factor: number): Float64Array =>
      weeklyProfile(
        one,
        priorOf((bin) => factor * evening(bin)),
        null,
      ).week;
    assertClose(scaled(37), scaled(1), 1e-12);
  });

  it("recovers a planted rhythm of days, hours and minutes from half a year", () => {
    const planted = (time: number, stepSeconds: number): number => {
      const bin = weekBin(time);
      const weekend = bin >= 5 * 288 ? 0.6 : 1;
      const hour = bin % 12 === 0 ? 1.3 : 1;
      const minute = stepSeconds === 60 && minuteBin(time) % 5 === 0 ? 1.5 : 1;
      return evening(bin) * weekend * hour * minute;
    };
    const stats = simulated(planted, { from: SUMMER, weeks: 26 });
    const { week, minute } = weeklyProfile(stats, null, null);
    const truth = Float64Array.from({ length: WEEK_BINS }, (_, bin) => {
      const weekend = bin >= 5 * 288 ? 0.6 : 1;
      return evening(bin) * weekend * (bin % 12 === 0 ? 1.3 : 1);
    });
    const level = mean(week) / mean(truth);
    const errors = truth.map((value, bin) => Math.log(week[bin]! / value / level));
    const rms = Math.sqrt(mean(errors.map((error) => error ** 2)));
    // 26 |normal| of relative sd .76 a bin, some 50 bins in a kernel: 2 %; the kernel blunts the weekend's borders.
    assert.ok(rms < 0.05, `${rms}`);
    const onTheHour = mean(errors.filter((_, bin) => bin % 12 === 0));
    assert.ok(Math.abs(onTheHour) < 0.02, `${onTheHour}`);
    const first = mean(minute.filter((_, i) => i % 5 === 0));
    const expected = 1.5 / ((1.5 + 4) / 5);
    assert.ok(Math.abs(first / expected - 1) < 0.03, `${first} for ${expected}`);
  });

  it("is the prior's without data and yields to data, observation by observation", () => {
    const prior = priorOf(evening);
    for (const weeks of [0, 1, 4, 8, 16, 52]) {
      const stats = weeks === 0 ? emptySeasonality() : statsOf(morning, weeks);
      const { week } = weeklyProfile(stats, prior, null);
      const amplitude = 2 * mean(week.map((factor, bin) => (factor - 1) * Math.sin((2 * Math.PI * bin) / 288)));
      // Half an observation says "factor 1", eight the evening, the others the morning; smoothing takes .2 %.
      const expected = (0.5 * (8 - weeks)) / (8.5 + weeks);
      assert.ok(Math.abs(amplitude - expected) < 0.002, `${weeks} weeks: ${amplitude} for ${expected}`);
    }
  });

  it("keeps the off-hours multiplier until live data overrule it", () => {
    const sessions = sessionsOf(0.4);
    const night = (week: Float64Array): number =>
      mean(week.filter((_, bin) => sessions.share[bin] === 0 && bin < 5 * 288));
    const empty = weeklyProfile(emptySeasonality(), null, sessions).week;
    // Smoothing over 15 minutes carries a little of the session into the night around it.
    assert.ok(Math.abs(night(empty) - 0.4) < 0.03, `${night(empty)}`);
    assert.ok(Math.abs(empty[2 * 288 + 2 * 12]! - 0.4) < 0.02 && Math.abs(empty[2 * 288 + 12 * 12]! - 1) < 0.02);
    assert.ok(Math.abs(empty[5 * 288 + 144]! - 0.16) < 0.02, "a weekend is to a night what that is to the session");
    const quiet = (bin: number): number => (sessions.share[bin]! > 0 ? 1 : 0.1);
    const live = [1, 10, 100].map((weeks) => night(weeklyProfile(statsOf(quiet, weeks), null, sessions).week));
    assert.ok(live[0]! < 0.38 && live[1]! < live[0]! && live[2]! < live[1]!, live.join(", "));
    assert.ok(Math.abs(live[2]! - 0.1) < 0.02, live.join(", "));
    // Data of the session alone say nothing of the night.
    const day = statsOf(() => 1, 20);
    const only = {
      ...day,
      weekWeight: day.weekWeight.map((weight, bin) => weight * sessions.share[bin]!),
      weekSum: day.weekSum.map((sum, bin) => sum * sessions.share[bin]!),
    };
    const far = weeklyProfile(only, null, sessions).week.filter((_, bin) => bin % 288 < 84 && bin < 5 * 288);
    assert.ok(Math.abs(mean(far) - 0.4) < 0.03, `${mean(far)}`);
  });

  it("leaves the opening of New York at 09:30 in winter and in summer", () => {
    const opening = (time: number): number => (weekBin(time) % 288 === 114 ? 4 : 1);
    // Twelve weeks across the change of March 8th.
    const from = Date.parse("2026-01-26T00:00Z") / 1000;
    const profile = weeklyProfile(simulated(opening, { from, weeks: 12 }), null, null);
    const at = (iso: string): number => seasonalFactor(profile, Date.parse(iso) / 1000, 300);
    for (const [open, before, after] of [
      ["2026-02-10T14:30Z", "2026-02-10T13:30Z", "2026-02-10T15:30Z"],
      ["2026-06-09T13:30Z", "2026-06-09T12:30Z", "2026-06-09T14:30Z"],
    ] as const) {
      assert.ok(at(open) > 1.25 * at(before) && at(open) > 1.25 * at(after), `${at(open)}`);
      assert.equal(at(open), profile.week[1 * 288 + 114]);
    }
  });

  it("is finite and positive for whatever statistics, none, one bin and zeros included", () => {
    const sums = (length: number): fc.Arbitrary<Float64Array> =>
      fc
        .array(fc.tuple(fc.nat(length - 1), fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1e6, noNaN: true }))), {
          maxLength: 40,
        })
        .map((entries) => {
          const values = new Float64Array(length);
          for (const [bin, value] of entries) values[bin] = value;
          return values;
        });
    const stats = fc.record({ weekWeight: sums(WEEK_BINS), minuteWeight: sums(MINUTE_BINS), zero: fc.boolean() });
    const prior = fc.option(
      fc.constantFrom(
        priorOf(evening),
        priorOf(evening, 0),
        priorOf((bin) => 1e-6 + bin),
      ),
    );
    fc.assert(
      fc.property(stats, prior, fc.constantFrom(null, 0.01, 0.6, 1.5), ({ zero, ...weights }, known, multiplier) => {
        const own = {
          ...emptySeasonality(),
          ...weights,
          weekSum: weights.weekWeight.map((weight) => (zero ? 0 : weight)),
          minuteSum: weights.minuteWeight.map((weight) => (zero ? 0 : weight)),
          until: SUMMER,
        };
        assertSound(weeklyProfile(own, known, multiplier === null ? null : sessionsOf(multiplier)));
      }),
      { numRuns: 60 },
    );
    assertSound(weeklyProfile(emptySeasonality(), null, null));
  });
});

function assertSound({ week, minute }: WeeklyProfile): void {
  assert.equal(week.length, WEEK_BINS);
  assert.equal(minute.length, MINUTE_BINS);
  assert.ok(week.every((factor) => factor >= 0.02 && factor <= 8));
  assert.ok(minute.every((factor) => factor > 0 && factor <= 5));
}
