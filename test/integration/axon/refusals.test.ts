import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { openMetagraph } from "../../../src/chain/metagraph.ts";
import {
  AXON_CONFIG,
  echo,
  MINER,
  openAxon,
  PERMITLESS,
  POOR_VALIDATOR,
  SECOND_VALIDATOR,
  simulationService,
  STRANGER,
} from "../../support/dendrite-axon.ts";
import { askAxon, exchange, nextNonce, signedCall, type Ask } from "../../support/dendrite.ts";

const BLACKLISTED = "Forbidden. Key is blacklisted: ";
const UNVERIFIED = "Not Verified with error: ";
const OVERSIZE = "x".repeat(AXON_CONFIG.maxBodyBytes + 1);
const SECOND = 1_000_000_000n;

/** What a request is changed by, and what the axon says to it. */
const TABLE: Record<string, readonly [() => Partial<Ask>, number, string | RegExp]> = {
  "no hotkey": [
    () => ({ headers: { bt_header_dendrite_hotkey: "" } }),
    403,
    `${BLACKLISTED}Missing dendrite or hotkey.`,
  ],
  unsigned: [() => ({ headers: { bt_header_dendrite_signature: "" } }), 403, `${BLACKLISTED}Missing signature.`],
  unregistered: [() => ({ keypair: STRANGER }), 403, `${BLACKLISTED}Unrecognized hotkey.`],
  "a hotkey that is none": [
    () => ({ headers: { bt_header_dendrite_hotkey: "5abc" } }),
    403,
    `${BLACKLISTED}Unrecognized hotkey.`,
  ],
  "low stake": [() => ({ keypair: POOR_VALIDATOR }), 403, `${BLACKLISTED}Stake below minimum threshold.`],
  "no permit": [() => ({ keypair: PERMITLESS }), 403, `${BLACKLISTED}Non-validator hotkey.`],
  "wrong signature": [
    () => ({ headers: { bt_header_dendrite_signature: `0x${"12".repeat(64)}` } }),
    401,
    /^Not Verified with error: Signature/,
  ],
  "short signature": [
    () => ({ headers: { bt_header_dendrite_signature: "0x1234" } }),
    401,
    /^Not Verified with error: Signature/,
  ],
  "another validator's signature": [
    () => ({ headers: { bt_header_dendrite_hotkey: SECOND_VALIDATOR.address } }),
    401,
    /Signature mismatch/,
  ],
  "signed for another axon": [
    () => ({ receiverHotkey: STRANGER.address, headers: { bt_header_axon_hotkey: MINER.address } }),
    401,
    /Signature mismatch/,
  ],
  "wrong receiver": [() => ({ receiverHotkey: STRANGER.address }), 401, /^Not Verified with error: Wrong receiver/],
  "tampered hash": [() => ({ headers: { computed_body_hash: "00".repeat(32) } }), 401, /Signature mismatch/],
  "no nonce": [() => ({ headers: { bt_header_dendrite_nonce: "" } }), 400, /nonce/],
  stale: [() => ({ nonce: nextNonce() - 17n * SECOND }), 401, `${UNVERIFIED}Nonce is too old`],
  "far future": [() => ({ nonce: nextNonce() + 70n * SECOND }), 401, `${UNVERIFIED}Nonce is too far in the future`],
  "nonce zero": [() => ({ nonce: 0n }), 401, `${UNVERIFIED}Nonce is too old`],
  "bad nonce": [() => ({ headers: { bt_header_dendrite_nonce: "NaN" } }), 400, /nonce/],
  "bad timeout": [() => ({ headers: { timeout: "soon" } }), 400, /timeout/],
  "bad port": [() => ({ headers: { bt_header_axon_port: "eighty" } }), 400, /port/],
  "other synapse": [() => ({ synapse: "Forecast" }), 404, /not found/],
  "lower-case synapse": [() => ({ synapse: "simulation" }), 404, /not found/],
  "oversize by content-length": [() => ({ rawBody: OVERSIZE }), 413, /larger than 65536 bytes/],
  "oversize, chunked": [() => ({ rawBody: [OVERSIZE, OVERSIZE] }), 413, /larger than 65536 bytes/],
  "compressed body": [() => ({ headers: { "content-encoding": "gzip" } }), 415, /compressed/],
  "not JSON": [() => ({ rawBody: "simulation_input=1" }), 400, /not valid JSON/],
  "empty body": [() => ({ rawBody: "" }), 400, /not valid JSON/],
  "JSON array": [() => ({ rawBody: "[1]" }), 400, /not a JSON object/],
  "bottomless JSON": [() => ({ rawBody: "[".repeat(60_000) }), 400, /nested deeper/],
  "wrong type": [() => ({ body: { simulation_input: "BTC" } }), 400, /simulation_input/],
  "huge number": [() => ({ rawBody: '{"simulation_input":1e999999}' }), 400, /simulation_input/],
  "hidden prototype": [() => ({ rawBody: '{"__proto__":{"simulation_input":{}}}' }), 400, /simulation_input/],
};

