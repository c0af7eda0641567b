import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { talk } from "../../fuzz/axon.ts";
import { openAxon, type TestAxon } from "../../support/dendrite-axon.ts";
import { askAxon, signedCall, type RawRequest } from "../../support/dendrite.ts";
import { eventually } from "../../support/stepped-clock.ts";

/** What no HTTP client sends. Each is a conversation of one connection, and what the axon says in it. */

const BODY_TIMEOUT_MS = 100;
/** The server's own limits are 10 s for headers; it looks once a second. */
const OVERDUE_MS = 12_000;

interface Parts {
  readonly line?: string;
  readonly headers?: readonly string[];
  readonly without?: readonly string[];
  readonly body?: string;
  readonly close?: boolean;
}

/** A good request, but for `parts`. */
function request(axon: TestAxon, parts: Parts = {}): string {
  const call: RawRequest = signedCall(axon.ask);
  const body = parts.body ?? (call.body as string);
  const own = parts.headers?.map((line) => line.split(":", 1)[0]!.trim().toLowerCase()) ?? [];
  const framed = own.some((name) => name === "content-length" || name === "transfer-encoding");
  const lines = Object.entries(call.headers ?? {})
    .filter(([name]) => !(parts.without ?? []).includes(name))
    .map(([name, value]) => `${name}: ${value}`);
  return [
    parts.line ?? "POST /Simulation HTTP/1.1",
    ...lines,
    ...(framed ? [] : [`content-length: ${Buffer.byteLength(body, "latin1")}`]),
    ...(parts.headers ?? []),
    ...(parts.close === false ? [] : ["connection: close"]),
    "",
    body,
  ].join("\r\n");
}

const CHUNKED = "transfer-encoding: chunked";
const BIG = "x".repeat(17_000);

