import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ForecastRequest } from "../../../../src/engines/engine.ts";
import type { PathModel } from "../../../../src/engines/path-model.ts";
import { scoredBlocks } from "../../../../src/engines/paths/rank-match.ts";
import { simulatePathModel } from "../../../../src/engines/paths/simulate.ts";
import { scoringRulesFor } from "../../../../src/scoring/intervals.ts";
import { scorePrompt } from "../../../../src/scoring/prompt-score.ts";
import { unixSeconds } from "../../../../src/units.ts";
import { forecastRequest, START_TIME } from "../../../support/forecast-inputs.ts";
import { pathModel } from "../../../support/path-models.ts";

const DAY = { horizonSeconds: 86_400, stepSeconds: 300 };
const HOUR = { horizonSeconds: 3600, stepSeconds: 60 };
const PATHS = 1000;

type Grid = typeof DAY;

interface Changes {
  readonly seed?: string;
  /** Another draws the distributions anew that ranks are matched to. */
  readonly minute?: number;
  readonly model?: Partial<PathModel>;
}

function paths(grid: Grid, rankMatched: boolean, changes: Changes = {}): Float64Array {
  const { seed = "match", minute = 0 } = changes;
  const startTime = unixSeconds(START_TIME + 60 * minute);
  const request = forecastRequest({ ...grid, numSimulations: PATHS, seed, startTime });
  return simulatePathModel(request, pathModel(grid, { ...changes.model, rankMatched }));
}

/** Standardised log returns of all steps, row-major [path, step]. */
function standardised(grid: Grid, prices: Float64Array): Float64Array[] {
  const { stepSigmas } = pathModel(grid);
  const points = stepSigmas.length + 1;
  return Array.from({ length: prices.length / points }, (_, path) =>
    Float64Array.from(stepSigmas, (sigma, step) => {
      const at = path * points + step;
      return Math.log(prices[at + 1]! / prices[at]!) / sigma;
    }),
  );
}

function blockReturn(prices: Float64Array, points: number, span: { from: number; to: number }): Float64Array {
  return Float64Array.from({ length: prices.length / points }, (_, path) =>
    Math.log(prices[path * points + span.to]! / prices[path * points + span.from]!),
  ).sort();
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, x) => sum + x, 0) / values.length;
}

function deviation(values: readonly number[]): number {
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, x) => sum + (x - centre) ** 2, 0) / (values.length - 1));
}

describe("rank matching: blocks", () => {
  it("covers every scored span once, shortest first", () => {
    const day = scoredBlocks(forecastRequest(DAY));
    assert.equal(day.length, 288 + 48 + 8 + 1);
    assert.deepEqual(day.at(-1), { firstStep: 0, steps: 288 });
    // Gaps of 5, 15 and 30 minutes are the first changes of those lengths, that of 60 is the absolute price.
    const hour = scoredBlocks(forecastRequest(HOUR));
    assert.equal(hour.length, 60 + 30 + 12 + 4 + 2 + 1 + (12 - 4));
    for (const blocks of [day, hour]) {
      blocks.forEach((block, i) => {
        assert.ok(i === 0 || block.steps >= blocks[i - 1]!.steps);
      });
    }
  });

  it("gives every scored span of a Gaussian model the normal's quantiles, which independent draws miss", () => {
    // Python's statistics.NormalDist().inv_cdf((i - 1/2) / 1000) at i = 6, 51, 201, 501, 800.
    const quantiles = [
      [5, -2.5426988],
      [50, -1.6400249],
      [200, -0.8398366],
      [500, 0.0012533],
      [799, 0.8398366],
    ] as const;
    // The hour's spans overlap without nesting (2 and 5 minutes, gaps), so that they disturb each other more.
    for (const [grid, bound] of [
      [DAY, 0.06],
      [HOUR, 0.2],
    ] as const) {
      const model = { nu: 400, latent: { tau: 0, halfLifeSeconds: 1 }, varianceRatios: [] };
      const { stepSigmas } = pathModel(grid);
      const worst = (prices: Float64Array): number => {
        let error = 0;
        for (const { firstStep, steps } of scoredBlocks(forecastRequest(grid))) {
          const sigma = Math.hypot(...stepSigmas.slice(firstStep, firstStep + steps));
          const sorted = blockReturn(prices, stepSigmas.length + 1, { from: firstStep, to: firstStep + steps });
          for (const [i, quantile] of quantiles) error = Math.max(error, Math.abs(sorted[i]! / sigma - quantile));
        }
        return error;
      };
      const error = worst(paths(grid, true, { model }));
      assert.ok(error < bound, `${error}`);
      const plain = worst(paths(grid, false, { model }));
      assert.ok(plain > 0.3, `${plain}`);
    }
  });

  it("is exactly antisymmetric over the whole path", () => {
    const sorted = blockReturn(paths(DAY, true), 289, { from: 0, to: 288 });
    sorted.forEach((x, i) => {
      assert.ok(Math.abs(x + sorted[PATHS - 1 - i]!) < 1e-9);
    });
  });
});

