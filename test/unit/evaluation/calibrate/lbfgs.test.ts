import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { minimise, type Objective } from "../../../../src/evaluation/calibrate/lbfgs.ts";

/** Chained Rosenbrock function (N&W exercise 7.1 and before); its minimum 0 is at (1, …, 1). */
const rosenbrock: Objective = (x, gradient) => {
  gradient.fill(0);
  let value = 0;
  for (let i = 0; i + 1 < x.length; i++) {
    const [a, b] = [x[i + 1]! - x[i]! ** 2, 1 - x[i]!];
    value += 100 * a * a + b * b;
    gradient[i]! += -400 * a * x[i]! - 2 * b;
    gradient[i + 1]! += 200 * a;
  }
  return value;
};

describe("L-BFGS", () => {
  it("finds the valley's end of Rosenbrock's function, in 2 and 10 dimensions", () => {
    for (const start of [
      [-1.2, 1],
      [-1.2, 1, -1.2, 1, -1.2, 1, -1.2, 1, -1.2, 1],
    ]) {
      const { x, iterations, converged } = minimise(rosenbrock, Float64Array.from(start), { maxIterations: 200 });
      assert.ok(converged);
      // Steepest descent takes thousands.
      assert.ok(iterations < 100, `${iterations}`);
      for (const value of x) assert.ok(Math.abs(value - 1) < 1e-5, [...x].join());
    }
  });

  it("solves any quadratic with curvatures four orders apart", () => {
    const number = fc.double({ noNaN: true, min: -10, max: 10 });
    fc.assert(
      fc.property(fc.array(fc.tuple(number, number), { minLength: 1, maxLength: 12 }), (pairs) => {
        const quadratic: Objective = (x, gradient) => {
          let value = 0;
          for (const [i, [centre]] of pairs.entries()) {
            const curvature = 10 ** ((4 * i) / pairs.length);
            gradient[i] = curvature * (x[i]! - centre);
            value += 0.5 * curvature * (x[i]! - centre) ** 2;
          }
          return value;
        };
        const start = Float64Array.from(pairs, ([, at]) => at);
        const { x } = minimise(quadratic, start, { maxIterations: 300, decreaseTolerance: 0 });
        for (const [i, [centre]] of pairs.entries()) assert.ok(Math.abs(x[i]! - centre) < 1e-5);
      }),
    );
  });

  it("walks back from points without a value, and refuses to start at one", () => {
    const logarithm: Objective = (x, gradient) => {
      gradient[0] = 1 - 0.01 / x[0]!;
      return x[0]! - 0.01 * Math.log(x[0]!);
    };
    const { x } = minimise(logarithm, Float64Array.of(0.5), { maxIterations: 100 });
    assert.ok(Math.abs(x[0]! - 0.01) < 1e-6);
    assert.throws(() => minimise(logarithm, Float64Array.of(-1), { maxIterations: 1 }), RangeError);
  });

  it("never climbs, leaves its start alone, and stops where it is told", () => {
    const values: number[] = [];
    const start = Float64Array.of(-1.2, 1);
    const onProgress = (iteration: number, value: number): void => {
      assert.equal(iteration, values.push(value));
    };
    const found = minimise(rosenbrock, start, { maxIterations: 7, onProgress });
    assert.equal(found.iterations, 7);
    assert.equal(found.converged, false);
    assert.deepEqual([...start], [-1.2, 1]);
    assert.equal(found.value, values.at(-1));
    values.forEach((value, i) => {
      assert.ok(i === 0 || value < values[i - 1]!);
    });
  });
});