describe("refusals", () => {
  it("are the documented ones, with their headers, and change nothing", async (test) => {
    const { ask, axon, exchanges } = await openAxon(test);
    for (const [name, [change, status, message]] of Object.entries(TABLE)) {
      const answer = await askAxon({ ...ask, ...change() });
      assert.equal(answer.status, status, name);
      if (typeof message === "string") assert.equal(answer.message, message, name);
      else assert.match(answer.message, message, name);
      assert.deepEqual(Object.keys(answer.json ?? {}), ["message"], name);
      assert.equal(answer.raw.headers["bt_header_axon_status_code"], String(status), name);
      assert.equal(answer.raw.headers["bt_header_axon_hotkey"], MINER.address, name);
      assert.ok(!answer.raw.body.includes("    at "), name);
    }
    assert.equal((await askAxon(ask)).status, 200);
    assert.equal(axon.stats().inFlight, 0);
    // Only what passed the admission is an exchange, and every one of these is.
    assert.deepEqual(
      exchanges.map((entry) => entry.status),
      [413, 400, 400, 400, 400, 400, 400, 400, 200],
    );
  });

  it("without a nonce or uuid header", async (test) => {
    const { ask } = await openAxon(test);
    for (const name of ["bt_header_dendrite_nonce", "bt_header_dendrite_uuid"]) {
      const call = signedCall(ask);
      const headers = Object.fromEntries(Object.entries(call.headers ?? {}).filter(([key]) => key !== name));
      assert.equal((await exchange({ ...call, headers })).status, 401, name);
    }
  });

  it("of a correct signature over another body hash", async (test) => {
    const { ask } = await openAxon(test, {
      services: [simulationService(echo, { requiredHashFields: ["simulation_input"] })],
    });
    const hashed = {
      ...ask,
      requiredHashFields: ["simulation_input"],
      body: { simulation_input: { asset: "BTC", n: 1.5 } },
    };
    assert.equal((await askAxon(hashed)).status, 200);
    const tampered = await askAxon({ ...hashed, rawBody: '{"simulation_input":{"asset":"ETH","n":1.5}}' });
    assert.equal(tampered.status, 400);
    assert.match(tampered.message, /^Hash mismatch/);
  });

  it("of replays, also after a restart, and of older nonces of the same pair", async (test) => {
    const first = await openAxon(test);
    const call = signedCall(first.ask);
    const uuid = randomUUID();
    const nonce = nextNonce();
    assert.equal((await askAxon({ ...first.ask, uuid, nonce })).status, 200);
    assert.equal((await exchange(call)).status, 200);
    assert.equal((await exchange(call)).status, 401);
    const older = await askAxon({ ...first.ask, uuid, nonce: nonce - 1n });
    assert.equal(older.message, `${UNVERIFIED}Nonce is too old, a newer one was last processed`);
    const second = await openAxon(test, { folder: first.folder }); // the first never closed: as after kill -9
    assert.equal((await exchange({ ...call, port: second.port })).status, 401);
    assert.equal((await askAxon({ ...second.ask, uuid, nonce: nonce + 1n })).status, 200);
  });

  it("of all but one of identical concurrent requests", async (test) => {
    const { ask } = await openAxon(test);
    const call = signedCall(ask);
    const statuses = (await Promise.all(Array.from({ length: 16 }, () => exchange(call)))).map(({ status }) => status);
    assert.deepEqual(statuses.sort(), [200, ...Array.from({ length: 15 }, () => 401)]);
  });

  it("never remember the nonce of a wrong signature", async (test) => {
    const { ask } = await openAxon(test);
    const [uuid, nonce] = [randomUUID(), nextNonce()];
    const forged = { bt_header_dendrite_signature: `0x${"12".repeat(64)}` };
    assert.equal((await askAxon({ ...ask, uuid, nonce: nonce + SECOND, headers: forged })).status, 401);
    assert.equal((await askAxon({ ...ask, uuid, nonce })).status, 200);
  });

  it("follow the claimed timeout, up to a bound", async (test) => {
    const { ask } = await openAxon(test, { config: { maxTimeoutSeconds: 60 } });
    const old = (age: bigint, timeoutSeconds: number) =>
      askAxon({ ...ask, timeoutSeconds, nonce: nextNonce() - age * SECOND });
    assert.equal((await old(40n, 50)).status, 200);
    assert.equal((await old(70n, 1e6)).status, 401);
  });

  it("of too many signature checks say when to come back", async (test) => {
    const { ask } = await openAxon(test, { config: { maxVerificationsPerIp: 1 } });
    const answers = await Promise.all(Array.from({ length: 8 }, () => askAxon(ask)));
    const refused = answers.filter(({ status }) => status === 429);
    assert.ok(refused.length > 0 && answers.some(({ status }) => status === 200));
    assert.equal(refused[0]?.raw.headers["retry-after"], "1");
    assert.equal((await askAxon(ask)).status, 200);
  });

  it("of a slow body end its connection", async (test) => {
    const { ask } = await openAxon(test, { config: { bodyTimeoutMs: 50 } });
    const answer = await askAxon({ ...ask, rawBody: ['{"simulation_input":', null] });
    assert.equal(answer.status, 408);
    assert.equal(answer.raw.headers.connection, "close");
  });

  it("of other methods, and of what is not HTTP", async (test) => {
    const { ask, port } = await openAxon(test);
    for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS"]) {
      assert.equal((await exchange({ ...signedCall(ask), method })).status, 405);
    }
    assert.equal((await exchange({ port, method: "HEAD", path: "/Simulation" })).status, 405);
    assert.equal((await exchange({ port, method: "GET", path: "/%ff" })).status, 404);
    assert.equal((await exchange({ port, path: "/Simulation/" })).status, 404);
    const tooLong = await exchange({ port, path: "/Simulation", headers: { filler: "x".repeat(20_000) } });
    assert.equal(tooLong.status, 431);
    assert.match(await rawTalk(port, "HELLO\r\n\r\n"), /^HTTP\/1\.1 400 Bad Request[^]*"message"/);
  });
});

