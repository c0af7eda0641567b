import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { openMetagraph, type Metagraph } from "../../../src/chain/metagraph.ts";
import { createKnownAddresses } from "../../../src/axon/known-addresses.ts";
import { talk } from "../../fuzz/axon.ts";
import { openAxon } from "../../support/dendrite-axon.ts";
import { askAxon } from "../../support/dendrite.ts";
import { eventually, SteppedClock } from "../../support/stepped-clock.ts";

interface Crowd {
  readonly sockets: Socket[];
  closed: number;
}

/** Idle sockets of an address of the loopback. */
function crowd(test: TestContext, options: { port: number; from: string; count: number }): Crowd {
  const { port, from, count } = options;
  const result: Crowd = { sockets: [], closed: 0 };
  for (let index = 0; index < count; index++) {
    const socket = connect({ port, host: "127.0.0.1", localAddress: from });
    socket.on("error", () => undefined).on("close", () => (result.closed += 1));
    result.sockets.push(socket);
  }
  test.after(() => {
    for (const socket of result.sockets) socket.destroy();
  });
  return result;
}

describe("a crowd that holds every connection", () => {
  it("of one address makes room for others", async (test) => {
    const { ask, axon, port } = await openAxon(test, { config: { maxConnections: 8 } });
    const strangers = crowd(test, { port, from: "127.0.0.9", count: 8 });
    await eventually(() => axon.stats().connections === 8, "full");
    assert.equal((await askAxon(ask)).status, 200);
    await eventually(() => strangers.closed === 1, "one was cut");
  });

  it("of many addresses makes room for a validator's, and for no other stranger's", async (test) => {
    const { ask, axon, port } = await openAxon(test, { config: { maxConnections: 8 }, metagraph: openMetagraph() });
    assert.equal((await askAxon(ask)).status, 200); // from 127.0.0.1, which is known from now on
    await eventually(() => axon.stats().connections === 0, "empty");
    const crowds = Array.from({ length: 8 }, (_, index) =>
      crowd(test, { port, from: `127.0.0.${10 + index}`, count: 1 }),
    );
    await eventually(() => axon.stats().connections === 8, "full");
    const late = crowd(test, { port, from: "127.0.0.99", count: 1 });
    await eventually(() => late.closed === 1, "the late stranger was turned away");
    const answers = await Promise.all([askAxon(ask), askAxon(ask), askAxon(ask)]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200],
    );
    await eventually(() => crowds.reduce((sum, { closed }) => sum + closed, 0) === 3, "three were cut");
  });
});

describe("requests before the last one's answer", () => {
  const heard = async (test: TestContext, metagraph?: Metagraph): Promise<string> => {
    const { port } = await openAxon(test, metagraph === undefined ? {} : { metagraph });
    const request = "POST /Simulation HTTP/1.1\r\ncontent-length: 0\r\n\r\n";
    const last = "POST /Simulation HTTP/1.1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    return (await talk(port, [Buffer.from(request.repeat(50) + last)])).text;
  };

  it("cut a stranger's connection", async (test) => {
    assert.equal(await heard(test, openMetagraph()), "");
  });

  it("are answered where validators ask from", async (test) => {
    assert.equal((await heard(test)).split("HTTP/1.1 403").length - 1, 51);
  });
});

describe("known addresses", () => {
  it("are the published ones always, and those of valid signatures for a day", () => {
    const clock = new SteppedClock(1e9);
    const known = createKnownAddresses(clock, (ip) => ip === "192.0.2.3");
    known.add("192.0.2.1");
    assert.ok(known.has("192.0.2.1") && !known.has("192.0.2.2") && known.has("192.0.2.3"));
    clock.advance(86_399);
    assert.ok(known.has("192.0.2.1"));
    clock.advance(1);
    assert.ok(!known.has("192.0.2.1"));
  });

  it("are bounded: the one that was quiet longest is forgotten", () => {
    const known = createKnownAddresses(new SteppedClock(1e9), () => false);
    known.add("first");
    known.add("second");
    known.add("first");
    for (let index = 0; index < 1023; index++) known.add(String(index));
    assert.ok(known.has("first") && !known.has("second"));
  });

  it("are not those of forged requests", async (test) => {
    const { ask, axon, port } = await openAxon(test, { config: { maxConnections: 4 }, metagraph: openMetagraph() });
    const forged = { bt_header_dendrite_signature: `0x${"12".repeat(64)}` };
    assert.equal((await askAxon({ ...ask, headers: forged })).status, 401);
    await eventually(() => axon.stats().connections === 0, "empty");
    Array.from({ length: 4 }, (_, index) => crowd(test, { port, from: `127.0.0.${10 + index}`, count: 1 }));
    await eventually(() => axon.stats().connections === 4, "full");
    await assert.rejects(askAxon(ask));
  });
});
