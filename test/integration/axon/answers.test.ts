import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { pino } from "pino";
import { startHealth } from "../../../src/axon/health.ts";
import { btauthHeaders } from "../../../src/bittensor/btauth.ts";
import { openMetagraph } from "../../../src/chain/metagraph.ts";
import { keypairFromUri } from "../../../src/wallet/development-key.ts";
import {
  echo,
  MINER,
  openAxon,
  prompt,
  SECOND_VALIDATOR,
  simulationService,
  STRANGER,
  VALIDATOR,
} from "../../support/dendrite-axon.ts";
import { askAxon, exchange, nextNonce, signedCall } from "../../support/dendrite.ts";
import { eventually } from "../../support/stepped-clock.ts";

describe("an answer", () => {
  it("holds every field of the synapse and mirrors it in the headers", async (test) => {
    const { ask, port, exchanges } = await openAxon(test, { config: { externalIp: "203.0.113.7", externalPort: 80 } });
    const [uuid, nonce] = [randomUUID(), nextNonce()];
    const input = { asset: "BTC", num_simulations: 1000 };
    const answer = await askAxon({
      ...ask,
      uuid,
      nonce,
      timeoutSeconds: 49.5,
      body: { simulation_input: input, simulation_output: null },
    });
    assert.equal(answer.status, 200);
    assert.ok(answer.signatureValid);
    const json = answer.json!;
    assert.deepEqual(Object.keys(json), [
      "name",
      "timeout",
      "total_size",
      "header_size",
      "dendrite",
      "axon",
      "computed_body_hash",
      "simulation_input",
      "simulation_output",
    ]);
    assert.equal(json["name"], "Simulation");
    assert.equal(json["timeout"], 49.5);
    assert.deepEqual(json["simulation_input"], input);
    assert.deepEqual(json["simulation_output"], [1, input]);
    const dendrite = json["dendrite"] as Record<string, unknown>;
    assert.equal(dendrite["ip"], "127.0.0.1");
    assert.equal(dendrite["uuid"], uuid);
    assert.equal(dendrite["hotkey"], VALIDATOR.address);
    assert.equal(typeof dendrite["port"], "number");
    assert.ok(answer.raw.body.includes(`"nonce":${String(nonce)},`));
    const axon = json["axon"] as Record<string, unknown>;
    assert.equal(axon["status_code"], 200);
    assert.equal(axon["status_message"], "Success");
    assert.equal(axon["ip"], "203.0.113.7");
    assert.equal(axon["port"], 80);
    assert.equal(axon["version"], 10_000_001);
    assert.equal(axon["hotkey"], MINER.address);
    const { headers } = answer.raw;
    assert.equal(headers["content-length"], String(Buffer.byteLength(answer.raw.body)));
    assert.equal(headers["timeout"], "49.5");
    assert.equal(headers["bt_header_dendrite_nonce"], String(nonce));
    assert.equal(headers["bt_header_axon_signature"], axon["signature"]);
    assert.equal(headers["bt_header_axon_uuid"], axon["uuid"]);
    assert.ok(!("bt_header_dendrite_status_code" in headers));
    await eventually(() => exchanges.length === 1, "exchange");
    const [record] = exchanges;
    assert.equal(
      record?.fieldDigests["simulation_output"],
      createHash("sha256")
        .update(JSON.stringify([1, input]))
        .digest("hex"),
    );
    assert.equal(record.evidence, "echo");
    assert.equal(record.sender.stake, 100_000);
    assert.equal(record.responseBytes, Buffer.byteLength(answer.raw.body));
    assert.equal(record.headers["bt_header_dendrite_uuid"], uuid);
    assert.equal(port, ask.port);
  });

  it("echoes the axon terminal as the sender sees it", async (test) => {
    const { ask } = await openAxon(test);
    const answer = await askAxon({ ...ask, receiverIp: "198.51.100.9", receiverPort: 9 });
    const axon = answer.json?.["axon"] as Record<string, unknown>;
    assert.deepEqual([axon["ip"], axon["port"]], ["198.51.100.9", 9]);
  });

  it("comes to each of a burst of fifty from one address", async (test) => {
    const { ask } = await openAxon(test);
    const answers = await Promise.all(Array.from({ length: 50 }, () => askAxon({ ...ask, ...prompt("BTC") })));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  });

  it("does not wait for another request's gathering, which takes no worker's turn", async (test) => {
    const release = Promise.withResolvers<undefined>();
    const service = simulationService(echo, {
      gather: async (input) => {
        if (input["asset"] === "BTC") await release.promise;
        return input;
      },
    });
    const { ask } = await openAxon(test, { services: [service], threads: 1 });
    const slow = askAxon({ ...ask, ...prompt("BTC") });
    assert.equal((await askAxon({ ...ask, ...prompt("ETH") })).status, 200);
    release.resolve(undefined);
    assert.equal((await slow).status, 200);
  });

  it("comes by GET too, and /Synapse is a ping", async (test) => {
    const { ask } = await openAxon(test);
    assert.equal((await exchange({ ...signedCall(ask), method: "GET" })).status, 200);
    assert.equal((await askAxon({ ...ask, synapse: "Synapse", body: {} })).status, 200);
    const ping = signedCall({ ...ask, synapse: "Synapse", body: {}, rawBody: "" });
    assert.equal((await exchange({ ...ping, method: "GET" })).status, 200);
    assert.equal((await askAxon({ ...ask, synapse: "Synapse", body: {}, keypair: STRANGER })).status, 403);
  });

  it("in megabytes arrives whole", async (test) => {
    const big = new TextEncoder().encode(`[${"1.2345678,".repeat(400_000)}1]`);
    const service = simulationService(() =>
      Promise.resolve({ ok: true, fields: { simulation_output: big }, evidence: null }),
    );
    const { ask } = await openAxon(test, { services: [service] });
    const answer = await askAxon(ask);
    assert.equal((answer.json?.["simulation_output"] as number[]).length, 400_001);
  });

  it("may be the service's own refusal", async (test) => {
    const service = simulationService(() =>
      Promise.resolve({ ok: false, status: 503, code: "later", message: "try later é\n" }),
    );
    const { ask } = await openAxon(test, { services: [service] });
    const answer = await askAxon(ask);
    assert.equal(answer.status, 503);
    assert.equal(answer.message, "try later é\n");
  });

  it("to a bug in a service is 500 without a stack, logged once", async (test) => {
    const lines: string[] = [];
    const logger = pino({ level: "warn" }, { write: (line: string) => lines.push(line) });
    const service = simulationService(() => Promise.reject(new Error("secret detail")));
    const { ask, axon } = await openAxon(test, { services: [service], logger });
    const answer = await askAxon(ask);
    assert.equal(answer.status, 500);
    assert.equal(answer.message, "Internal error");
    assert.ok(!answer.raw.body.includes("secret"));
    assert.equal(lines.length, 1);
    assert.equal((await askAxon(ask)).status, 500);
    assert.equal(axon.inFlight, 0);
  });
});

