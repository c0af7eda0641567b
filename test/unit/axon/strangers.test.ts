import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createStrangers } from "../../../src/axon/strangers.ts";
import { createTokenBucket } from "../../../src/axon/token-bucket.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";

const steps = fc.array(fc.record({ waitSeconds: fc.nat({ max: 30 }), takes: fc.nat({ max: 8 }) }), { maxLength: 40 });

describe("a token bucket", () => {
  it("gives in no span more than its burst and what the span fills, and all of that", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 50 }), steps, (perSecond, burst, plan) => {
        const clock = new SteppedClock(1e9);
        const bucket = createTokenBucket({ perSecond, burst }, clock);
        let left = burst;
        for (const { waitSeconds, takes } of plan) {
          clock.advance(waitSeconds);
          left = Math.min(burst, left + waitSeconds * perSecond);
          for (let take = 0; take < takes; take++) {
            assert.equal(bucket.take(), left >= 1);
            left = Math.max(0, left - 1);
          }
        }
      }),
    );
  });

  it("says when the next token comes, and it does", () => {
    const clock = new SteppedClock(1e9);
    const bucket = createTokenBucket({ perSecond: 4, burst: 1 }, clock);
    assert.equal(bucket.waitMs(), 0);
    assert.ok(bucket.take());
    assert.equal(bucket.waitMs(), 250);
    clock.advance(0.249);
    assert.ok(!bucket.take());
    clock.advance(0.001);
    assert.ok(bucket.take());
  });

  it("fills nothing when the clock goes back, and goes on from there", () => {
    const clock = new SteppedClock(1e9);
    const bucket = createTokenBucket({ perSecond: 1, burst: 2 }, clock);
    assert.ok(bucket.take() && bucket.take());
    clock.advance(-90);
    assert.ok(!bucket.take());
    clock.advance(1);
    assert.ok(bucket.take() && !bucket.take());
  });
});

describe("the rate of strangers", () => {
  const plenty = { perSecond: 1e6, burst: 1e6 };
  const none = { perSecond: 1e-9, burst: 0 };

  it("is each sender's own", () => {
    const { mayAsk } = createStrangers(
      { each: { perSecond: 1, burst: 3 }, all: plenty, newcomer: none },
      new SteppedClock(1e9),
    );
    const asked = (sender: string): boolean[] => Array.from({ length: 4 }, () => mayAsk(sender));
    assert.deepEqual(asked("192.0.2.1"), [true, true, true, false]);
    assert.deepEqual(asked("192.0.2.2"), [true, true, true, false]);
    assert.ok(!mayAsk("192.0.2.1"));
  });

  it("is bounded for all of them together, whose first requests are taken all the same", () => {
    const clock = new SteppedClock(1e9);
    const each = { perSecond: 5, burst: 100 };
    const rates = { each, all: { perSecond: 10, burst: 30 }, newcomer: { perSecond: 0.1, burst: 2 } };
    const { mayAsk } = createStrangers(rates, clock);
    const round = (senders: number): number =>
      Array.from({ length: senders }, (_, i) => mayAsk(`192.0.2.${i}`)).filter(Boolean).length;
    assert.deepEqual([round(50), round(50), round(50), round(50)], [50, 50, 30, 0]);
    assert.ok(mayAsk("198.51.100.1") && mayAsk("198.51.100.1") && !mayAsk("198.51.100.1"));
    clock.advance(1);
    assert.equal(round(50), 10);
    clock.advance(9);
    assert.equal(round(50), 50); // one of each sender's own again
  });

  it("is remembered of whoever goes on asking, and of a bounded number", () => {
    const { mayAsk } = createStrangers(
      { each: { perSecond: 1, burst: 1 }, all: plenty, newcomer: none },
      new SteppedClock(1e9),
    );
    assert.ok(mayAsk("busy") && mayAsk("quiet"));
    for (let other = 0; other < 4096; other++) {
      assert.ok(mayAsk(`10.0.${other >> 8}.${other & 255}`));
      assert.ok(!mayAsk("busy"));
    }
    assert.ok(mayAsk("quiet")); // forgotten: it was behind all the others
  });

  it("is bounded for more senders than are remembered, too", () => {
    const all = { perSecond: 10, burst: 1000 };
    const rates = { each: { perSecond: 5, burst: 100 }, all, newcomer: { perSecond: 0.1, burst: 20 } };
    const { mayAsk } = createStrangers(rates, new SteppedClock(1e9));
    let taken = 0;
    for (let sender = 0; sender < 65_536; sender++)
      for (let ask = 0; ask < 20; ask++) taken += Number(mayAsk(`${sender}`));
    assert.equal(taken, 4096 * 20 + 2 * 1000); // newcomers as far as they are remembered, then two shares of all
  });

  it("ends for a while for who is shunned", () => {
    const clock = new SteppedClock(1e9);
    const { mayAsk, shun, isShunned } = createStrangers(
      { each: { perSecond: 5, burst: 100 }, all: plenty, newcomer: none },
      clock,
    );
    assert.ok(mayAsk("a") && !isShunned("a") && !isShunned("b"));
    shun("a");
    assert.ok(isShunned("a") && !mayAsk("a") && !isShunned("b") && mayAsk("b"));
    clock.advance(19.9);
    assert.ok(isShunned("a"));
    clock.advance(0.4);
    assert.ok(!isShunned("a") && mayAsk("a") && !mayAsk("a"));
  });
});