describe("rank matching: what is known of a model", () => {
  const simulated = (changes: Partial<PathModel>, request: Partial<ForecastRequest> = {}): Float64Array =>
    simulatePathModel(forecastRequest({ ...HOUR, numSimulations: 60, ...request }), pathModel(HOUR, changes));
  /** More other models than are remembered. */
  const forget = (): void => {
    for (let i = 0; i < 20; i++) simulated({ nu: 100 + i, zeroShare: 0.01 * i });
  };
  const own = pathModel(HOUR);
  const changed: Record<Exclude<keyof PathModel, "rankMatched">, readonly Partial<PathModel>[]> = {
    anchorPrice: [{ anchorPrice: 3 }],
    centre: [{ centre: own.stepSigmas }],
    stepSigmas: [{ stepSigmas: own.stepSigmas.with(7, 0.01) }],
    nu: [{ nu: 3 }],
    latent: [{ latent: { ...own.latent, tau: 0.9 } }, { latent: { ...own.latent, halfLifeSeconds: 600 } }],
    varianceRatios: [
      { varianceRatios: own.varianceRatios.with(0, { seconds: 300, ratio: 0.5 }) },
      { varianceRatios: own.varianceRatios.with(0, { ...own.varianceRatios[0]!, seconds: 900 }) },
    ],
    lagOneAutocorrelation: [{ lagOneAutocorrelation: -0.2 }],
    zeroShare: [{ zeroShare: 0.3 }],
  };
  const isItsOwn = (ask: () => Float64Array): void => {
    forget();
    const alone = ask();
    forget();
    simulated({});
    assert.deepEqual(ask(), alone);
  };
  for (const [field, all] of Object.entries(changed)) {
    it(`answers by its own ${field}, whatever was asked before`, () => {
      for (const changes of all) isItsOwn(() => simulated(changes));
    });
  }

  it("answers by its own number of paths and start time, whatever was asked before", () => {
    isItsOwn(() => simulated({}, { numSimulations: 400 }));
    isItsOwn(() => simulated({}, { startTime: unixSeconds(1_800_000_000) }));
  });

  it("draws the same paths for the first and the second prompt", () => {
    forget();
    assert.deepEqual(simulated({}), simulated({}));
  });
});

describe("rank matching: any number of paths", () => {
  const SEEDS = 300;
  /** Standardised returns of the first half hour, a row per seed. */
  const ensembles = (numSimulations: number, rankMatched: boolean): Float64Array[] => {
    const model = pathModel(HOUR, { rankMatched });
    const sigma = Math.hypot(...model.stepSigmas.slice(0, 30));
    return Array.from({ length: SEEDS }, (_, i) => {
      const request = forecastRequest({ ...HOUR, numSimulations, seed: `few ${i}` });
      return blockReturn(simulatePathModel(request, model), 61, { from: 0, to: 30 }).map((x) => x / sigma);
    });
  };

  it("leaves a single path as drawn", () => {
    for (const grid of [DAY, HOUR]) {
      const one = (rankMatched: boolean): Float64Array =>
        simulatePathModel(forecastRequest({ ...grid, numSimulations: 1 }), pathModel(grid, { rankMatched }));
      const plain = one(false);
      one(true).forEach((price, i) => {
        assert.ok(Math.abs(price / plain[i]! - 1) < 1e-9, `${i}: ${price} ${plain[i]}`);
      });
    }
  });

  for (const n of [2, 10, 49]) {
    it(`${n}: keeps the law of a path (Kolmogorov-Smirnov), and spreads the paths over it`, () => {
      const [matched, plain] = [ensembles(n, true), ensembles(n, false)];
      const pooled = matched.flatMap((row) => [...row]).sort((a, b) => a - b);
      const reference = plain.flatMap((row) => [...row]).sort((a, b) => a - b);
      let distance = 0;
      pooled.forEach((x, i) => {
        const below = reference.findLastIndex((y) => y <= x) + 1;
        distance = Math.max(distance, Math.abs((i + 1) / pooled.length - below / reference.length));
      });
      assert.ok(distance < 1.95 * Math.sqrt(2 / pooled.length), `${distance}`);
      const deviationOfMeans = (rows: Float64Array[]): number => deviation(rows.map((row) => mean([...row])));
      const ratio = deviationOfMeans(matched) / deviationOfMeans(plain);
      assert.ok(ratio < (n === 2 ? 0.8 : 0.45), `${ratio}`);
    });
  }
});

