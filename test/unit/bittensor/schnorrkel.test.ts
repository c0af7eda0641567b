import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { verifySchnorrkel } from "../../../src/bittensor/schnorrkel.ts";
import { parseSignature, verifySignature } from "../../../src/bittensor/signature.ts";
import { addressOf, publicKeyOf } from "../../../src/bittensor/ss58.ts";
import { keypairFromSeed } from "../../../src/wallet/keypair.ts";

/** As `subkey inspect //Alice` prints it. */
const ALICE_SEED = Buffer.from("e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a", "hex");

describe("schnorrkel, which the axon verifies with", () => {
  const alice = keypairFromSeed(ALICE_SEED);
  const publicKey = publicKeyOf(alice.address)!;
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

  it("accepts bittensor_wallet 4.1.1: //Alice over hello", () => {
    const signature = parseSignature(
      "0xca3d6a8f1ac77aa9ad314e9336dfa34b01850734954223748aa3b39171925e5938606e66f0182cf0a38474a60f026d118410978509047eee65afd287e9ac6e81",
    )!;
    assert.ok(verifySchnorrkel(Buffer.from("hello"), signature, publicKey));
    assert.ok(!verifySchnorrkel(Buffer.from("hellp"), signature, publicKey));
  });

  it("accepts what our signer signs, for that message and key alone", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(), bytes(32), (message, place, otherKey) => {
        const signature = alice.sign(message);
        assert.ok(verifySchnorrkel(message, signature, publicKey));
        const changed = signature.slice();
        changed[place % 64]! ^= 1 + (place % 255);
        assert.ok(!verifySchnorrkel(message, changed, publicKey));
        assert.ok(!verifySchnorrkel(new Uint8Array([...message, 0]), signature, publicKey));
        assert.ok(!verifySchnorrkel(message, signature, otherKey));
      }),
      { numRuns: 50 },
    );
  });

  it("says of any bytes what the signer's own library says, and never throws", () => {
    const message = Buffer.from("hello");
    const good = alice.sign(message);
    const order = Buffer.from("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010", "hex");
    const made = fc.oneof(
      bytes(64),
      fc.uint8Array({ maxLength: 80 }),
      bytes(32).map((r) => new Uint8Array([...r, ...good.subarray(32)])),
      bytes(32).map((s) => new Uint8Array([...good.subarray(0, 32), ...s])),
      fc.constantFrom(good, new Uint8Array([...good.subarray(0, 32), ...order]), new Uint8Array(64)),
    );
    const keys = fc.oneof(fc.constant(publicKey), bytes(32), fc.constant(new Uint8Array(32)));
    fc.assert(
      fc.property(made, fc.boolean(), keys, (signature, isMarked, key) => {
        if (isMarked && signature.length === 64) signature[63]! |= 128;
        const claim = { scheme: "sr25519", address: addressOf(key), message, signature } as const;
        assert.equal(verifySignature(claim, verifySchnorrkel), verifySignature(claim));
      }),
      { numRuns: 300 },
    );
  });
});
