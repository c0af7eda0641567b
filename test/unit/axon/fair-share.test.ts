import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createFairShares } from "../../../src/axon/fair-share.ts";
import { createWorkQueue } from "../../../src/axon/priority-queue.ts";
import type { Answer } from "../../../src/axon/synapse-service.ts";
import { unixMillis } from "../../../src/units.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";

const OK: Answer = { ok: true, fields: {}, evidence: null };

/** Everybody's work is waiting before the first begins; returns the owners in the order of their service. */
async function served(work: readonly { owner: string; weight: number; cost: number }[]): Promise<string[]> {
  const queue = createWorkQueue({ threads: 1, maxQueue: work.length, clock: new SteppedClock(1000) });
  const shares = createFairShares();
  const order: string[] = [];
  const gate = Promise.withResolvers<undefined>();
  const submit = (cost: number, priority: number, run: () => Promise<Answer>) =>
    queue.submit({
      kind: "Simulation",
      deadlineMs: unixMillis(2e6),
      signal: new AbortController().signal,
      cost,
      priority,
      run,
    });
  const first = submit(1, Number.POSITIVE_INFINITY, () => gate.promise.then(() => OK));
  const all = work.map(({ owner, weight, cost }) => {
    const turn = shares.turn(owner, { weight, cost });
    return submit(cost, turn.priority, () => {
      turn.begin();
      order.push(owner);
      return Promise.resolve(OK);
    });
  });
  gate.resolve(undefined);
  await Promise.all([first, ...all]);
  return order;
}

function count(order: readonly string[], owner: string): number {
  return order.filter((each) => each === owner).length;
}

describe("fair shares", () => {
  it("are in proportion to the weights while all have work waiting", async () => {
    const owners = { high: 200_000, middle: 100_000, low: 50_000 };
    const work = Object.entries(owners).flatMap(([owner, weight]) =>
      Array.from({ length: 70 }, () => ({ owner, weight, cost: 300_000 })),
    );
    const busy = (await served(work)).slice(0, 70);
    assert.deepEqual(
      Object.keys(owners).map((owner) => count(busy, owner)),
      [40, 20, 10],
    );
  });

  it("of one who asks once are not delayed by a heavier one's flood", async () => {
    const flood = Array.from({ length: 50 }, () => ({ owner: "heavy", weight: 200_000, cost: 300_000 }));
    const order = await served([...flood, { owner: "light", weight: 100_000, cost: 300_000 }]);
    assert.ok(order.indexOf("light") <= 2, String(order.indexOf("light")));
  });

  it("never differ from the weights by more than one piece of work each", async () => {
    const weights = fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }));
    await fc.assert(
      fc.asyncProperty(weights, async ([a, b]) => {
        const work = Array.from({ length: 40 }, () => [
          { owner: "a", weight: a, cost: 10 },
          { owner: "b", weight: b, cost: 10 },
        ]).flat();
        const order = await served(work);
        for (let length = 1; length <= 40; length++) {
          const expected = (length * a) / (a + b);
          assert.ok(Math.abs(count(order.slice(0, length), "a") - expected) <= 1 + 1e-9, `${a}:${b} at ${length}`);
        }
      }),
      { numRuns: 30 },
    );
  });

  it("come back when the work was refused, and to one who was idle no more than the others have", () => {
    const shares = createFairShares();
    const work = { weight: 1, cost: 1 };
    shares.turn("a", work).giveBack();
    const [second, other] = [shares.turn("a", work), shares.turn("b", work)];
    assert.equal(second.priority, other.priority);
    second.begin();
    const third = shares.turn("a", work);
    second.giveBack(); // its time was spent
    assert.ok(shares.turn("a", work).priority < third.priority);
    for (let turn = 0; turn < 10; turn++) shares.turn("a", work).begin();
    assert.ok(shares.turn("late", work).priority <= -12);
  });
});
