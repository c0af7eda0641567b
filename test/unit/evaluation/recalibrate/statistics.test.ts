import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { scoreBlocks, type BlockScore } from "../../../../src/evaluation/recalibrate/block-scores.ts";
import { estimateFactors } from "../../../../src/evaluation/recalibrate/estimate.ts";
import {
  MEAN_ABSOLUTE_NORMAL,
  meanAbsoluteScore,
  normalQuantile,
} from "../../../../src/evaluation/recalibrate/normal-score.ts";
import { countAnswer, withoutOutlived, type CountedAnswer } from "../../../../src/evaluation/recalibrate/statistics.ts";
import { withoutFrozen } from "../../../../src/evaluation/recalibrate/realised.ts";
import { Random } from "../../../../src/math/random.ts";
import { scoringRulesFor } from "../../../../src/scoring/intervals.ts";
import { pitByInterval } from "../../../../src/scoring/prompt-score.ts";

const DAY = 86_400;

describe("normal scores", () => {
  it("have the quantiles of Python 3's statistics.NormalDist().inv_cdf", () => {
    const vectors = [
      [1e-6, -4.753424308822899],
      [0.001, -3.090232306167813],
      [0.25, -0.6744897501960817],
      [0.5, 0],
      [0.975, 1.959963984540054],
      [0.9999, 3.719016485455709],
    ] as const;
    for (const [p, z] of vectors) assert.ok(Math.abs(normalQuantile(p) - z) < 6e-9, String(p));
    assert.deepEqual([normalQuantile(0), normalQuantile(1)], [-Infinity, Infinity]);
    assert.throws(() => normalQuantile(NaN), RangeError);
  });

  it("average to sqrt(2/π) over the cells of any partition: ties and few members do not bias them", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 999 }), { maxLength: 40 }), (cuts) => {
        const borders = [0, ...cuts.sort((a, b) => a - b), 1000].map((cut) => cut / 1000);
        const mean = borders
          .slice(1)
          .reduce((sum, to, i) => sum + (to - borders[i]!) * meanAbsoluteScore(borders[i]!, to), 0);
        return Math.abs(mean - MEAN_ABSOLUTE_NORMAL) < 1e-9;
      }),
    );
  });
});

/** Statistics of `days` days of `n` blocks each: |z| of a model whose sigma is 1/ratio of the market's. */
function daysOf(random: Random, o: { days: number; n: number; ratio: number; dayError: number }) {
  return Array.from({ length: o.days }, (_, day) => {
    const scale = o.ratio * Math.exp(o.dayError * random.normal());
    let sum = 0;
    for (let i = 0; i < o.n; i++) sum += scale * Math.abs(random.normal());
    return { day, sum, blocks: o.n, distinct: o.n, seen: null };
  });
}

/** Mean cost of the factor, as a share of CRPS: .25 · (factor / ratio - 1)². */
function meanCost(o: { days: number; n: number; ratio: number; dayError: number }): number {
  const random = Random.fromSeed("cost");
  const runs = 300;
  let cost = 0;
  for (let run = 0; run < runs; run++) {
    const [estimate] = estimateFactors([{ seconds: 300, days: daysOf(random, o) }]);
    cost += 0.25 * ((estimate!.factor ?? 1) / o.ratio - 1) ** 2;
  }
  return cost / runs;
}

