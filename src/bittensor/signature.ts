import { createPrivateKey, createPublicKey, sign as signEd25519, verify as verifyEd25519 } from "node:crypto";
// The implementation behind @polkadot/util-crypto, without the 200 MB that importing all of that takes.
import * as sr25519 from "@scure/sr25519";
import { publicKeyOf } from "./ss58.ts";

/** The two signature schemes of Bittensor keys. sr25519 signs under the context `substrate`. */
export type SignatureScheme = "sr25519" | "ed25519";

const SIGNATURE_SHAPE = /^0x[0-9a-fA-F]{128}$/;

/** Whoever can sign for an address: a key file's pair, or a key made for a test. */
export interface Signer {
  readonly scheme: SignatureScheme;
  readonly address: string;
  sign(message: Uint8Array): Uint8Array;
}

export interface SecretPair {
  readonly scheme: SignatureScheme;
  readonly publicKey: Uint8Array;
  /** 64 bytes. sr25519: scalar times 8, then nonce, as polkadot-js has it; ed25519: seed, then public key. */
  readonly secretKey: Uint8Array;
}

/** `seed`: 32 bytes. */
export function pairFromSeed(seed: Uint8Array, scheme: SignatureScheme): SecretPair {
  if (scheme === "sr25519") {
    const secretKey = sr25519.secretFromSeed(seed);
    return { scheme, publicKey: sr25519.getPublicKey(secretKey), secretKey };
  }
  const spki = createPublicKey(ed25519Private(seed)).export({ format: "der", type: "spki" });
  const publicKey = new Uint8Array(spki.subarray(-32));
  return { scheme, publicKey, secretKey: new Uint8Array([...seed, ...publicKey]) };
}

/** `0x` + 128 hex digits as 64 bytes; undefined for any other text. */
export function parseSignature(text: string): Uint8Array | undefined {
  return SIGNATURE_SHAPE.test(text) ? new Uint8Array(Buffer.from(text.slice(2), "hex")) : undefined;
}

export function formatSignature(signature: Uint8Array): string {
  return `0x${Buffer.from(signature).toString("hex")}`;
}

export function signMessage(pair: SecretPair, message: Uint8Array): Uint8Array {
  if (pair.scheme === "sr25519") return sr25519.sign(pair.secretKey, message);
  return new Uint8Array(signEd25519(null, message, ed25519Private(pair.secretKey.subarray(0, 32))));
}

export interface SignatureClaim {
  readonly scheme: SignatureScheme;
  readonly address: string;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

export type VerifySr25519 = (message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array) => boolean;

/** Costs milliseconds of CPU: not for the event loop of a server. */
export function verifySignature(claim: SignatureClaim, verifySr25519: VerifySr25519 = sr25519.verify): boolean {
  const publicKey = publicKeyOf(claim.address);
  if (publicKey === undefined) return false;
  try {
    return claim.scheme === "sr25519"
      ? verifySr25519(claim.message, claim.signature, publicKey)
      : verifyEd25519(null, claim.message, ed25519Public(publicKey), claim.signature);
  } catch {
    return false; // thrown for bytes that no signer produces
  }
}

/** DER headers of raw ed25519 keys (RFC 8410). */
const PKCS8_HEADER = Buffer.from("302e020100300506032b657004220420", "hex");
const SPKI_HEADER = Buffer.from("302a300506032b6570032100", "hex");

function ed25519Private(seed: Uint8Array): ReturnType<typeof createPrivateKey> {
  return createPrivateKey({ key: Buffer.concat([PKCS8_HEADER, seed]), format: "der", type: "pkcs8" });
}

function ed25519Public(publicKey: Uint8Array): ReturnType<typeof createPublicKey> {
  return createPublicKey({ key: Buffer.concat([SPKI_HEADER, publicKey]), format: "der", type: "spki" });
}
