import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Keyring } from "@polkadot/keyring";
import fc from "fast-check";
import { btauthHeaders, btauthMessage, parseBtauthHeaders, refuseBtauth } from "../../../src/bittensor/btauth.ts";
import { signedRequest, parseSynapseResponse } from "../../../src/bittensor/dendrite.ts";
import { parseSignature, verifySignature } from "../../../src/bittensor/signature.ts";
import { requestMessage, versionNumber } from "../../../src/bittensor/signed-message.ts";
import { addressOf, publicKeyOf } from "../../../src/bittensor/ss58.ts";
import { parseSynapseHeaders } from "../../../src/bittensor/synapse-headers.ts";
import { keypairFromUri } from "../../../src/wallet/development-key.ts";
import { keypairFromSeed } from "../../../src/wallet/keypair.ts";
import { SDK_HEADERS } from "../../support/dendrite-sdk-request.ts";

const ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
const BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty";

describe("signatures made by others", () => {
  it("bittensor_wallet 4.1.1: //Alice over hello", () => {
    const signature = parseSignature(
      "0xca3d6a8f1ac77aa9ad314e9336dfa34b01850734954223748aa3b39171925e5938606e66f0182cf0a38474a60f026d118410978509047eee65afd287e9ac6e81",
    )!;
    const claim = { scheme: "sr25519", address: ALICE, message: Buffer.from("hello"), signature } as const;
    assert.equal(verifySignature(claim), true);
    assert.equal(verifySignature({ ...claim, message: Buffer.from("hellp") }), false);
    assert.equal(verifySignature({ ...claim, address: BOB }), false);
    assert.equal(verifySignature({ ...claim, scheme: "ed25519" }), false);
  });

  it("bittensor 10.0.1: the signed message of a Simulation request", () => {
    const parsed = parseSynapseHeaders(SDK_HEADERS);
    assert.ok(parsed.ok);
    const { nonce, uuid, signature } = parsed.value.dendrite;
    const { computedBodyHash } = parsed.value;
    const message = requestMessage({
      nonce: nonce!,
      uuid: uuid!,
      dendriteHotkey: ALICE,
      axonHotkey: BOB,
      computedBodyHash,
    });
    assert.ok(verifySignature({ scheme: "sr25519", address: ALICE, message, signature: parseSignature(signature!)! }));
  });

  it("btauth/1: the golden payload, signed by ed25519 //Alice", () => {
    const alice = keypairFromUri("//Alice", "ed25519");
    assert.equal(alice.address, "5FA9nQDVg267DEd8m1ZypXLBnvN7SFxYwV7ndqSYGiN9TTpu");
    const request = {
      method: "POST",
      target: "/generate?stream=false",
      bodySha256: "341c57448e531310fbbe83f44cea2a5e838bd9e8a6b82b269f01d0dbbc23c3cc",
      nonce: 1_752_076_800_000_000_000n,
      receiver: BOB,
    };
    const headers = btauthHeaders(alice, request);
    assert.equal(
      headers["X-Bittensor-Signature"],
      "0x1a6b631988bf1f7ea093ab9d5acf61f05c316d0b0e428b24b487b75a5f6ee0e1a56a26918fdf871b6cf09437e6588023a4ce423cf622621b2a7feee17612f704",
    );
    assert.equal(headers["X-Bittensor-Crypto"], "ed25519");
    const message = btauthMessage({ ...request, scheme: "ed25519", sender: alice.address });
    const signature = parseSignature(headers["X-Bittensor-Signature"])!;
    assert.ok(verifySignature({ scheme: "ed25519", address: alice.address, message, signature }));
  });

  it("btauth/1 by sr25519: verifies for its own bytes alone, and polkadot-js agrees", () => {
    const alice = keypairFromUri("//Alice");
    const request = { method: "POST", target: "/a?b=c", bodySha256: "00", nonce: 7n, receiver: BOB };
    const parsed = parseBtauthHeaders(btauthHeaders(alice, request));
    assert.ok(parsed.ok);
    assert.equal(parsed.value.scheme, "sr25519");
    const { signature } = parsed.value;
    const message = btauthMessage({ ...request, scheme: "sr25519", sender: ALICE });
    const peer = new Keyring({ type: "sr25519", ss58Format: 42 }).addFromUri("//Alice");
    assert.ok(peer.verify(message, signature, peer.publicKey));
    assert.ok(verifySignature({ scheme: "sr25519", address: ALICE, message, signature: peer.sign(message) }));
    for (const change of [
      { target: "/a?b=d" },
      { method: "GET" },
      { nonce: 8n },
      { bodySha256: "01" },
      { receiver: undefined },
    ]) {
      const other = btauthMessage({ ...request, ...change, scheme: "sr25519", sender: ALICE });
      assert.equal(verifySignature({ scheme: "sr25519", address: ALICE, message: other, signature }), false);
    }
  });
});

