import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  centreSteps,
  checkOutputs,
  correctedModel,
  residualAt,
  type TreeOutputs,
} from "../../../src/engines/lgbm/trees.ts";
import { OperationalError } from "../../../src/errors.ts";
import { ewmaInput } from "../../support/forecast-inputs.ts";

const LEADS = [300, 1800, 10_800, 86_400];
const GRID = { leadSeconds: LEADS, stepSeconds: 300 };
const STEPS = 288;

const sigma = fc.double({ min: 1e-5, max: 1e-2, noNaN: true });
const sigmas = fc.array(sigma, { minLength: STEPS, maxLength: STEPS });
const centre = fc.double({ min: -0.3, max: 0.3, noNaN: true });
const centres = fc.tuple(centre, centre, centre, centre);

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Base standard deviation of the return up to a lead. */
function deviation(stepSigmas: readonly number[], steps: number): number {
  return Math.sqrt(sum(stepSigmas.slice(0, steps).map((one) => one * one)));
}

describe("LGBM: the centre path", () => {
  it("is what the trees say at every lead, in the base's standard deviations", () => {
    fc.assert(
      fc.property(sigmas, centres, (own, said) => {
        const drift = centreSteps(own, said, GRID);
        LEADS.forEach((lead, k) => {
          const expected = said[k]! * deviation(own, lead / 300);
          assert.ok(Math.abs(sum(drift.slice(0, lead / 300)) - expected) < 1e-12);
        });
      }),
      { numRuns: 50 },
    );
  });

  it("goes one way between two leads", () => {
    fc.assert(
      fc.property(sigmas, centres, (own, said) => {
        const drift = centreSteps(own, said, GRID);
        const levels = [0, ...LEADS.map((lead, k) => said[k]! * deviation(own, lead / 300))];
        LEADS.forEach((lead, k) => {
          const direction = Math.sign(levels[k + 1]! - levels[k]!);
          const before = (LEADS[k - 1] ?? 0) / 300;
          for (const step of drift.slice(before, lead / 300))
            assert.ok(step * direction >= -1e-15, `${step} at ${lead}`);
        });
      }),
      { numRuns: 50 },
    );
  });

  it("has no kink at a lead: by seconds, its rate changes by no more than a cubic's may", () => {
    const leadSeconds = [300, 1800, 10_800];
    const own = new Array<number>(14_400).fill(1e-4);
    fc.assert(
      fc.property(fc.tuple(centre, centre, centre), (said) => {
        const rates = centreSteps(own, said, { leadSeconds, stepSeconds: 1 });
        const levels = [0, ...said.map((one, k) => one * 1e-4 * Math.sqrt(leadSeconds[k]!))];
        const knots = [0, ...leadSeconds, 14_400];
        levels.push(levels.at(-1)!);
        const secant = (i: number): number => Math.abs(levels[i + 1]! - levels[i]!) / (knots[i + 1]! - knots[i]!);
        for (let i = 1; i < knots.length - 1; i++) {
          const narrower = Math.min(knots[i]! - knots[i - 1]!, knots[i + 1]! - knots[i]!);
          const bound = (24 * Math.max(secant(i - 1), secant(i))) / narrower;
          const jump = Math.abs(rates[knots[i]!]! - rates[knots[i]! - 1]!);
          assert.ok(jump <= bound + 1e-15, `${jump} above ${bound} at ${knots[i]!} s`);
        }
      }),
      { numRuns: 10 },
    );
  });

  it("is flat after the last lead, and knows nothing of leads beyond the horizon", () => {
    const own = new Array<number>(100).fill(1e-3);
    const drift = centreSteps(own, [0.1, 0.2, -0.1, 0.3], GRID);
    assert.ok(drift.slice(36).every((step) => step === 0));
    assert.ok(Math.abs(sum(drift) + 0.1 * 1e-3 * 6) < 1e-15);
  });

  it("takes the market's time: none of it where nothing moves, and none at all of a market that stands still", () => {
    const own = Array.from({ length: STEPS }, (_, step) => (step >= 100 && step < 200 ? 0 : 1e-3));
    const drift = centreSteps(own, [0.1, 0.2, 0.1, -0.3], GRID);
    assert.ok(drift.slice(100, 200).every((step) => step === 0));
    assert.ok(drift.slice(200).every((step) => step !== 0));
    assert.deepEqual(
      centreSteps(new Array<number>(STEPS).fill(0), [0.1, 0.1, 0.1, 0.1], GRID),
      new Array(STEPS).fill(0),
    );
  });
});

