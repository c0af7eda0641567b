import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { btauthHeaders } from "../../src/bittensor/btauth.ts";
import { openMetagraph } from "../../src/chain/metagraph.ts";
import { keypairFromSeed } from "../../src/wallet/keypair.ts";
import { keypairFromUri } from "../../src/wallet/development-key.ts";
import { MINER, openAxon } from "../support/dendrite-axon.ts";
import { nextNonce } from "../support/dendrite.ts";
import { missingPython, runClient } from "./python.ts";

const skip = missingPython("SYNTH_TEST_PYTHON_BTAUTH", "test/interop/requirements-btauth.txt");
const SEED = new Uint8Array(32).fill(22);
const PATH = "/Simulation?stream=false";
const BODY = '{"simulation_input":{"asset":"BTC"}}';

/** Requests that our signer signed; the last says something else than it signed. */
function ourRequests() {
  const receiver = keypairFromUri("//Receiver").address;
  const bodySha256 = createHash("sha256").update(BODY).digest("hex");
  return [keypairFromSeed(SEED), keypairFromUri("//Alice", "ed25519"), keypairFromSeed(SEED)].map((keypair, index) => {
    const request = { method: "POST", target: PATH, bodySha256, nonce: nextNonce(), receiver };
    const headers = btauthHeaders(keypair, request);
    return { headers, body: index === 2 ? `${BODY} ` : BODY, path: PATH, receiver, address: keypair.address };
  });
}

describe("btauth/1 by the SDK 11's own signer and verifier", { skip }, () => {
  it("its requests are answered, ours accepted, and what was changed after signing is neither", async (test) => {
    const { port } = await openAxon(test, { metagraph: openMetagraph() });
    const ours = ourRequests();
    const seed = Buffer.from(SEED).toString("hex");
    const question = { seed, port, receiver: MINER.address, body: BODY, path: PATH, ours };
    const checks = await runClient(process.env["SYNTH_TEST_PYTHON_BTAUTH"]!, "btauth.py", question);
    assert.deepEqual(
      checks.filter(({ status }) => status !== undefined).map(({ check, status }) => [check, status]),
      [
        ["good", 200],
        ["replayed", 401],
        ["tampered body", 401],
        ["tampered path", 401],
        ["other receiver", 401],
        ["no receiver", 401],
        ["old", 401],
        ["ahead", 401],
      ],
    );
    assert.equal(checks.find(({ check }) => check === "good")?.["output"], true);
    assert.deepEqual(
      checks.filter(({ check }) => check === "ours").map(({ accepted, reason }) => accepted ?? reason),
      [ours[0]!.address, ours[1]!.address, "BadSignature"],
    );
  });
});
