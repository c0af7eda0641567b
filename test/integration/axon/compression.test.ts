import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { gzipped, type Outgoing } from "../../../src/axon/response.ts";

const LARGE = 20_000;

function outgoing(...parts: readonly string[]): Outgoing {
  return { status: 200, headers: { name: "Simulation" }, fragments: parts.map((part) => Buffer.from(part)) };
}

describe("gzip", () => {
  it("is used where the client lists it with any weight but 0", async () => {
    const coded: [string | undefined, boolean][] = [
      ["gzip", true],
      ["gzip, deflate", true],
      ["br;q=1.0, GZIP;q=0.5", true],
      ["deflate, x-gzip", true],
      [undefined, false],
      ["", false],
      ["identity", false],
      ["gzip;q=0", false],
      ["gzip; q=0.000, br", false],
      ["gzipped", false],
    ];
    for (const [header, expected] of coded) {
      const { headers } = await gzipped(outgoing("1".repeat(LARGE)), header);
      assert.equal(headers["content-encoding"], expected ? "gzip" : undefined, header);
    }
  });

  it("leaves small answers as they are", async () => {
    const small = outgoing("1".repeat(1000));
    assert.equal(await gzipped(small, "gzip"), small);
  });

  it("of any bytes is the same bytes", async () => {
    const parts = fc.array(fc.string({ minLength: LARGE, maxLength: LARGE + 100, unit: "binary" }), {
      minLength: 1,
      maxLength: 3,
    });
    await fc.assert(
      fc.asyncProperty(parts, async (texts) => {
        const plain = outgoing(...texts);
        const coded = await gzipped(plain, "gzip");
        assert.deepEqual(gunzipSync(Buffer.concat(coded.fragments)), Buffer.concat(plain.fragments));
      }),
      { numRuns: 10 },
    );
  });

  it("never throws for a hostile header", async () => {
    const large = outgoing("1".repeat(LARGE));
    const header = fc.oneof(fc.string({ unit: "binary" }), fc.array(fc.constantFrom("gzip", ";", "q=", "0", ",", "*")));
    await fc.assert(
      fc.asyncProperty(header, async (text) => {
        const { status } = await gzipped(large, typeof text === "string" ? text : text.join(""));
        assert.equal(status, 200);
      }),
    );
  });
});