describe("btauth checks", () => {
  const good = btauthHeaders(keypairFromSeed(new Uint8Array(32)), {
    method: "POST",
    target: "/",
    bodySha256: "",
    nonce: 1n,
    receiver: BOB,
  });
  for (const [name, value] of [
    ["X-Bittensor-Version", "2"],
    ["X-Bittensor-Hotkey", "5abc"],
    ["X-Bittensor-Receiver", "x"],
    ["X-Bittensor-Nonce", "1.5"],
    ["X-Bittensor-Signature", "0x12"],
    ["X-Bittensor-Crypto", "rot13"],
  ] as const) {
    it(`refuses ${name}: ${value}`, () => {
      assert.equal(parseBtauthHeaders(good).ok, true);
      assert.equal(parseBtauthHeaders({ ...good, [name]: value }).ok, false);
    });
  }

  it("wants us as receiver and a nonce from 10 s back to 2 s ahead", () => {
    const context = { ownHotkey: BOB, nowNs: 100_000_000_000n };
    const refuses = (seconds: number, receiver: string | undefined = BOB): boolean =>
      refuseBtauth({ receiver, nonce: BigInt(seconds * 1e9) }, context) !== undefined;
    assert.deepEqual(
      [89.9, 90, 100, 102, 102.1].map((at) => refuses(at)),
      [true, false, false, false, true],
    );
    assert.ok(refuses(100, ALICE));
    assert.ok(refuseBtauth({ receiver: undefined, nonce: context.nowNs }, context));
  });

  it("never throw", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...Object.keys(good)), fc.string({ unit: "binary" })), (headers) => {
        parseBtauthHeaders(headers);
      }),
    );
  });
});

describe("addresses", () => {
  it("agree with polkadot-js and come back as the same key", () => {
    const keyring = new Keyring({ type: "sr25519", ss58Format: 42 });
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (publicKey) => {
        const address = addressOf(publicKey);
        assert.equal(address, keyring.encodeAddress(publicKey, 42));
        assert.deepEqual(publicKeyOf(address), publicKey);
      }),
    );
  });

  it("are refused with a typo, another prefix or any other text", () => {
    assert.equal(publicKeyOf(ALICE.replace("Grw", "Grx")), undefined);
    assert.equal(publicKeyOf("15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5"), undefined);
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => publicKeyOf(text) === undefined));
  });
});

describe("the local dendrite", () => {
  it("sends what the SDK sends", () => {
    const keypair = keypairFromUri("//Alice");
    const request = signedRequest({
      keypair,
      receiverHotkey: BOB,
      receiverIp: "203.0.113.7",
      receiverPort: 8091,
      synapse: "Simulation",
      body: { simulation_input: { asset: "BTC" }, simulation_output: null },
      timeoutSeconds: 49.5,
      nonce: 1_760_000_000_123_456_789n,
      uuid: SDK_HEADERS.bt_header_dendrite_uuid,
      dendriteIp: "203.0.113.9",
    });
    const volatile = { bt_header_dendrite_signature: "", header_size: "", total_size: "" };
    const expected = { ...SDK_HEADERS, "content-type": "application/json", ...volatile };
    assert.deepEqual({ ...request.headers, ...volatile }, expected);
    assert.match(request.body, /"nonce":1760000000123456789/);
    assert.deepEqual((JSON.parse(request.body) as { simulation_input: unknown }).simulation_input, { asset: "BTC" });
  });

  it("reads hostile responses without throwing", () => {
    fc.assert(
      fc.property(fc.string(), fc.dictionary(fc.string(), fc.string()), (body, headers) => {
        const call = { dendriteHotkey: ALICE, axonHotkey: BOB };
        assert.equal(parseSynapseResponse({ status: 200, headers, body }, call).signatureValid, false);
      }),
    );
  });

  it("counts versions as the SDK does", () => {
    assert.equal(versionNumber(10, 0, 1), 10_000_001);
    assert.equal(versionNumber(9, 12, 0), 9_012_000);
  });
});
