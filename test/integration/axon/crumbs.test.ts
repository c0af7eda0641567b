import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { btauthHeaders } from "../../../src/bittensor/btauth.ts";
import { openMetagraph } from "../../../src/chain/metagraph.ts";
import { talk } from "../../fuzz/axon.ts";
import { MINER, openAxon, SECOND_VALIDATOR, simulationService, VALIDATOR } from "../../support/dendrite-axon.ts";
import { askAxon, exchange, nextNonce, signedCall, type RawRequest } from "../../support/dendrite.ts";
import { eventually } from "../../support/stepped-clock.ts";

/** Bodies that cost more than their bytes, and answers that nobody reads. */

const CRUMB = "1\r\n \r\n";

function textOf({ path, headers }: RawRequest, framing: string): string {
  const lines = Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join("")}${framing}\r\n\r\n`;
}

/** A client that says so much and reads nothing. */
function deaf(test: TestContext, { port, text, from }: { port: number; text: string; from?: string }): Socket {
  const socket = connect({ port, host: "127.0.0.1", ...(from === undefined ? {} : { localAddress: from }) }, () => {
    socket.write(text);
  });
  test.after(() => socket.destroy());
  return socket.on("error", () => undefined).pause();
}

const openToStrangers = (test: TestContext) =>
  openAxon(test, { config: { maxRequestsPerIp: 5 }, metagraph: openMetagraph(), steadyClockStands: true });

describe("a body in crumbs", () => {
  it("cuts a stranger, also where nobody reads the body, and is not heard again for a while", async (test) => {
    const { ask, axon, port, shiftSteadyClock } = await openToStrangers(test);
    const request = `POST /Other HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n${CRUMB.repeat(100_000)}`;
    const { text } = await talk(port, [Buffer.from(request)]);
    assert.ok(!text.includes(" 200 "));
    await eventually(() => axon.stats().connections === 0, "cut");
    await assert.rejects(askAxon(ask));
    shiftSteadyClock(21);
    assert.equal((await askAxon(ask)).status, 200);
  });

  it("cuts a validator's connection and no more", async (test) => {
    const { ask, axon, port } = await openAxon(test);
    const request = textOf(signedCall(ask), "transfer-encoding: chunked");
    const { text } = await talk(port, [Buffer.from(request + CRUMB.repeat(60_000))]);
    assert.ok(!text.includes(" 200 "));
    await eventually(() => axon.stats().connections === 0 && axon.inFlight === 0, "cut");
    assert.equal((await askAxon(ask)).status, 200);
  });

  it("of a few dozen is read", async (test) => {
    const { ask } = await openToStrangers(test);
    const { body, ...call } = signedCall(ask);
    const pieces = (body as string).match(/.{1,20}/g)!;
    assert.ok(pieces.length > 25);
    assert.equal((await exchange({ ...call, body: pieces })).status, 200);
  });

  it("of a stranger who asks too fast cuts it at once", async (test) => {
    const { port, axon } = await openToStrangers(test);
    const request = "POST /Other HTTP/1.1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\n";
    for (let index = 0; index < 100; index++) {
      assert.match((await talk(port, [Buffer.from(request)])).text, / 404 /);
    }
    assert.equal((await talk(port, [Buffer.from(request)])).text, "");
    assert.equal(axon.stats().refused["too_many_requests"], undefined);
  });
});

describe("a refusal", () => {
  it("ends the connection when much of the body is still to come, and keeps it for a short one", async (test) => {
    const { port } = await openAxon(test);
    for (const [framing, ends] of [
      ["content-length: 65537", true],
      ["transfer-encoding: chunked", true],
      ["content-length: 2", false],
    ] as const) {
      const { text } = await talk(port, [Buffer.from(`POST /Other HTTP/1.1\r\n${framing}\r\n\r\n`)], !ends);
      assert.match(text, /^HTTP\/1.1 404 /);
      assert.equal(/\r\nconnection: close\r\n/i.test(text), ends, framing);
    }
  });
});

describe("a btauth/1 body", () => {
  const BODY = JSON.stringify({ simulation_input: { asset: "BTC" }, simulation_output: null });
  const call = (port: number, body = BODY): RawRequest => ({
    port,
    path: "/Simulation",
    body,
    headers: btauthHeaders(VALIDATOR, {
      method: "POST",
      target: "/Simulation",
      bodySha256: createHash("sha256").update(body).digest("hex"),
      nonce: nextNonce(),
      receiver: MINER.address,
    }),
  });

  it("is heard while other addresses hold theirs back", async (test) => {
    const { axon, port } = await openAxon(test, { config: { bodyTimeoutMs: 60_000 } });
    const head = textOf(call(port), "content-length: 100");
    for (let index = 0; index < 96; index++) {
      deaf(test, { port, text: `${head}{`, from: `127.0.0.${10 + (index % 8)}` });
    }
    await eventually(() => axon.inFlight === 96, "all hold");
    assert.equal((await exchange(call(port))).status, 200);
  });

  it("of a stranger may be no larger than 64 KiB; a validator's address may send what the axon takes", async (test) => {
    const large = BODY.padEnd(65_537);
    const config = { maxBodyBytes: 131_072 };
    const strange = await openAxon(test, { config, metagraph: openMetagraph() });
    assert.equal((await exchange(call(strange.port, large))).status, 413);
    assert.equal((await exchange(call(strange.port))).status, 200);
    assert.equal((await exchange(call(strange.port, large))).status, 200); // known by now
  });
});

describe("answers that a validator does not read", () => {
  it("keep no other validator from its own", async (test) => {
    const output = Buffer.alloc(30_000_000, "1");
    const run = () => Promise.resolve({ ok: true as const, fields: { simulation_output: output }, evidence: 0 });
    const { ask, axon, port } = await openAxon(test, { services: [simulationService(run)] });
    const greedy = Array.from({ length: 10 }, () => {
      const request = signedCall(ask);
      const body = request.body as string;
      return deaf(test, { port, text: textOf(request, `content-length: ${body.length}`) + body });
    });
    await eventually(() => axon.stats().refused["unread_answers"] !== undefined, "the greedy one has too many");
    const other = await askAxon({ ...ask, keypair: SECOND_VALIDATOR });
    assert.equal(other.status, 200);
    assert.equal(other.raw.body.length > output.length, true);
    assert.equal((await askAxon(ask)).status, 503);
    for (const socket of greedy) socket.destroy();
    await eventually(() => axon.inFlight === 0, "gone");
    assert.equal((await askAxon(ask)).status, 200);
  });
});