describe("LGBM: the residual of ln sigma", () => {
  const at = (residuals: readonly number[], seconds: number): number => residualAt(residuals, seconds, GRID);

  it("is each stretch's own but for the half octave around a border", () => {
    const residuals = [0.1, -0.2, 0.3, 0.05];
    const INSIDE = [
      [150, 0.1],
      [450, -0.2],
      [1200, -0.2],
      [2700, 0.3],
      [7500, 0.3],
      [16_050, 0.05],
      [86_250, 0.05],
    ] as const;
    for (const [seconds, expected] of INSIDE) assert.ok(Math.abs(at(residuals, seconds) - expected) < 1e-15);
    assert.ok(Math.abs(at(residuals, 1800) - 0.05) < 1e-12, "half-way at the border itself");
  });

  it("lies between its neighbours and changes smoothly, by less than a tenth of their difference in 3 % of time, also at a border", () => {
    fc.assert(
      fc.property(
        centres,
        fc.constantFrom(...LEADS),
        fc.double({ min: -1, max: 1, noNaN: true }),
        (residuals, lead, octaves) => {
          const seconds = lead * 2 ** octaves;
          const [value, next] = [at(residuals, seconds), at(residuals, seconds * 1.03)];
          const spread = Math.max(...residuals) - Math.min(...residuals);
          assert.ok(value >= Math.min(...residuals) - 1e-12 && value <= Math.max(...residuals) + 1e-12);
          assert.ok(Math.abs(next - value) <= 0.1 * spread + 1e-12);
        },
      ),
    );
  });
});

describe("LGBM: what the trees' outputs do to a path model", () => {
  const { model: base } = ewmaInput({ nu: 5, varianceRatios: [{ seconds: 3600, ratio: 0.9 }] });
  const full = { ...GRID, centreShrinkage: [1, 1, 1, 1], residualShrinkage: [1, 1, 1, 1] };
  const none: TreeOutputs = { centre: [0, 0, 0, 0], residual: [0, 0, 0, 0] };
  const wild: TreeOutputs = { centre: [3, -3, 0.1, 4], residual: [2, -2, 4, 0.123_44] };

  it("is nothing where they are zero, or shrunk to zero", () => {
    assert.deepEqual(correctedModel(base, none, full), base);
    const zeros = { ...GRID, centreShrinkage: [0, 0, 0, 0], residualShrinkage: [0, 0, 0, 0] };
    assert.deepEqual(correctedModel(base, wild, zeros), base);
  });

  it("is bounded: 0.3 standard deviations of the centre, exp(±0.5) of sigma, before its shrinkage", () => {
    const { centre: drift, stepSigmas } = correctedModel(base, wild, full);
    const levels = LEADS.map((lead) => sum(drift!.slice(0, lead / 300)) / (1e-3 * Math.sqrt(lead / 300)));
    [0.3, -0.3, 0.1, 0.3].forEach((expected, k) => {
      assert.ok(Math.abs(levels[k]! - expected) < 1e-12);
    });
    const logs = [0, 3, 20, 280].map((step) => Math.log(stepSigmas[step]! / 1e-3));
    [0.5, -0.5, 0.5, 0.1234].forEach((expected, k) => {
      assert.ok(Math.abs(logs[k]! - expected) < 1e-12, String(logs[k]));
    });
    const half = correctedModel(base, wild, { ...full, residualShrinkage: [0.5, 0.5, 0.5, 0.5] });
    assert.ok(Math.abs(Math.log(half.stepSigmas[3]! / 1e-3) + 0.25) < 1e-12);
    const { stepSigmas: sigmas } = base;
    assert.deepEqual({ ...half, stepSigmas: sigmas, centre: undefined }, { ...base, centre: undefined });
  });

  it("shrinks the centre by lead", () => {
    const outputs = { ...none, centre: [0.2, 0.2, 0.2, 0.2] };
    const { centre: drift } = correctedModel(base, outputs, { ...full, centreShrinkage: [1, 0.5, 0, 0.25] });
    const levels = LEADS.map((lead) => sum(drift!.slice(0, lead / 300)) / (1e-3 * Math.sqrt(lead / 300)));
    [0.2, 0.1, 0, 0.05].forEach((expected, k) => {
      assert.ok(Math.abs(levels[k]! - expected) < 1e-12);
    });
  });

  it("does not hang on the last bits, in which processors differ", () => {
    const outputs = { centre: [0.123_41, 0.1, 0.1, 0.1], residual: [0.100_01, 0, 0, 0] };
    const bits = { centre: [0.123_44, 0.1, 0.1, 0.100_004], residual: [0.100_04, 0, 0, 1e-6] };
    assert.deepEqual(correctedModel(base, outputs, full), correctedModel(base, bits, full));
  });

  it("is refused unless every output is finite, plausible, and there", () => {
    const wrong = fc.constantFrom(NaN, Infinity, -Infinity, 5.1, -1e6);
    const isOutput = (error: unknown): boolean => error instanceof OperationalError && error.code === "model/output";
    fc.assert(
      fc.property(fc.constantFrom("centre" as const, "residual" as const), fc.nat(3), wrong, (name, at, value) => {
        const row = [...none[name]];
        row[at] = value;
        assert.throws(() => {
          checkOutputs({ ...none, [name]: row }, GRID);
        }, isOutput);
        assert.throws(() => {
          checkOutputs({ ...none, [name]: row.slice(0, 3) }, GRID);
        }, isOutput);
      }),
    );
    checkOutputs(wild, GRID);
  });
});
