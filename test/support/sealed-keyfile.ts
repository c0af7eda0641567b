import { argon2Sync, randomBytes } from "node:crypto";
import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";

/** A `$NACL` key file as the Bittensor tools write it: what test/vectors/wallet_encryption.json proves for reading. */
export function sealKeyfile(content: string | Uint8Array, password: string): Uint8Array {
  const key = keyOf(password);
  const nonce = randomBytes(24);
  const box = xsalsa20poly1305(key, nonce).encrypt(Buffer.from(content));
  return Buffer.concat([Buffer.from("$NACL"), nonce, box]);
}

/** Seconds and 512 MiB each: once per password. */
const keys = new Map<string, Uint8Array>();

function keyOf(password: string): Uint8Array {
  const known = keys.get(password);
  if (known !== undefined) return known;
  const key = argon2Sync("argon2i", {
    message: password,
    nonce: Buffer.from("137183dff15a09bc9c90b5518739e9b1", "hex"),
    parallelism: 1,
    memory: 524_288,
    passes: 8,
    tagLength: 32,
  });
  keys.set(password, key);
  return key;
}
