import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Lifeline } from "../../../src/chain/lifeline.ts";

describe("the lifeline of a connection", () => {
  const pending = Symbol("pending");
  const stateOf = (promise: Promise<unknown>): Promise<unknown> => Promise.race([promise, Promise.resolve(pending)]);

  it("cuts every call that is in progress, and those that come later", async () => {
    const life = new Lifeline();
    const calls = [1, 2].map(() => life.during((cut) => cut));
    life.end(new Error("first"));
    life.end(new Error("second"));
    for (const call of calls) await assert.rejects(call, /first/);
    await assert.rejects(
      life.during(() => assert.fail("begun")),
      /first/,
    );
  });

  it("forgets a call with its result or its failure", async () => {
    const life = new Lifeline();
    const cuts: Promise<never>[] = [];
    const call = (work: Promise<string>): Promise<string> =>
      life.during((cut) => {
        cuts.push(cut);
        return work;
      });
    assert.equal(await call(Promise.resolve("told")), "told");
    await assert.rejects(call(Promise.reject(new Error("broken"))), /broken/);
    life.end(new Error("too late for both"));
    for (const cut of cuts) assert.equal(await stateOf(cut), pending);
    assert.equal(cuts.length, 2);
  });
});
