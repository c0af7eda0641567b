import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openMetagraph } from "../../../src/chain/metagraph.ts";
import { freePort } from "../../../src/demo/free-port.ts";
import { isErrno } from "../../../src/errors.ts";
import {
  gatedService,
  openAxon,
  prompt,
  SECOND_VALIDATOR,
  simulationService,
  STRANGER,
} from "../../support/dendrite-axon.ts";
import { askAxon, exchange, nextNonce, signedCall } from "../../support/dendrite.ts";
import { eventually } from "../../support/stepped-clock.ts";

describe("under load", () => {
  it("the higher stake goes first", async (test) => {
    const { service, started, finish } = gatedService();
    const { ask, axon } = await openAxon(test, { services: [service], threads: 1 });
    const first = askAxon({ ...ask, ...prompt("first") });
    await eventually(() => started.length === 1, "first run");
    const low = askAxon({ ...ask, ...prompt("low") });
    await eventually(() => axon.stats().queued === 1, "one waits");
    const high = askAxon({ ...ask, keypair: SECOND_VALIDATOR, ...prompt("high") });
    await eventually(() => axon.stats().queued === 2, "two wait");
    for (const name of ["first", "high", "low"]) {
      await eventually(() => finish.has(name), name);
      finish.get(name)!();
    }
    await Promise.all([first, low, high]);
    assert.deepEqual(started, ["first", "high", "low"]);
  });

  it("what cannot be ready in time, and what finds no place, is refused at once", async (test) => {
    const { service, started, finish } = gatedService();
    const { ask, axon, shiftSteadyClock } = await openAxon(test, {
      services: [service],
      threads: 1,
      config: { maxQueue: 1 },
    });
    const teacher = askAxon({ ...ask, ...prompt("teacher"), timeoutSeconds: 250 });
    await eventually(() => started.length === 1, "teacher runs");
    shiftSteadyClock(30); // the axon learns: 30 s a prompt
    finish.get("teacher")!();
    assert.equal((await teacher).status, 200);
    const hopeless = await askAxon({ ...ask, ...prompt("hopeless"), timeoutSeconds: 5 });
    assert.equal(hopeless.status, 503);
    assert.match(hopeless.message, /cannot be ready/);
    const running = askAxon({ ...ask, ...prompt("running"), timeoutSeconds: 280 });
    await eventually(() => started.length === 2, "runs");
    const waiting = askAxon({ ...ask, ...prompt("waiting"), timeoutSeconds: 280 });
    await eventually(() => axon.stats().queued === 1, "waits");
    assert.match((await askAxon({ ...ask, timeoutSeconds: 280 })).message, /waiting/);
    finish.get("running")!();
    await eventually(() => finish.has("waiting"), "waiting");
    finish.get("waiting")!();
    assert.deepEqual([(await running).status, (await waiting).status], [200, 200]);
  });

  it("a run that misses its deadline is aborted and answered 503", async (test) => {
    const { service, aborted } = gatedService();
    const { ask } = await openAxon(test, { services: [service] });
    assert.equal((await askAxon({ ...ask, ...prompt("slow"), timeoutSeconds: 0.3 })).status, 503);
    assert.deepEqual(aborted, ["slow"]);
    assert.equal((await askAxon({ ...ask, ...prompt("zero"), timeoutSeconds: 0 })).status, 503);
  });

  it("a client that goes away aborts its work and frees its place", async (test) => {
    const { service, started, aborted, finish } = gatedService();
    const { ask, axon, exchanges } = await openAxon(test, { services: [service], threads: 1 });
    const hangUp = new AbortController();
    const gone = askAxon({ ...ask, ...prompt("gone"), signal: hangUp.signal }).catch(() => "gone");
    await eventually(() => started.length === 1, "run");
    hangUp.abort();
    assert.equal(await gone, "gone");
    await eventually(() => axon.stats().inFlight === 0 && axon.stats().running === 0, "freed");
    assert.deepEqual(aborted, ["gone"]);
    const next = askAxon({ ...ask, ...prompt("next") });
    await eventually(() => finish.has("next"), "next");
    finish.get("next")!();
    assert.equal((await next).status, 200);
    assert.deepEqual(
      exchanges.map(({ status }) => status),
      [499, 200],
    );
  });

  it("sockets are bounded per address", async (test) => {
    const { port, axon } = await openAxon(test, { config: { maxConnectionsPerIp: 2 } });
    let closed = 0;
    const sockets = Array.from({ length: 5 }, () =>
      connect(port, "127.0.0.1")
        .on("error", () => undefined)
        .on("close", () => (closed += 1)),
    );
    test.after(() => {
      for (const socket of sockets) socket.destroy();
    });
    await eventually(() => closed === 3, "three are turned away");
    assert.equal(axon.stats().connections, 2);
  });

  // AXON_FLOOD=10000 for the full run.
  it("thousands of bad requests leave the heap flat and the next good one answered", async (test) => {
    const { ask, axon, port } = await openAxon(test, { metagraph: openMetagraph() });
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    test.after(() => {
      agent.destroy();
    });
    const signed = signedCall(ask);
    const bad = (index: number) => {
      const headers = {
        ...signed.headers,
        bt_header_dendrite_nonce: String(nextNonce()),
        bt_header_dendrite_uuid: `u${String(index)}`,
      };
      switch (index % 8) {
        case 0:
          return { ...signed, path: `/Unknown${String(index)}` };
        case 1:
          return { ...signed, headers: { ...headers, bt_header_dendrite_hotkey: "" } };
        case 2:
          return { ...signed, headers }; // wrongly signed
        case 3:
          return { ...signed, headers: { ...headers, timeout: `${String(index)}x` } };
        case 4:
          return { ...signed, headers: { ...headers, bt_header_dendrite_nonce: String(index) } };
        case 5:
          return { ...signed, headers, body: "x".repeat(80_000) };
        case 6:
          return { ...signed, headers: { ...headers, bt_header_axon_hotkey: STRANGER.address } };
        default:
          return { ...signed, headers, body: ["x".repeat(40_000), "y".repeat(40_000)] };
      }
    };
    let sent = 0;
    const flood = async (until: number): Promise<void> => {
      while (sent < until) {
        const { status } = await exchange({ ...bad(sent++), port, agent });
        assert.ok(status >= 400 && status < 500, String(status));
      }
    };
    const total = Number(process.env["AXON_FLOOD"] ?? 2000);
    const rounds = async (until: number): Promise<number> => {
      await Promise.all(Array.from({ length: 16 }, () => flood(until)));
      globalThis.gc?.();
      return process.memoryUsage().heapUsed;
    };
    const early = await rounds(total / 4);
    const late = await rounds(total);
    assert.equal(axon.stats().nonces, 0);
    assert.ok((await askAxon(ask)).status === 200);
    await eventually(() => axon.inFlight === 0, "settled");
    // Without --expose-gc the heap is only roughly known.
    assert.ok(late - early < (globalThis.gc === undefined ? 64e6 : 4e6), `${String(early)} → ${String(late)}`);
  });
});

