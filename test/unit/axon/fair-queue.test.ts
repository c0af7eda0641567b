import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createFairQueue } from "../../../src/axon/fair-queue.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";

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

  it("lets those who go first go before all others, and lose no place to them", async () => {
    const queue = createFairQueue({ concurrency: 1, total: 4, perOwner: 4 });
    const { task, started, endAll } = createTasks();
    const crowd = ["a", "b", "c", "d"].map((name) => queue.run(name, task(name)));
    const first = ["v1", "v2"].map((name) => queue.run("v", task(name), { first: true }));
    assert.equal(await queue.run("e", task("e")), undefined);
    await endAll();
    assert.deepEqual(started, ["a", "v1", "v2", "b"]);
    assert.deepEqual(
      (await Promise.all([...crowd, ...first])).map((result) => result?.name),
      ["a", "b", undefined, undefined, "v1", "v2"],
    );
    assert.equal(queue.size(), 0);
  });

  it("paces those who do not go first, and nobody else", async (test) => {
    test.mock.timers.enable({ apis: ["setTimeout"] });
    const clock = new SteppedClock(1000);
    const queue = createFairQueue({
      concurrency: 9,
      total: 99,
      perOwner: 99,
      pace: { perSecond: 10, burst: 2, clock },
    });
    const { task, started } = createTasks();
    for (const name of ["a1", "a2", "a3", "a4"]) void queue.run("a", task(name));
    await Promise.resolve();
    void queue.run("v", task("v1"), { first: true });
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(started, ["a1", "a2", "v1"]);
    clock.advance(0.1);
    test.mock.timers.tick(100);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(started, ["a1", "a2", "v1", "a3"]);
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

  it("gives the place of who hangs up to others", async () => {
    const queue = createFairQueue({ concurrency: 1, total: 2, perOwner: 2 });
    const { task, started, endAll } = createTasks();
    const running = queue.run("a", task("a1"));
    const hangUp = new AbortController();
    const gone = queue.run("b", task("b1"), { signal: hangUp.signal });
    assert.equal(await queue.run("c", task("c1")), undefined, "no place");
    hangUp.abort();
    assert.equal(await gone, undefined);
    const next = queue.run("c", task("c2"));
    await endAll();
    assert.deepEqual([await running, await next], [{ name: "a1" }, { name: "c2" }]);
    assert.equal(await queue.run("d", task("d1"), { signal: AbortSignal.abort() }), undefined, "gone before it came");
    assert.deepEqual(started, ["a1", "c2"]);
    assert.equal(queue.size(), 0);
  });

  it("goes on after a task that throws", async () => {
    const queue = createFairQueue({ concurrency: 1, total: 2, perOwner: 2 });
    await assert.rejects(queue.run("a", () => Promise.reject(new Error("broken"))));
    assert.deepEqual(await queue.run("a", () => Promise.resolve({ name: "next" })), { name: "next" });
  });

  it("settles every task, within its limits, and ends empty", async () => {
    const hangsUp = fc.boolean();
    const owners = fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.boolean(), hangsUp), { maxLength: 40 });
    const limits = fc.record({
      concurrency: fc.integer({ min: 1, max: 3 }),
      total: fc.integer({ min: 1, max: 10 }),
      perOwner: fc.integer({ min: 1, max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(owners, limits, async (names, bounds) => {
        const queue = createFairQueue(bounds);
        const { task, started, endAll } = createTasks();
        const hangUp = new AbortController();
        const all = names.map(([name, first, gone]) =>
          queue.run(name, task(name), gone ? { first, signal: hangUp.signal } : { first }),
        );
        assert.ok(queue.size() <= bounds.total);
        hangUp.abort();
        await endAll();
        const results = await Promise.all(all);
        assert.equal(results.filter((result) => result !== undefined).length, started.length);
        assert.equal(queue.size(), 0);
      }),
      { numRuns: 50 },
    );
  });
});