describe("estimated factors", () => {
  it("cost a calibrated model less than .02 % of CRPS at any age, and little more where it is wrong for whole days", () => {
    for (const [n, days] of [
      [288, 2],
      [288, 5],
      [288, 20],
      [48, 5],
      [48, 40],
      [8, 40],
      [1440, 2],
    ] as const) {
      for (const dayError of [0, 0.1, 0.2]) {
        const cost = meanCost({ n, days, ratio: 1, dayError });
        assert.ok(cost < (dayError > 0.1 ? 3e-4 : 2e-4), `${n} blocks, ${days} days, day error ${dayError}: ${cost}`);
      }
    }
  });

  it("bring back three quarters of what a sigma 10 % off costs within five days", () => {
    const lost = 0.25 * (1 / 1.1 - 1) ** 2;
    assert.ok(meanCost({ n: 288, days: 5, ratio: 1.1, dayError: 0 }) < lost / 4);
  });

  it("are bounded, absent below 100 effective blocks, and those of the next shorter length where blocks are few", () => {
    const random = Random.fromSeed("bounds");
    const wild = daysOf(random, { days: 10, n: 288, ratio: 3, dayError: 0 });
    const few = daysOf(random, { days: 4, n: 1, ratio: 0.2, dayError: 0 });
    const [first, second] = estimateFactors([
      { seconds: 300, days: wild },
      { seconds: 86_400, days: few },
    ]);
    assert.deepEqual([first!.factor, first!.basis], [1.18, "own"]);
    assert.deepEqual([second!.factor, second!.basis], [1.18, "shorter"]);
    const [alone] = estimateFactors([{ seconds: 86_400, days: few }]);
    assert.deepEqual([alone!.factor, alone!.basis], [null, "too_few"]);
    const [none] = estimateFactors([{ seconds: 300, days: [{ day: 1, sum: 0, blocks: 5, distinct: 5, seen: null }] }]);
    assert.deepEqual([none!.raw, none!.factor], [null, null]);
  });

  it("has one of its own for a whole day from the fifth day on, which costs a calibrated model nothing to speak of", () => {
    const random = Random.fromSeed("whole days");
    const minutes = (days: number) =>
      Array.from({ length: days }, (_, day) => {
        return { day, sum: 288 * MEAN_ABSOLUTE_NORMAL, blocks: 288, distinct: 288, seen: null };
      });
    const wholeDay = (days: number, ratio: number) => {
      const own = daysOf(random, { days, n: 1, ratio, dayError: 0.1 });
      return estimateFactors([
        { seconds: 300, days: minutes(days) },
        { seconds: 86_400, days: own },
      ])[1]!;
    };
    assert.deepEqual([wholeDay(4, 1).basis, wholeDay(7, 1).basis], ["shorter", "own"]);
    let [cost, right] = [0, 0];
    for (let run = 0; run < 300; run++) {
      cost += (0.25 * (wholeDay(40, 1).factor! - 1) ** 2) / 300;
      right += wholeDay(40, 1.5).factor! / 300;
    }
    assert.ok(cost < 1e-4, String(cost));
    // 6 % of ln 1.5 is .025.
    assert.ok(right > 1.01 && right < 1.05, String(right));
    assert.equal(wholeDay(40, 1e9).factor, 1.18);
  });

  it("shrink a longer length towards the shorter one's factor, not to 1", () => {
    const exact = (n: number, ratio: number) =>
      Array.from({ length: 30 }, (_, day) => {
        return { day, sum: n * ratio * MEAN_ABSOLUTE_NORMAL, blocks: n, distinct: n, seen: null };
      });
    const [first, second] = estimateFactors([
      { seconds: 300, days: exact(288, 1.1) },
      { seconds: 1800, days: exact(48, 1) },
    ]);
    assert.ok(Math.abs(second!.raw! - 1) < 1e-12);
    assert.ok(second!.factor! > 1.01 && second!.factor! < first!.factor! - 0.02, String(second!.factor));
  });
});

function block(startTime: number, absoluteScore = 1): BlockScore {
  return { seconds: 300, startTime, pit: 0.5, absoluteScore };
}

function answer(changes: Partial<CountedAnswer> = {}): CountedAnswer {
  const model = { engine: "ewma", engineVersion: 1, calibration: "a", applied: [] } as const;
  return { asset: "BTC", horizon: "24h", ...model, endTime: 100 * DAY, blocks: [], ...changes };
}

