import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { timeLimit } from "../../src/time-limit.ts";

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
