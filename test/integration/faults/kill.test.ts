import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runUnderKills } from "../../support/kill-run.ts";

/** The long version: `npm run bench:kill -- --minutes 30`. */
const SECONDS = 30;

describe("kill -9 of axon and updater under traffic", { timeout: 240_000 }, () => {
  it(`for ${SECONDS} s: every answer is valid, what was acknowledged is recorded, and no replay is answered`, async () => {
    const run = await runUnderKills({ seconds: SECONDS, seed: "kill-test" });
    assert.ok(run.kills.serve > 0 && run.kills.update > 0 && run.acknowledged > 0, JSON.stringify(run));
    const { invalid, refused, recordedInvalid, lost, replaysAnswered, damage, badStates } = run;
    assert.deepEqual(
      { invalid, refused, recordedInvalid, lost, replaysAnswered, damage, badStates },
      {
        ...{ invalid: [], refused: [], recordedInvalid: 0, lost: 0, replaysAnswered: 0 },
        damage: [],
        badStates: [],
      },
    );
  });
});