describe("rank matching: the paths stay plausible", () => {
  for (const [name, grid, borderSteps] of [
    ["24h", DAY, 6],
    ["1h", HOUR, 5],
  ] as const) {
    it(`${name}: no sawtooth: autocorrelations, also across block borders, as in unmatched paths`, () => {
      const correlations = (prices: Float64Array): { all: number; borders: number; inside: number } => {
        const sums = { all: [0, 0], borders: [0, 0], inside: [0, 0] };
        for (const row of standardised(grid, prices)) {
          for (let step = 1; step < row.length; step++) {
            const product = row[step]! * row[step - 1]!;
            for (const key of ["all", step % borderSteps === 0 ? "borders" : "inside"] as const) {
              sums[key][0]! += product;
              sums[key][1]! += 1;
            }
          }
        }
        return {
          all: sums.all[0]! / sums.all[1]!,
          borders: sums.borders[0]! / sums.borders[1]!,
          inside: sums.inside[0]! / sums.inside[1]!,
        };
      };
      // The same draws, matched and unmatched.
      const [plain, matched] = [false, true].map((rankMatched) =>
        Array.from({ length: 12 }, (_, i) =>
          correlations(paths(grid, rankMatched, { seed: `sawtooth ${i}`, minute: i })),
        ),
      );
      for (const key of ["all", "borders", "inside"] as const) {
        const noise = deviation(plain!.map((one) => one[key]));
        const difference = mean(matched!.map((one) => one[key])) - mean(plain!.map((one) => one[key]));
        // A thousand paths by themselves do not show it.
        assert.ok(Math.abs(difference) < 2 * noise, `${key}: ${difference}, noise ${noise}`);
      }
    });

    it(`${name}: realised volatility has the distribution of unmatched paths (Kolmogorov-Smirnov)`, () => {
      const volatilities = (rankMatched: boolean): Float64Array => {
        const all = [0, 1, 2].flatMap((i) =>
          standardised(grid, paths(grid, rankMatched, { seed: `${rankMatched} ${i}` })),
        );
        return Float64Array.from(all, (row) => row.reduce((sum, x) => sum + x * x, 0) / row.length).sort();
      };
      const [a, b] = [volatilities(true), volatilities(false)];
      let distance = 0;
      for (let i = 0, j = 0; i < a.length && j < b.length;) {
        if (a[i]! <= b[j]!) i++;
        else j++;
        distance = Math.max(distance, Math.abs(i / a.length - j / b.length));
      }
      // The 1 % point of two samples of 3000.
      assert.ok(distance < 1.63 * Math.sqrt(2 / 3000), `${distance}`);
    });
  }
});

describe("rank matching: the score", () => {
  it("is lower on paths of the true model, and depends on the seed a fifth as much", () => {
    const rules = scoringRulesFor(HOUR);
    const truths = simulatePathModel(
      forecastRequest({ ...HOUR, numSimulations: 20, seed: "truth" }),
      pathModel(HOUR, { rankMatched: false }),
    );
    const scores = (rankMatched: boolean): number[][] =>
      Array.from({ length: 10 }, (_, i) => {
        const answer = paths(HOUR, rankMatched, { seed: `answer ${i}`, minute: i });
        return Array.from({ length: 20 }, (_, truth) => {
          const realised = truths.subarray(61 * truth, 61 * (truth + 1));
          return scorePrompt({ paths: answer, pathCount: PATHS, realised, stepSeconds: 60 }, rules).priceCrps;
        });
      });
    const [matched, plain] = [scores(true), scores(false)];
    const noise = (rows: number[][]): number =>
      mean(Array.from({ length: 20 }, (_, truth) => deviation(rows.map((row) => row[truth]!))));
    assert.ok(noise(matched) < noise(plain) / 5, `${noise(matched)} against ${noise(plain)}`);
    // An independent ensemble pays 0.1 % on average over truths; these 20 truths and ten seeds resolve that it pays.
    assert.ok(mean(matched.flat()) < mean(plain.flat()));
  });
});