describe("btauth/1", () => {
  const body = '{"simulation_input":{"asset":"BTC"}}';
  const bodySha256 = createHash("sha256").update(body).digest("hex");

  it("authenticates by headers alone, in both schemes, once", async (test) => {
    const { port, exchanges } = await openAxon(test, { metagraph: openMetagraph() });
    for (const keypair of [VALIDATOR, keypairFromUri("//Alice", "ed25519")]) {
      const target = "/Simulation?stream=false";
      const headers = btauthHeaders(keypair, {
        method: "POST",
        target,
        bodySha256,
        nonce: nextNonce(),
        receiver: MINER.address,
      });
      const answer = await exchange({ port, path: target, headers, body });
      assert.equal(answer.status, 200, answer.body);
      const json = JSON.parse(answer.body) as Record<string, unknown>;
      assert.deepEqual(json["simulation_output"], [1, { asset: "BTC" }]);
      assert.equal((await exchange({ port, path: target, headers, body })).status, 401);
    }
    await eventually(() => exchanges.length === 2, "exchanges");
    assert.equal(exchanges[0]?.scheme, "btauth");
  });

  it("refuses what its checks refuse", async (test) => {
    const { port, shiftClock } = await openAxon(test);
    const send = async (changes: {
      headers?: Record<string, string>;
      body?: string;
      path?: string;
      receiver?: string | undefined;
    }) => {
      const receiver = "receiver" in changes ? changes.receiver : MINER.address;
      const headers = btauthHeaders(VALIDATOR, {
        method: "POST",
        target: "/Simulation",
        bodySha256,
        nonce: nextNonce(),
        receiver,
      });
      const call = {
        port,
        path: changes.path ?? "/Simulation",
        headers: { ...headers, ...changes.headers },
        body: changes.body ?? body,
      };
      return (await exchange(call)).status;
    };
    assert.equal(await send({}), 200);
    assert.equal(await send({ headers: { "X-Bittensor-Version": "2" } }), 400);
    assert.equal(await send({ headers: { "X-Bittensor-Hotkey": STRANGER.address } }), 403);
    assert.equal(await send({ headers: { "X-Bittensor-Hotkey": SECOND_VALIDATOR.address } }), 401);
    assert.equal(await send({ receiver: STRANGER.address }), 401);
    assert.equal(await send({ receiver: undefined }), 401);
    assert.equal(await send({ body: `${body} ` }), 401);
    assert.equal(await send({ path: "/Simulation?x" }), 401);
    assert.equal(await send({ body: "x".repeat(70_000) }), 413);
    shiftClock(11);
    assert.equal(await send({}), 401);
    shiftClock(-14);
    assert.equal(await send({}), 401);
  });
});

describe("health", () => {
  it("is alive always, and ready when the callback says so", async (test) => {
    let reasons: string[] = ["BTC: no state"];
    const health = await startHealth({
      ip: "127.0.0.1",
      port: 0,
      readiness: () => ({ ready: reasons.length === 0, reasons }),
      counters: () => ({ inFlight: 3 }),
    });
    test.after(() => health.close());
    const get = async (path: string) => {
      const { status, body } = await exchange({ port: health.port, method: "GET", path });
      return { status, json: JSON.parse(body) as Record<string, unknown> };
    };
    const alive = await get("/healthz");
    assert.equal(alive.status, 200);
    assert.equal(alive.json["inFlight"], 3);
    assert.ok(Number(alive.json["rssBytes"]) > 0 && Number(alive.json["uptimeSeconds"]) > 0);
    assert.deepEqual(await get("/readyz"), { status: 503, json: { ready: false, reasons } });
    reasons = [];
    assert.equal((await get("/readyz")).status, 200);
    assert.equal((await get("/")).status, 404);
  });
});
