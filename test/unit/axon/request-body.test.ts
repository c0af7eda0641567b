import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseJsonBody } from "../../../src/axon/request-body.ts";

function codeOf(body: string | Uint8Array): string {
  const result = parseJsonBody(typeof body === "string" ? Buffer.from(body) : body);
  return result.ok ? "ok" : result.code;
}

describe("JSON bodies", () => {
  it("are objects", () => {
    assert.equal(codeOf('{"a":[{"b":"]]]\\"[["}]}'), "ok");
    assert.equal(codeOf("[]"), "body_not_object");
    assert.equal(codeOf("null"), "body_not_object");
    assert.equal(codeOf(""), "body_not_json");
    assert.equal(codeOf("a=b"), "body_not_json");
    assert.equal(codeOf('{"a":NaN}'), "body_not_json");
    assert.equal(codeOf(Uint8Array.of(0x7b, 0xff, 0x7d)), "body_not_utf8");
  });

  it("are not deep", () => {
    assert.equal(codeOf(`{"a":${"[".repeat(63)}${"]".repeat(63)}}`), "ok");
    assert.equal(codeOf(`{"a":${"[".repeat(64)}${"]".repeat(64)}}`), "body_too_deep");
    assert.equal(codeOf("[".repeat(1_000_000)), "body_too_deep");
    assert.equal(codeOf('{"a":'.repeat(100_000)), "body_too_deep");
  });

  it("cannot reach a prototype", () => {
    const result = parseJsonBody(
      Buffer.from('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'),
    );
    assert.ok(result.ok);
    assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
    assert.equal((result.value as Record<string, unknown>)["polluted"], undefined);
  });

  it("of any bytes never throw, and of any object are read", () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => typeof codeOf(bytes) === "string"));
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })),
        (value) => codeOf(JSON.stringify(value)) === "ok",
      ),
    );
  });
});