/** Name → what is sent, and the statuses that come back; none: the axon hangs up. */
const CORPUS: Record<string, readonly [(axon: TestAxon) => string, readonly number[]]> = {
  "two requests at once": [(axon) => request(axon, { close: false }) + request(axon), [200, 200]],
  "a request and then noise": [(axon) => `${request(axon, { close: false })}\u0000\u0001\u0002\r\n\r\n`, [400]],
  "a refused request and then a good one": [
    (axon) => request(axon, { line: "POST /Other HTTP/1.1", close: false }) + request(axon),
    [404, 200],
  ],
  "two content-lengths": [(axon) => request(axon, { headers: ["content-length: 5", "content-length: 6"] }), [400]],
  "the same content-length twice": [
    (axon) => request(axon, { headers: ["content-length: 5", "content-length: 5"] }),
    [400],
  ],
  "content-length and chunked": [(axon) => request(axon, { headers: ["content-length: 5", CHUNKED] }), [400]],
  "a negative content-length": [(axon) => request(axon, { headers: ["content-length: -1"] }), [400]],
  "a content-length with an exponent": [(axon) => request(axon, { headers: ["content-length: 1e3"] }), [400]],
  "a content-length beyond 64 bits": [
    (axon) => request(axon, { headers: [`content-length: ${"9".repeat(30)}`] }),
    [400],
  ],
  "a content-length that is too short": [
    (axon) => request(axon, { headers: ["content-length: 10"], close: false }),
    [400],
  ],
  "a content-length that is too long": [(axon) => request(axon, { headers: ["content-length: 9999"] }), [408]],
  "a content-length above the limit": [(axon) => request(axon, { headers: ["content-length: 99999999"] }), [413]],
  "chunks that are longer than they say": [
    (axon) => request(axon, { headers: [CHUNKED], body: "2\r\n{}}}}}\r\n0\r\n\r\n" }),
    [400],
  ],
  "chunks without a number": [(axon) => request(axon, { headers: [CHUNKED], body: "zz\r\n{}\r\n0\r\n\r\n" }), [400]],
  "chunks of a negative size": [(axon) => request(axon, { headers: [CHUNKED], body: "-2\r\n{}\r\n0\r\n\r\n" }), [400]],
  "a chunk of 2^64 bytes": [(axon) => request(axon, { headers: [CHUNKED], body: "10000000000000000\r\n{}" }), [400]],
  "a chunk that never comes": [(axon) => request(axon, { headers: [CHUNKED], body: "ffff\r\n{}" }), [408]],
  "chunks above the limit": [
    (axon) => request(axon, { headers: [CHUNKED], body: `1ffff\r\n${"x".repeat(0x1ffff)}\r\n0\r\n\r\n` }),
    [413],
  ],
  "chunks with a trailer": [
    (axon) =>
      request(axon, {
        headers: [CHUNKED],
        body: '1d\r\n{"simulation_input":{"a": 1}}\r\n0\r\nbt_header_dendrite_hotkey: x\r\n\r\n',
      }),
    [200],
  ],
  "a coding nobody knows": [(axon) => request(axon, { headers: ["transfer-encoding: chunked, cow"], body: "" }), [400]],
  "a body that is no UTF-8": [(axon) => request(axon, { body: '{"simulation_input":"\u00ff\u00fe"}' }), [400]],
  "a header that is no UTF-8": [
    (axon) => request(axon, { headers: ["bt_header_dendrite_version: \u00ff\u00fe"] }),
    [400],
  ],
  "a header of 17 KB": [(axon) => request(axon, { headers: [`filler: ${BIG}`] }), [431]],
  "three thousand headers": [
    (axon) => request(axon, { headers: Array.from({ length: 3000 }, (_, i) => `h${i}: 1`) }),
    [431],
  ],
  "a request line of 17 KB": [(axon) => request(axon, { line: `POST /${BIG} HTTP/1.1` }), [431]],
  "two signatures": [
    (axon) => request(axon, { headers: [`bt_header_dendrite_signature: 0x${"0".repeat(128)}`] }),
    [400],
  ],
  "two hotkeys": [
    (axon) => request(axon, { headers: [`bt_header_dendrite_hotkey: ${axon.ask.receiverHotkey}`] }),
    [400],
  ],
  "two nonces": [(axon) => request(axon, { headers: ["bt_header_dendrite_nonce: 1"] }), [400]],
  "a folded header": [(axon) => request(axon, { headers: ["filler: a\r\n b"] }), [400]],
  "a space before the colon": [(axon) => request(axon, { headers: ["filler : a"] }), [400]],
  "a NUL in a header": [(axon) => request(axon, { headers: ["filler: a\u0000b"] }), [400]],
  "bare line feeds": [(axon) => request(axon).replaceAll("\r\n", "\n"), [400]],
  "100-continue": [(axon) => request(axon, { headers: ["expect: 100-continue"] }), [100, 200]],
  "100-continue by a stranger": [
    (axon) => request(axon, { headers: ["expect: 100-continue"], without: ["bt_header_dendrite_signature"] }),
    [403],
  ],
  "another expectation": [(axon) => request(axon, { headers: ["expect: a miracle"] }), [200]],
  "an upgrade to a web socket": [(axon) => request(axon, { headers: ["upgrade: websocket"] }), [200]],
  "an upgrade to HTTP/2": [
    (axon) => request(axon, { headers: ["upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__"] }),
    [200],
  ],
  "HTTP/2 without asking": [() => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]],
  "HTTP/0.9": [() => "GET /Simulation\r\n\r\n", [403]],
  "HTTP/1.0": [(axon) => request(axon, { line: "POST /Simulation HTTP/1.0" }), [200]],
  "HTTP/9.9": [(axon) => request(axon, { line: "POST /Simulation HTTP/9.9" }), [400]],
  TLS: [() => "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003", [400]],
  "another protocol": [() => "SSH-2.0-OpenSSH_9.6\r\n", [400]],
  "a tunnel": [() => "CONNECT example.org:443 HTTP/1.1\r\n\r\n", []],
  "a request through a proxy": [
    (axon) => request(axon, { line: "POST http://example.org/Simulation HTTP/1.1" }),
    [200],
  ],
  "no method": [(axon) => request(axon, { line: " /Simulation HTTP/1.1" }), [400]],
  "a method nobody knows": [(axon) => request(axon, { line: "BREW /Simulation HTTP/1.1" }), [400]],
};

