import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { steadyClock } from "../../src/clock.ts";
import { timeLimit, withinTime } from "../../src/time-limit.ts";

describe("a time limit", () => {
  it("ends with the reason of AbortSignal.timeout when the time is over", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const limit = timeLimit(50, new AbortController().signal);
    t.mock.timers.tick(49);
    assert.equal(limit.signal.aborted, false);
    t.mock.timers.tick(1);
    assert.ok(limit.isOver && limit.signal.aborted);
    assert.equal((limit.signal.reason as DOMException).name, "TimeoutError");
  });

  it("ends with its caller, now or before, and for the caller's reason", () => {
    const caller = new AbortController();
    using limit = timeLimit(1e6, caller.signal);
    caller.abort("changed my mind");
    using late = timeLimit(1e6, caller.signal);
    for (const one of [limit, late]) {
      assert.deepEqual([one.signal.aborted, one.signal.reason, one.isOver], [true, "changed my mind", false]);
    }
  });

  it("says nothing more once it is disposed of", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const caller = new AbortController();
    const limit = timeLimit(50, caller.signal);
    limit[Symbol.dispose]();
    t.mock.timers.tick(100);
    caller.abort();
    assert.equal(limit.signal.aborted, false);
  });
});

describe("work within a time", () => {
  const late = (): string => "late";

  it("gives its result or its failure, and leaves no timer behind", async () => {
    let stopped = 0;
    const clock = {
      ...steadyClock,
      sleep: (_: number, signal?: AbortSignal) =>
        new Promise<void>((_, reject) => {
          signal?.addEventListener("abort", () => {
            stopped += 1;
            reject(new Error("stopped"));
          });
        }),
    };
    assert.equal(await withinTime(Promise.resolve("done"), { clock, ms: 1000, late }), "done");
    assert.equal(await withinTime("done", { clock, ms: 1000, late }), "done");
    await assert.rejects(withinTime(Promise.reject(new Error("broken")), { clock, ms: 1000, late }), /broken/);
    assert.equal(stopped, 3);
  });

  it("gives what is said instead, a failure too, when the time is over; nobody hears the work fail later", async () => {
    const clock = { ...steadyClock, sleep: () => Promise.resolve() };
    const { promise, reject } = Promise.withResolvers<string>();
    assert.equal(await withinTime(promise, { clock, ms: 5, late }), "late");
    const throws = (): never => {
      throw new Error("too late");
    };
    await assert.rejects(withinTime(promise, { clock, ms: 5, late: throws }), /too late/);
    reject(new Error("unheard"));
    await new Promise(setImmediate);
  });
});