describe("counted answers", () => {
  it("know overlapping blocks from new ones, and refer to the uncorrected model", () => {
    const starts = [10, 20, 30].map((i) => 99 * DAY + i * 300);
    const first = countAnswer(undefined, answer({ blocks: starts.map((start) => block(start)) }));
    const shifted = [...starts.map((start) => block(start + 120, 2)), block(99 * DAY + 40 * 300, 2)];
    const applied = [{ seconds: 300, factor: 1.1 }];
    const second = countAnswer(first, answer({ blocks: shifted, applied }));
    const [day] = second.lengths[0]!.days;
    assert.deepEqual([day!.blocks, day!.distinct], [7, 4]);
    assert.ok(Math.abs(day!.sum - (3 + 4 * 2 * 1.1)) < 1e-12);
    assert.equal(second.prompts, 2);
  });

  it("of 200 days stay bounded: 45 days, of which the newest three can grow", () => {
    let series = countAnswer(undefined, answer({ blocks: [block(0)] }));
    for (let day = 1; day < 200; day++) series = countAnswer(series, answer({ blocks: [block(day * DAY)] }));
    const days = series.lengths[0]!.days;
    assert.deepEqual([days.length, days[0]!.day], [45, 155]);
    assert.equal(days.filter(({ seen }) => seen !== null).length, 3);
  });

  it("begin afresh with another version of the engine", () => {
    const before = countAnswer(undefined, answer({ blocks: [block(0)] }));
    const after = countAnswer(before, answer({ blocks: [block(DAY)], engineVersion: 2 }));
    assert.deepEqual([after.prompts, after.lengths[0]!.days.length], [1, 1]);
  });
});

describe("block scores", () => {
  it("have the PIT of the scorer, at the blocks' own times, without those that were not observed", () => {
    const random = Random.fromSeed("blocks");
    const grid = { horizonSeconds: 3600, stepSeconds: 60 };
    const walk = (): number[] => {
      let price = 100;
      return Array.from({ length: 61 }, () => (price *= Math.exp(1e-3 * random.normal())));
    };
    const realised = Float64Array.from(walk());
    realised[31] = NaN;
    const paths = Float64Array.from(Array.from({ length: 150 }, walk).flat());
    const prompt = { paths, pathCount: 150, realised, stepSeconds: 60 };
    const rules = scoringRulesFor(grid);
    const scores = scoreBlocks(prompt, 7200, rules);
    const expected = pitByInterval(prompt, rules);
    for (const [seconds, name] of [
      [60, "1min"],
      [300, "5min"],
      [1800, "30min"],
    ] as const) {
      const own = scores.filter((score) => score.seconds === seconds);
      assert.deepEqual(
        own.map(({ pit }) => pit),
        expected[name],
      );
      assert.equal(own.length, seconds === 60 ? 58 : 3600 / seconds);
      assert.equal(own.at(-1)!.startTime, 7200 + 3600 - seconds);
    }
    assert.equal(scores.filter(({ seconds }) => seconds === 3600).length, 1);
  });
});

describe("frozen closes", () => {
  const closesOf = (close: number[]) => ({
    openTime: Float64Array.from(close, (_, i) => i * 60),
    close: Float64Array.from(close),
  });

  it("are those repeated 30 times or more; the first of them was a price", () => {
    const still = (times: number): number[] => [99, 100, ...new Array<number>(times).fill(100), 101];
    const calm = closesOf(still(29));
    assert.deepEqual(withoutFrozen(calm).close, calm.close);
    const frozen = withoutFrozen(closesOf(still(30))).close;
    assert.deepEqual(
      [...frozen.keys()].filter((i) => Number.isNaN(frozen[i])),
      Array.from({ length: 30 }, (_, i) => i + 2),
    );
    assert.deepEqual([frozen[1], frozen[32]], [100, 101]);
    const atTheEnd = withoutFrozen(closesOf(new Array<number>(40).fill(100))).close;
    assert.equal(atTheEnd.filter(Number.isNaN).length, 39);
    assert.equal(withoutFrozen(closesOf([])).close.length, 0);
  });
});

describe("series of several calibrations", () => {
  it("are kept ten days beside a newer one, four at most of each asset, horizon and engine", () => {
    const of = (calibration: string, day: number, asset: CountedAnswer["asset"] = "BTC") =>
      countAnswer(undefined, answer({ asset, calibration, endTime: day * DAY }));
    const kept = (...all: ReturnType<typeof of>[]): string[] =>
      withoutOutlived(all).map(({ asset, calibration }) => `${asset} ${calibration}`);
    assert.deepEqual(kept(of("a", 10), of("b", 20), of("c", 20.01, "ETH")), ["BTC b", "BTC a", "ETH c"]);
    assert.deepEqual(kept(of("a", 9), of("b", 20), of("c", 1, "ETH")), ["BTC b", "ETH c"]);
    const many = Array.from({ length: 9 }, (_, i) => of(String(i), 20 + i / 10));
    assert.deepEqual(kept(...many), ["BTC 8", "BTC 7", "BTC 6", "BTC 5"]);
  });
});