function statuses(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

/** What the axon says to a sender who dribbles `rest` byte by byte, and when it hangs up. */
function dribble(port: number, first: string, rest: string): Promise<{ heard: string; ms: number }> {
  const startedMs = performance.now();
  return new Promise((resolve) => {
    let heard = "";
    let sent = 0;
    const socket = connect(port, "127.0.0.1", () => socket.write(first, "latin1"));
    const timer = setInterval(() => {
      if (rest.length > 0 && socket.writable) socket.write(rest[sent++ % rest.length]!);
    }, 200);
    socket.on("data", (chunk) => (heard += chunk.toString("latin1")));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearInterval(timer);
      resolve({ heard, ms: performance.now() - startedMs });
    });
  });
}

describe("raw sockets", () => {
  it("get the documented answer to each of the corpus, and the axon is as good as before", async (test) => {
    const axon = await openAxon(test, { config: { bodyTimeoutMs: BODY_TIMEOUT_MS } });
    const heard: Record<string, readonly number[]> = {};
    for (const [name, [bytes]] of Object.entries(CORPUS)) {
      const { text } = await talk(axon.port, [Buffer.from(bytes(axon), "latin1")]);
      heard[name] = statuses(text);
    }
    assert.deepEqual(heard, Object.fromEntries(Object.entries(CORPUS).map(([name, [, expected]]) => [name, expected])));
    assert.equal((await askAxon(axon.ask)).status, 200);
    assert.equal(axon.axon.stats().inFlight, 0);
    assert.equal(axon.axon.stats().refused["internal"], undefined);
  });

  it("that stall are cut, each in its time, and meanwhile nobody waits for them", async (test) => {
    const axon = await openAxon(test, { config: { bodyTimeoutMs: BODY_TIMEOUT_MS } });
    const { port } = axon;
    const good = request(axon);
    const head = good.slice(0, good.indexOf("\r\n\r\n"));
    const stalled = {
      "headers byte by byte": dribble(port, "POST /Simulation HTTP/1.1\r\n", "filler: a\r\n"),
      "half of the headers": dribble(port, head, ""),
      "a body byte by byte": dribble(port, `${head}\r\n\r\n`, " "),
      "no word at all": dribble(port, "", ""),
      "a refused body without end": dribble(port, `POST /Other HTTP/1.1\r\n${CHUNKED}\r\n\r\n`, "1\r\nx\r\n"),
    };
    await eventually(() => axon.axon.stats().connections === 5, "five stall");
    assert.equal((await askAxon(axon.ask)).status, 200);
    for (const [name, end] of Object.entries(stalled)) {
      const { heard, ms } = await end;
      assert.ok(ms < OVERDUE_MS, `${name}: ${ms} ms`);
      assert.ok(!heard.includes(" 200 "), name);
    }
    assert.match((await stalled["headers byte by byte"]).heard, / 408 /);
    assert.match((await stalled["a body byte by byte"]).heard, / 408 /);
    await eventually(() => axon.axon.stats().connections === 0 && axon.axon.inFlight === 0, "freed");
  });

  it("that close their half early are closed, and leave nothing behind", async (test) => {
    const axon = await openAxon(test);
    for (const bytes of ["", "POST /Sim", request(axon), request(axon).slice(0, -5)]) {
      const { text } = await talk(axon.port, [Buffer.from(bytes, "latin1")], true);
      assert.ok(!statuses(text).includes(200) || bytes === request(axon), text);
    }
    await eventually(() => axon.axon.stats().connections === 0 && axon.axon.inFlight === 0, "freed");
    assert.equal((await askAxon(axon.ask)).status, 200);
  });
});