describe("closing", () => {
  it("lets requests in flight finish, refuses new ones, and cuts idle sockets", async (test) => {
    const { service, started, finish } = gatedService();
    const { ask, axon, port } = await openAxon(test, { services: [service] });
    const agent = new Agent({ keepAlive: true });
    assert.equal((await askAxon({ ...ask, synapse: "Synapse", body: {}, agent })).status, 200);
    const inFlight = askAxon({ ...ask, ...prompt("last") });
    await eventually(() => started.length === 1, "run");
    const closed = axon.close({ graceMs: 60_000 });
    await assert.rejects(exchange({ port, path: "/Synapse" }));
    finish.get("last")!();
    assert.equal((await inFlight).status, 200);
    await closed;
    assert.equal(axon.inFlight, 0);
    agent.destroy();
  });

  it("lets an answer be read to its end", async (test) => {
    const output = Buffer.alloc(20_000_000, "1");
    const run = () => Promise.resolve({ ok: true as const, fields: { simulation_output: output }, evidence: 0 });
    const { ask, axon, port } = await openAxon(test, { services: [simulationService(run)] });
    const { path, headers, body } = signedCall(ask);
    const request = httpRequest({ port, host: "127.0.0.1", method: "POST", path, headers }).end(body as string);
    const [response] = (await once(request, "response")) as [IncomingMessage];
    const closed = axon.close({ graceMs: 60_000 });
    let read = 0;
    for await (const piece of response) read += (piece as Buffer).length;
    assert.equal(read, Number(response.headers["content-length"]));
    await closed;
  });

  it("aborts what outlasts the grace", async (test) => {
    const { service, started, aborted } = gatedService();
    const { ask, axon } = await openAxon(test, { services: [service] });
    const inFlight = askAxon({ ...ask, ...prompt("long") });
    await eventually(() => started.length === 1, "run");
    await axon.close({ graceMs: 0 });
    assert.equal((await inFlight).status, 503);
    assert.deepEqual(aborted, ["long"]);
  });

  it("touches no journal of the axon that holds its port", async (test) => {
    const { ask, port, folder } = await openAxon(test);
    const journal = join(folder, "nonces");
    assert.equal((await askAxon(ask)).status, 200);
    const before = [statSync(journal).ino, readFileSync(journal, "utf8")];
    await assert.rejects(openAxon(test, { config: { port }, folder }), { code: "AXON_LISTEN" });
    assert.deepEqual([statSync(journal).ino, readFileSync(journal, "utf8")], before);
  });

  it("answers who asks as soon as its port is bound", { timeout: 30_000 }, async (test) => {
    const port = await freePort();
    const firstAnswer = async (): Promise<number> => {
      while (!test.signal.aborted) {
        try {
          return (await exchange({ port, method: "GET", path: "/nothing" })).status;
        } catch (error) {
          if (!isErrno(error, "ECONNREFUSED")) throw error;
        }
      }
      return 0;
    };
    const [status] = await Promise.all([firstAnswer(), openAxon(test, { config: { port } })]);
    assert.equal(status, 404);
  });

  it("frees its port for the next", async (test) => {
    const { axon, port, folder } = await openAxon(test);
    await assert.rejects(openAxon(test, { config: { port } }), { code: "AXON_LISTEN" });
    await axon.close({ graceMs: 0 });
    assert.equal((await askAxon((await openAxon(test, { config: { port }, folder })).ask)).status, 200);
  });
});
