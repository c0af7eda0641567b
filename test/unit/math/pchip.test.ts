import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { pchip } from "../../../src/math/pchip.ts";

interface Case {
  readonly x: number[];
  readonly y: number[];
  readonly at: number[];
  readonly values: number[];
}

const VECTORS = join(import.meta.dirname, "../../vectors/pchip_scipy.json");
const { provenance, cases } = JSON.parse(readFileSync(VECTORS, "utf8")) as { provenance: string; cases: Case[] };

/** Knots from zero on, with widths over four orders. */
const knots = fc
  .array(
    fc.record({
      width: fc.double({ min: 1e-2, max: 1e2, noNaN: true }),
      y: fc.double({ min: -3, max: 3, noNaN: true }),
    }),
    {
      minLength: 2,
      maxLength: 8,
    },
  )
  .map((rows) => {
    const x = [0];
    for (const { width } of rows) x.push(x.at(-1)! + width);
    return { x, y: [0, ...rows.map(({ y }) => y)] };
  });

describe("monotone cubic interpolation", () => {
  it(`is that of ${provenance}`, () => {
    assert.ok(cases.length >= 20);
    for (const { x, y, at, values } of cases) {
      const found = at.map(pchip(x, y));
      const scale = Math.max(...y.map(Math.abs));
      values.forEach((value, i) => {
        assert.ok(Math.abs(found[i]! - value) <= 1e-9 * scale, `expected ${value}, was ${found[i]!}`);
      });
    }
  });

  it("meets its knots and never leaves the range of the two around it", () => {
    fc.assert(
      fc.property(knots, fc.double({ min: 0, max: 1, noNaN: true }), ({ x, y }, share) => {
        const value = pchip(x, y);
        x.forEach((knot, i) => {
          assert.ok(Math.abs(value(knot) - y[i]!) <= 1e-12);
          if (i === 0) return;
          const inside = value(x[i - 1]! + share * (knot - x[i - 1]!));
          const [low, high] = [Math.min(y[i]!, y[i - 1]!), Math.max(y[i]!, y[i - 1]!)];
          assert.ok(inside >= low - 1e-12 && inside <= high + 1e-12, `${inside} not in [${low}, ${high}]`);
        });
      }),
    );
  });

  it("has one slope on both sides of a knot", () => {
    fc.assert(
      fc.property(knots, ({ x, y }) => {
        const value = pchip(x, y);
        for (let i = 1; i < x.length - 1; i++) {
          const narrower = Math.min(x[i]! - x[i - 1]!, x[i + 1]! - x[i]!);
          const step = 1e-6 * narrower;
          const [left, right] = [value(x[i]!) - value(x[i]! - step), value(x[i]! + step) - value(x[i]!)];
          const steepest = (step * 6) / narrower;
          // The second derivative is at most 24 secants over the width.
          assert.ok(Math.abs(right - left) <= 1e-4 * steepest + 1e-14, `${left} and ${right} at knot ${i}`);
        }
      }),
    );
  });

  it("stays at its ends beyond them", () => {
    const value = pchip([0, 1, 3], [2, 1, 5]);
    assert.deepEqual([value(-1), value(0), value(3), value(10)], [2, 2, 5, 5]);
  });
});
