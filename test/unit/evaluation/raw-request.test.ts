import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseRawRequest, type RawRequest } from "../../../src/evaluation/raw-request.ts";

function parse(text: string): RawRequest {
  const parsed = parseRawRequest(Buffer.from(text, "latin1"));
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.message);
  return parsed.request;
}

function isRefused(text: string): boolean {
  return !parseRawRequest(Buffer.from(text)).ok;
}

const token = fc.stringMatching(/^[a-z][a-z0-9_-]{0,15}$/);
const value = fc.stringMatching(/^[\x21-\x7e]([\x20-\x7e]{0,30}[\x21-\x7e])?$/);

describe("raw request", () => {
  it("reads HTTP text with any line ends, names in lower case, values trimmed", () => {
    for (const end of ["\r\n", "\n"]) {
      const request = parse(
        ["POST /Simulation?x=1 HTTP/1.1", "Name:  Simulation ", "X: a", "x: b", "", '{"a": 1}'].join(end),
      );
      assert.deepEqual(
        { ...request, body: Buffer.from(request.body).toString() },
        {
          method: "POST",
          path: "/Simulation?x=1",
          headers: { name: "Simulation", x: "a, b" },
          body: '{"a": 1}',
        },
      );
    }
  });

  it("keeps the body's bytes, but for white space behind content-length", () => {
    assert.equal(parse("POST / HTTP/1.1\ncontent-length: 2\n\n{}\n").body.length, 2);
    assert.equal(parse("POST / HTTP/1.1\ncontent-length: 2\n\n{ }").body.length, 3);
    assert.equal(parse("POST / HTTP/1.1\ncontent-length: 9\n\n{}").body.length, 2);
    assert.equal(parse("POST / HTTP/1.1\n\n\xff\n\n\x00").body.length, 4);
  });

  it("reads folded headers, absolute targets, leading blank lines and a missing body", () => {
    assert.equal(parse("\n\nGET http://axon:8091/Synapse?q HTTP/1.1\nA: b\n c\n").path, "/Synapse?q");
    assert.equal(parse("GET /Synapse HTTP/1.1\nA: b\n c\n\n").headers["a"], "b c");
    assert.equal(parse("GET /Synapse").method, "GET");
  });

  it("reads JSON with a body as text, as an object or absent", () => {
    const head = '"method": "post", "path": "/Simulation", "headers": {"Timeout": 50, "name": "Simulation"}';
    assert.deepEqual(parse(`{${head}, "body": {"a": [1]}}`), parse(`{${head}, "body": "{\\"a\\":[1]}"}`));
    assert.deepEqual(parse(`{${head}}`).headers, { timeout: "50", name: "Simulation" });
    assert.equal(parse(`{${head}}`).method, "POST");
  });

  it("refuses everything else with a sentence", () => {
    for (const text of ["", " \n", "{", "[]", "{}", "hello world", "POST\n\n", "POST / HTTP/1.1\nno colon\n\n"]) {
      assert.ok(isRefused(text), text);
    }
    assert.ok(isRefused('{"method": "POST", "path": "Simulation", "headers": {}}'));
    assert.ok(isRefused("POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n2\r\n{}\r\n0\r\n\r\n"));
  });

  it("gives back any request written as HTTP text", () => {
    const headers = fc.uniqueArray(fc.tuple(token, value), { selector: ([name]) => name, maxLength: 8 });
    const parts = { headers, body: fc.uint8Array(), end: fc.constantFrom("\r\n", "\n") };
    fc.assert(
      fc.property(fc.record(parts), ({ headers, body, end }) => {
        const pairs = headers.filter(([name]) => name !== "content-length" && name !== "transfer-encoding");
        const lines = ["POST /x HTTP/1.1", ...pairs.map(([name, text]) => `${name}: ${text}`), "", ""];
        const parsed = parseRawRequest(Buffer.concat([Buffer.from(lines.join(end)), body]));
        assert.ok(parsed.ok);
        assert.deepEqual(parsed.request.headers, Object.fromEntries(pairs));
        assert.deepEqual(parsed.request.body, new Uint8Array(body));
      }),
    );
  });

  it("never throws, whatever the file holds", () => {
    const noise = fc.oneof(
      fc.string(),
      fc.json(),
      fc.constantFrom(
        "POST /x HTTP/1.1\r\n",
        "\r\n\r\n",
        "content-length: 5\n",
        "{",
        '{"method":"POST","path":"/","headers":',
      ),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.array(noise).map((parts) => Buffer.from(parts.join(""))),
        ),
        (bytes) => {
          parseRawRequest(bytes);
        },
      ),
      { numRuns: 1000 },
    );
  });
});
