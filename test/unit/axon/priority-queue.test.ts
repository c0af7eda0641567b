import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createWorkQueue, type Job, type JobResult, type WorkQueue } from "../../../src/axon/priority-queue.ts";
import type { Answer } from "../../../src/axon/synapse-service.ts";
import { unixMillis } from "../../../src/units.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";

const OK: Answer = { ok: true, fields: {}, evidence: null };

function setUp(options: { threads?: number; maxQueue?: number } = {}) {
  const clock = new SteppedClock(1000);
  const queue = createWorkQueue({ threads: options.threads ?? 1, maxQueue: options.maxQueue ?? 10, clock });
  const started: string[] = [];
  const finish = new Map<string, (answer: Answer) => void>();
  const submit = (name: string, job: Partial<Job> & { timeoutSeconds?: number } = {}): Promise<JobResult> =>
    queue.submit({
      kind: "Simulation",
      priority: 0,
      cost: 10,
      deadlineMs: unixMillis(clock.nowMs() + (job.timeoutSeconds ?? 1000) * 1000),
      signal: new AbortController().signal,
      run: () => {
        started.push(name);
        return new Promise((resolve) => {
          finish.set(name, resolve);
        });
      },
      ...job,
    });
  return { clock, queue, started, finish, submit };
}

async function runs(queue: WorkQueue, count: number): Promise<void> {
  for (let turn = 0; turn < 100 && queue.stats().running !== count; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(queue.stats().running, count);
}

describe("work queue", () => {
  it("runs the higher stake first, equals as they came", async () => {
    const { queue, started, finish, submit } = setUp();
    const all = [
      submit("first"),
      submit("low"),
      submit("high", { priority: 9 }),
      submit("low2"),
      submit("high2", { priority: 9 }),
    ];
    for (const name of ["first", "high", "high2", "low", "low2"]) {
      await runs(queue, 1);
      finish.get(name)!(OK);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(all);
    assert.deepEqual(started, ["first", "high", "high2", "low", "low2"]);
  });

  it("refuses at once what cannot be ready, counting only the work ahead of it", async () => {
    const { clock, queue, finish, submit } = setUp();
    const teacher = submit("teacher");
    await runs(queue, 1);
    clock.advance(10);
    finish.get("teacher")!(OK); // 10 s for cost 10
    await teacher;
    assert.equal(queue.stats().millisPerCost["Simulation"], 1000);
    assert.equal((await submit("alone", { timeoutSeconds: 9 })).kind, "hopeless");
    const running = submit("running", { timeoutSeconds: 11 });
    await runs(queue, 1);
    const waiting = submit("waiting", { timeoutSeconds: 21 });
    assert.equal((await submit("behind", { timeoutSeconds: 29 })).kind, "hopeless");
    const preferred = submit("preferred", { timeoutSeconds: 29, priority: 5 });
    const other = submit("other kind", { kind: "Other", cost: 1, timeoutSeconds: 31 });
    assert.equal(queue.stats().queued, 3);
    clock.advance(10);
    finish.get("running")!(OK);
    await runs(queue, 1);
    await running;
    clock.advance(10);
    finish.get("preferred")!(OK);
    assert.equal((await preferred).kind, "answered");
    assert.equal((await waiting).kind, "hopeless"); // overtaken: its turn came too late
    await runs(queue, 1);
    finish.get("other kind")!(OK);
    assert.equal((await other).kind, "answered");
  });

  it("forgets a stall by and by", async () => {
    const { clock, queue, finish, submit } = setUp();
    const stalled = submit("stalled");
    await runs(queue, 1);
    clock.advance(100);
    finish.get("stalled")!(OK);
    await stalled;
    assert.equal((await submit("now", { timeoutSeconds: 50 })).kind, "hopeless");
    clock.advance(31);
    const later = submit("later", { timeoutSeconds: 50 });
    await runs(queue, 1);
    finish.get("later")!(OK);
    assert.equal((await later).kind, "answered");
  });

  it("is bounded; a higher stake takes the place of the lowest, latest one", async () => {
    const { queue, finish, submit } = setUp({ maxQueue: 2 });
    const running = submit("running");
    await runs(queue, 1);
    const [kept, displaced] = [submit("kept", { priority: 1 }), submit("displaced", { priority: 1 })];
    assert.equal((await submit("equal", { priority: 1 })).kind, "full");
    const better = submit("better", { priority: 2 });
    assert.equal((await displaced).kind, "full");
    assert.equal(queue.stats().queued, 2);
    for (const name of ["running", "better", "kept"]) {
      await runs(queue, 1);
      finish.get(name)!(OK);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(
      (await Promise.all([running, better, kept])).map(({ kind }) => kind),
      ["answered", "answered", "answered"],
    );
  });

  it("frees the place of a request that is no longer wanted, waiting or running", async () => {
    const { queue, finish, submit } = setUp();
    const [first, second] = [new AbortController(), new AbortController()];
    const running = submit("running", { signal: first.signal });
    await runs(queue, 1);
    const waiting = submit("waiting", { signal: second.signal });
    const last = submit("last");
    second.abort();
    assert.equal((await waiting).kind, "aborted");
    assert.equal(queue.stats().queued, 1);
    first.abort();
    assert.equal((await running).kind, "aborted");
    finish.get("running")!(OK);
    await runs(queue, 1);
    finish.get("last")!(OK);
    assert.equal((await last).kind, "answered");
    assert.equal((await submit("gone", { signal: AbortSignal.abort() })).kind, "aborted");
  });

  it("passes on what a run throws and goes on", async () => {
    const { queue, submit, finish } = setUp();
    await assert.rejects(submit("bug", { run: () => Promise.reject(new Error("bug")) }), /bug/);
    const next = submit("next");
    await runs(queue, 1);
    finish.get("next")!(OK);
    assert.equal((await next).kind, "answered");
  });
});
