import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createUnreadAnswers } from "../../../src/axon/unread-answers.ts";

const MIB = 1024 * 1024;

describe("answers that nobody has read yet", () => {
  it("keep only their own sender from more, beyond a quarter of all", () => {
    const unread = createUnreadAnswers();
    const releases = Array.from({ length: 9 }, () => unread.hold("greedy", 30 * MIB));
    assert.ok(!unread.mayGrow("greedy") && unread.mayGrow("other"));
    for (const release of releases.slice(2)) release();
    assert.ok(unread.mayGrow("greedy"));
  });

  it("of many senders leave each an even share", () => {
    const unread = createUnreadAnswers();
    for (let index = 0; index < 6; index++) unread.hold(`greedy ${index}`, 64 * MIB);
    assert.ok(!unread.mayGrow("greedy 0"));
    unread.hold("modest", 3 * MIB);
    assert.ok(unread.mayGrow("modest") && unread.mayGrow("new"));
  });

  it("of any senders are bounded, and forgotten when they are read", () => {
    const asked = fc.array(fc.record({ sender: fc.nat(9), mib: fc.integer({ min: 1, max: 30 }) }), { maxLength: 200 });
    fc.assert(
      fc.property(asked, (answers) => {
        const unread = createUnreadAnswers();
        const held = answers
          .filter(({ sender }) => unread.mayGrow(`${sender}`))
          .map(({ sender, mib }) => [mib, unread.hold(`${sender}`, mib * MIB)] as const);
        // Twice the bound for evenly greedy ones at worst, and each one's last answer.
        assert.ok(held.reduce((sum, [mib]) => sum + mib, 0) <= 2 * 256 + 10 * 30);
        for (const [, release] of held) release();
        assert.ok(answers.every(({ sender }) => unread.mayGrow(`${sender}`)));
      }),
    );
  });
});
