import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createFairQueue } from "../../../src/axon/fair-queue.ts";

/** Tasks that end when told to, in the order in which they started. */
function createTasks(): {
  task: (name: string) => () => Promise<{ name: string }>;
  started: string[];
  endAll: () => Promise<void>;
} {
  const started: string[] = [];
  const open: (() => void)[] = [];
  const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    started,
    task: (name) => () => {
      started.push(name);
      const { promise, resolve } = Promise.withResolvers<{ name: string }>();
      open.push(() => {
        resolve({ name });
      });
      return promise;
    },
    endAll: async () => {
      await tick();
      while (open.length > 0) {
        open.shift()!();
        await tick();
      }
    },
  };
}

describe("the fair queue", () => {
  it("lets owners take turns", async () => {
    const queue = createFairQueue({ concurrency: 1, total: 100, perOwner: 100 });
    const { task, started, endAll } = createTasks();
    const all = ["a1", "a2", "a3", "b1", "b2", "c1"].map((name) => queue.run(name.charAt(0), task(name)));
    await endAll();
    assert.deepEqual(started, ["a1", "a2", "b1", "c1", "a3", "b2"]);
    assert.ok((await Promise.all(all)).every((result) => result !== undefined));
    assert.equal(queue.size(), 0);
  });

  it("gives a newcomer a place of whoever holds most", async () => {
    const queue = createFairQueue({ concurrency: 1, total: 4, perOwner: 4 });
    const { task, started, endAll } = createTasks();
    const flood = ["a1", "a2", "a3", "a4"].map((name) => queue.run("a", task(name)));
    const newcomer = queue.run("b", task("b1"));
    const tooMany = await queue.run("a", task("a5"));
    await endAll();
    assert.equal(tooMany, undefined);
    assert.deepEqual(await newcomer, { name: "b1" });
    assert.deepEqual(
      (await Promise.all(flood)).map((result) => result?.name),
      ["a1", "a2", "a3", undefined],
    );
    assert.deepEqual(started, ["a1", "a2", "b1", "a3"]);
  });

  it("goes on after a task that throws", async () => {
    const queue = createFairQueue({ concurrency: 1, total: 2, perOwner: 2 });
    await assert.rejects(queue.run("a", () => Promise.reject(new Error("broken"))));
    assert.deepEqual(await queue.run("a", () => Promise.resolve({ name: "next" })), { name: "next" });
  });

  it("settles every task, within its limits, and ends empty", async () => {
    const owners = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 40 });
    const limits = fc.record({
      concurrency: fc.integer({ min: 1, max: 3 }),
      total: fc.integer({ min: 1, max: 10 }),
      perOwner: fc.integer({ min: 1, max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(owners, limits, async (names, bounds) => {
        const queue = createFairQueue(bounds);
        const { task, started, endAll } = createTasks();
        const all = names.map((name) => queue.run(name, task(name)));
        assert.ok(queue.size() <= bounds.total);
        await endAll();
        const results = await Promise.all(all);
        assert.equal(results.filter((result) => result !== undefined).length, started.length);
        assert.equal(queue.size(), 0);
      }),
      { numRuns: 50 },
    );
  });
});