describe("who may ask", () => {
  it("open: everybody with a correct signature", async (test) => {
    const { ask, exchanges } = await openAxon(test, { metagraph: openMetagraph() });
    assert.equal((await askAxon({ ...ask, keypair: STRANGER })).status, 200);
    assert.equal(exchanges[0]?.sender.stake, 0);
    const forged = { bt_header_dendrite_signature: `0x${"12".repeat(64)}` };
    assert.equal((await askAxon({ ...ask, keypair: STRANGER, headers: forged })).status, 401);
    assert.equal((await askAxon({ ...ask, headers: { bt_header_dendrite_hotkey: "5abc" } })).status, 403);
  });

  it("allow_non_registered admits strangers, permit and stake still bind the registered", async (test) => {
    const { ask } = await openAxon(test, { blacklist: { allowNonRegistered: true } });
    assert.equal((await askAxon({ ...ask, keypair: STRANGER })).status, 200);
    assert.equal((await askAxon({ ...ask, keypair: POOR_VALIDATOR })).status, 403);
  });

  it("without a forced permit, stake alone decides", async (test) => {
    const { ask } = await openAxon(test, { blacklist: { forceValidatorPermit: false } });
    assert.equal((await askAxon({ ...ask, keypair: PERMITLESS })).status, 200);
    assert.equal((await askAxon({ ...ask, keypair: POOR_VALIDATOR })).status, 403);
  });

  it("the address counts before anything else", async (test) => {
    const listed = await openAxon(test, { config: { allowIps: "192.0.2.1" } });
    const answer = await exchange({ port: listed.port, path: "/Unknown" });
    assert.equal(answer.status, 403);
    assert.match(answer.body, /address is not allowed/);
    const metagraph = await openAxon(test, { config: { allowIps: "metagraph" } });
    assert.equal((await askAxon(metagraph.ask)).status, 200);
    const mapped = await openAxon(test, { config: { ip: "::", allowIps: "127.0.0.1" } });
    assert.equal((await askAxon(mapped.ask)).status, 200);
  });
});

/** Everything the axon says to `text` until it hangs up. */
function rawTalk(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let heard = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    socket.on("data", (chunk) => (heard += chunk.toString()));
    socket.on("close", () => {
      resolve(heard);
    });
    socket.on("error", () => undefined);
  });
}
