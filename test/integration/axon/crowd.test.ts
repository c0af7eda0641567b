import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { connect, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { pino } from "pino";
import { openMetagraph, type Metagraph } from "../../../src/chain/metagraph.ts";
import { openKnownAddresses } from "../../../src/axon/known-addresses.ts";
import { talk } from "../../fuzz/axon.ts";
import { openAxon } from "../../support/dendrite-axon.ts";
import { askAxon } from "../../support/dendrite.ts";
import { eventually, SteppedClock } from "../../support/stepped-clock.ts";
import { tempFolder } from "../../support/temp-folder.ts";

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

const LAST = "GET / HTTP/1.1\r\nconnection: close\r\n\r\n";

describe("requests before the last one's answer", () => {
  const heard = async (test: TestContext, metagraph?: Metagraph): Promise<string> => {
    const config = { maxRequestsPerIp: 1 };
    const { port } = await openAxon(test, metagraph === undefined ? { config } : { config, metagraph });
    const request = "POST /Simulation HTTP/1.1\r\ncontent-length: 0\r\n\r\n";
    const last = "POST /Simulation HTTP/1.1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    return (await talk(port, [Buffer.from(request.repeat(50) + last)])).text;
  };

  it("of a stranger are answered as far as it may ask", async (test) => {
    const { port } = await openAxon(test, { config: { maxRequestsPerIp: 1 }, metagraph: openMetagraph() });
    const { text } = await talk(port, [Buffer.from("GET / HTTP/1.1\r\n\r\n".repeat(19) + LAST)]);
    assert.equal(text.split("HTTP/1.1 404").length - 1, 20);
  });

  it("beyond that cut its connection", async (test) => {
    assert.ok(!(await heard(test, openMetagraph())).includes(" 429 "));
  });

  it("beyond that cut its other connections, and those it makes in the next seconds", async (test) => {
    const { ask, port, axon, shiftSteadyClock } = await openAxon(test, {
      config: { maxRequestsPerIp: 5 },
      metagraph: openMetagraph(),
      steadyClockStands: true,
    });
    const [others, strangers] = ["127.0.0.1", "127.0.0.8"].map((from) => crowd(test, { port, from, count: 3 }));
    await eventually(() => axon.stats().connections === 6, "open");
    await talk(port, [Buffer.from("GET / HTTP/1.1\r\n\r\n".repeat(1000))]);
    await eventually(() => others!.closed === 3, "its others are cut");
    await assert.rejects(askAxon(ask));
    assert.equal(strangers!.closed, 0);
    shiftSteadyClock(21);
    assert.equal((await askAxon(ask)).status, 200);
  });

  it("all come to the front door, the thousands of one connection, too", async (test) => {
    const { port, axon } = await openAxon(test);
    const { text } = await talk(port, [Buffer.from("GET / HTTP/1.1\r\n\r\n".repeat(1200) + LAST)]);
    assert.equal(text.split("HTTP/1.1 404").length - 1, 1201);
    assert.equal(axon.stats().refusedByStatus["404"], 1201);
  });

  it("are answered where validators ask from", async (test) => {
    assert.equal((await heard(test)).split("HTTP/1.1 403").length - 1, 51);
  });
});

describe("requests faster than strangers may ask", () => {
  const unsigned = { bt_header_dendrite_signature: "" };
  const open = (test: TestContext) =>
    openAxon(test, { config: { maxRequestsPerIp: 1 }, metagraph: openMetagraph(), steadyClockStands: true });

  it("are told 429 after a burst, and asked in again later", async (test) => {
    const { ask, axon, shiftSteadyClock } = await open(test);
    const answers = [];
    for (let index = 0; index < 40; index++) answers.push(await askAxon({ ...ask, headers: unsigned }));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [...Array<number>(20).fill(403), ...Array<number>(20).fill(429)],
    );
    const { headers, body } = answers.at(-1)!.raw;
    assert.equal(headers["retry-after"], "1");
    assert.match(body, /^\{"message":"Too many [^"]+"\}$/);
    assert.equal(axon.stats().refused["too_many_requests"], 20);
    assert.equal((await askAxon(ask)).status, 429);
    shiftSteadyClock(1);
    assert.equal((await askAxon(ask)).status, 200);
  });

  it("are taken from where a validator asked, and from other addresses", async (test) => {
    const { ask } = await open(test);
    const elsewhere = { ...ask, agent: new Agent({ localAddress: "127.0.0.7" }) };
    for (let index = 0; index < 40; index++) await askAxon({ ...elsewhere, headers: unsigned });
    assert.equal((await askAxon(elsewhere)).status, 429);
    assert.equal((await askAxon(ask)).status, 200);
    for (let index = 0; index < 40; index++) assert.equal((await askAxon({ ...ask, headers: unsigned })).status, 403);
  });
});

describe("known addresses", () => {
  const openIn = (
    folder: string,
    options: { clock?: SteppedClock; warnings?: string[] } = {},
  ): ReturnType<typeof openKnownAddresses> =>
    openKnownAddresses({
      file: join(folder, "addresses", "hotkey.json"),
      published: (ip) => ip === "192.0.2.3",
      clock: options.clock ?? new SteppedClock(1e9),
      logger: pino({ level: "warn" }, { write: (line: string) => options.warnings?.push(line) }),
    });

  it("are the published ones always, and those of valid signatures for a day", async (test) => {
    const clock = new SteppedClock(1e9);
    const known = await openIn(await tempFolder(test), { clock });
    known.add("192.0.2.1");
    assert.ok(known.has("192.0.2.1") && !known.has("192.0.2.2") && known.has("192.0.2.3"));
    clock.advance(86_399);
    assert.ok(known.has("192.0.2.1"));
    clock.advance(1);
    assert.ok(!known.has("192.0.2.1"));
  });

  it("outlive a kill: a new one is on disk at once, with its time every ten minutes", async (test) => {
    const folder = await tempFolder(test);
    const clock = new SteppedClock(1e9);
    const file = join(folder, "addresses", "hotkey.json");
    const known = await openIn(folder, { clock });
    known.add("192.0.2.1");
    await eventually(() => existsSync(file), "the new one is written");
    assert.equal(statSync(file).mode & 0o777, 0o600);
    clock.advance(86_000);
    known.add("192.0.2.1");
    await eventually(
      () => readFileSync(file, "utf8").includes(String((1e9 + 86_000) * 1000)),
      "its new time is written",
    );
    clock.advance(86_000);
    const again = await openIn(folder, { clock });
    assert.ok(again.has("192.0.2.1") && !again.has("192.0.2.2"));
    clock.advance(400);
    assert.ok(!again.has("192.0.2.1"));
  });

  it("of a damaged file are learnt anew, and it says so", async (test) => {
    const folder = await tempFolder(test);
    const file = join(folder, "addresses", "hotkey.json");
    mkdirSync(dirname(file));
    for (const garbage of [
      "",
      "[]",
      '{"schema":2,"addresses":[]}',
      '{"schema":1,"addresses":[["not an address",1]]}',
    ]) {
      writeFileSync(file, garbage);
      const warnings: string[] = [];
      const known = await openIn(folder, { warnings });
      assert.equal(warnings.length, 1, garbage);
      known.add("192.0.2.1");
      await known.close();
      assert.ok((await openIn(folder, { warnings })).has("192.0.2.1"));
      assert.equal(warnings.length, 1);
    }
  });

  it("do not stay for ever where a wrong clock wrote them", async (test) => {
    const folder = await tempFolder(test);
    const wrong = await openIn(folder, { clock: new SteppedClock(2e9) });
    wrong.add("192.0.2.1");
    await wrong.close();
    const clock = new SteppedClock(1e9);
    const known = await openIn(folder, { clock });
    assert.ok(known.has("192.0.2.1"));
    clock.advance(86_400);
    assert.ok(!known.has("192.0.2.1"));
  });

  it("are served by an axon that has only just started", async (test) => {
    const folder = await tempFolder(test);
    const first = await openAxon(test, { folder, metagraph: openMetagraph() });
    assert.equal((await askAxon(first.ask)).status, 200);
    await first.axon.close({ graceMs: 0 });
    const { ask, axon, port } = await openAxon(test, {
      folder,
      config: { maxConnections: 4 },
      metagraph: openMetagraph(),
    });
    Array.from({ length: 4 }, (_, index) => crowd(test, { port, from: `127.0.0.${10 + index}`, count: 1 }));
    await eventually(() => axon.stats().connections === 4, "full");
    assert.equal((await askAxon(ask)).status, 200);
  });

  it("are bounded: the one that was quiet longest is forgotten", async (test) => {
    const known = await openIn(await tempFolder(test));
    const [first, second] = ["192.0.2.1", "192.0.2.2"];
    known.add(first);
    known.add(second);
    known.add(first);
    for (let index = 0; index < 1023; index++) known.add(`10.0.${index >> 8}.${index & 255}`);
    assert.ok(known.has(first) && !known.has(second));
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
