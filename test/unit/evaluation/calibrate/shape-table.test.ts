import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { z } from "zod";
import { simulatePathModel } from "../../../../src/engines/paths/simulate.ts";
import { crpsTables, slopeAt, valueAt, type CrpsTable } from "../../../../src/evaluation/calibrate/shape-table.ts";
import { crps } from "../../../../src/scoring/crps.ts";
import { forecastRequest } from "../../../support/forecast-inputs.ts";
import { pathModel } from "../../../support/path-models.ts";
import { DAY, HOUR } from "./scale-samples.ts";

const vectors = z
  .object({ cases: z.array(z.tuple([z.number(), z.number(), z.number(), z.number()])) })
  .parse(JSON.parse(readFileSync(new URL("../../../vectors/student_t_crps.json", import.meta.url), "utf8")));

const latent = { tau: 0.4, halfLifeSeconds: 3600 };

function crpsAt(table: CrpsTable, u: number): number {
  return valueAt(table, u, slopeAt(table, u));
}

function tableOf(grid: typeof HOUR, steps: number, nu: number, tau: number): CrpsTable {
  const stepCount = grid.horizonSeconds / grid.stepSeconds;
  const law = { shape: { nu, latent: { ...latent, tau } }, seed: 7 };
  return crpsTables({ stepCount, stepSeconds: grid.stepSeconds }, [steps], law).get(steps)!;
}

describe("CRPS tables", () => {
  for (const nu of new Set(vectors.cases.map(([one]) => one))) {
    it(`one step without latent volatility is Student's t of scipy, nu ${nu}`, () => {
      const table = tableOf(HOUR, 1, nu, 0);
      for (const [, u, value, slope] of vectors.cases.filter(([one]) => one === nu)) {
        // Six million draws: three standard errors of a probability and of a mean |z|.
        assert.ok(Math.abs(slopeAt(table, u) - slope) < 0.0008, `slope at ${u}: ${slopeAt(table, u)}, scipy ${slope}`);
        assert.ok(Math.abs(crpsAt(table, u) - value) < 0.0012, `CRPS at ${u}: ${crpsAt(table, u)}, scipy ${value}`);
      }
    });
  }

  it("blocks with latent volatility score as an ensemble of the simulator does", () => {
    for (const [grid, steps] of [
      [DAY, 6],
      [HOUR, 60],
    ] as const) {
      const pathCount = 60_000;
      const prices = simulatePathModel(
        forecastRequest({
          ...grid,
          horizonSeconds: steps * grid.stepSeconds,
          numSimulations: pathCount,
          seed: "other",
        }),
        pathModel(grid, {
          anchorPrice: 1,
          stepSigmas: new Array<number>(steps).fill(1e-3),
          nu: 4.5,
          latent,
          varianceRatios: [],
          rankMatched: false,
        }),
      );
      const points = steps + 1;
      const members = Float64Array.from(
        { length: pathCount },
        (_, path) => Math.log(prices[path * points + steps]!) / (1e-3 * Math.sqrt(steps)),
      );
      const table = tableOf(grid, steps, 4.5, latent.tau);
      // Three standard errors of the ensemble's mean |z - u|: 3 / sqrt(60,000).
      for (const u of [0, 0.3, 1, 2.5]) {
        assert.ok(Math.abs(crpsAt(table, u) - crps(members, u)) < 0.012, `${steps} steps, u ${u}`);
      }
      // A normal of the same variance is far outside of that.
      assert.ok(Math.abs(crpsAt(table, 0) - (Math.SQRT2 - 1) / Math.sqrt(Math.PI)) > 0.02);
    }
  });

  it("has exactly the slope it tells, never falling, and is linear beyond its nodes", () => {
    const table = tableOf(HOUR, 5, 4, 0.5);
    const h = 1e-6;
    let last = 0;
    for (let u = 0.0013; u < 60; u += 0.0731) {
      const slope = slopeAt(table, u);
      const difference = (crpsAt(table, u + h) - crpsAt(table, u - h)) / (2 * h);
      assert.ok(Math.abs(difference - slope) < 1e-6, `at ${u}: ${difference}, told ${slope}`);
      assert.ok(slope >= last && slope <= 1);
      last = slope;
    }
    assert.equal(last, 1);
    assert.ok(Math.abs(crpsAt(table, 1000) - crpsAt(table, 500) - 500) < 1e-9);
  });
});
