import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { fireMany, fuzzedService, parseMany } from "../../fuzz/axon.ts";
import { openAxon } from "../../support/dendrite-axon.ts";

/** `npm run fuzz` fires 100,000. */
const SIGNED = 600;
const STRANGERS = 1200;
const PARSED = 4000;
/** A body that never comes whole must not make the test wait. */
const IMPATIENT = { bodyTimeoutMs: 100 };
const seed = fc.readConfigureGlobal().seed ?? 0;

describe("fuzzed", () => {
  it("header and body parsers never throw", () => {
    parseMany({ count: PARSED, seed });
  });

  it("requests with a good signature and a hostile body get a documented answer", async (test) => {
    const axon = await openAxon(test, { services: [fuzzedService()], config: IMPATIENT });
    const tally = await fireMany(axon, { kind: "signed", count: SIGNED, seed });
    assert.ok(tally["200"]! > 50 && tally["400"]! > 200 && tally["413"]! > 0, JSON.stringify(tally));
    assert.equal(tally["401"], undefined);
  });

  it("requests of strangers get one, and never an answer", async (test) => {
    const axon = await openAxon(test, { services: [fuzzedService()], config: IMPATIENT });
    const tally = await fireMany(axon, { kind: "stranger", count: STRANGERS, seed });
    assert.ok(
      tally["400"]! > 200 && tally["401"]! > 40 && tally["403"]! > 15 && tally["404"]! > 40,
      JSON.stringify(tally),
    );
  });
});
