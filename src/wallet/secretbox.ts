import { argon2 } from "node:crypto";
import { promisify } from "node:util";
import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { describeError, OperationalError } from "../errors.ts";
import { invalidKeyfile } from "./refusal.ts";

/**
 * Key files that bittensor_wallet encrypts with NaCl: `$NACL`, a nonce of 24 bytes, then an XSalsa20-Poly1305 secretbox
 * (tag of 16 bytes first) whose key is argon2i v1.3 of the password: libsodium's "sensitive" costs and one fixed salt.
 */

const MAGIC = Buffer.from("$NACL");
const NONCE_BYTES = 24;
const TAG_BYTES = 16;
const SALT = Buffer.from("137183dff15a09bc9c90b5518739e9b1", "hex");
const KEY_BYTES = 32;
const PASSES = 8;
const MEMORY_KIB = 524_288;

export const DERIVATION_BYTES = MEMORY_KIB * 1024;

export function isSecretbox(content: Uint8Array): boolean {
  return MAGIC.equals(content.subarray(0, MAGIC.length));
}

const deriveKey = promisify(argon2);

/**
 * What the box holds; undefined when the password is wrong or the box was changed, which cannot be told apart. Takes 3 to
 * 5 seconds of a pool thread and 512 MiB, both given back afterwards.
 * @throws OperationalError WALLET_INVALID for a file cut short, WALLET_MEMORY where the 512 MiB are not to be had
 */
export async function openSecretbox(
  content: Uint8Array,
  password: Uint8Array,
  origin: string,
): Promise<Uint8Array | undefined> {
  const nonceEnd = MAGIC.length + NONCE_BYTES;
  if (content.length < nonceEnd + TAG_BYTES) throw invalidKeyfile(origin, "is encrypted, but cut short");
  const key = await keyOf(password, origin);
  try {
    return xsalsa20poly1305(key, content.subarray(MAGIC.length, nonceEnd)).decrypt(content.subarray(nonceEnd));
  } catch {
    return undefined; // the tag does not fit
  } finally {
    key.fill(0);
  }
}

async function keyOf(password: Uint8Array, origin: string): Promise<Uint8Array> {
  const costs = { nonce: SALT, parallelism: 1, memory: MEMORY_KIB, passes: PASSES, tagLength: KEY_BYTES };
  try {
    return await deriveKey("argon2i", { ...costs, message: password });
  } catch (error) {
    // The parameters are constant and right: what can fail is the allocation.
    throw new OperationalError(
      "WALLET_MEMORY",
      `Hotkey file ${origin} is encrypted, and its key could not be derived, which takes 512 MiB of memory for a few ` +
        `seconds; free some, or raise the limit of the process or container (${describeError(error)})`,
      { details: { file: origin, neededBytes: DERIVATION_BYTES, availableBytes: process.availableMemory() } },
    );
  }
}
