import { createHash, pbkdf2Sync } from "node:crypto";
import words from "@polkadot/util-crypto/mnemonic/wordlists/en";

/**
 * The 32-byte mini secret of an English BIP-39 phrase, as substrate derives it: PBKDF2-HMAC-SHA512 over the *entropy*
 * (BIP-39 itself takes the phrase), 2048 rounds, salt `mnemonic`, the first half. Undefined for anything but a phrase
 * of 12 to 24 words with a valid checksum.
 */
export function miniSecretOf(phrase: string): Uint8Array | undefined {
  const indices = phrase
    .normalize("NFKD")
    .split(/\s+/)
    .map((word) => words.indexOf(word));
  if (![12, 15, 18, 21, 24].includes(indices.length) || indices.includes(-1)) return undefined;
  const bits = indices.map((index) => index.toString(2).padStart(11, "0")).join("");
  const entropyBits = (bits.length / 33) * 32;
  const bytes = bits.slice(0, entropyBits).match(/.{8}/g) ?? [];
  const entropy = Buffer.from(bytes.map((byte) => Number.parseInt(byte, 2)));
  const hash = createHash("sha256").update(entropy).digest();
  const checksum = hash[0]!
    .toString(2)
    .padStart(8, "0")
    .slice(0, bits.length - entropyBits);
  if (checksum !== bits.slice(entropyBits)) return undefined;
  return new Uint8Array(pbkdf2Sync(entropy, "mnemonic", 2048, 64, "sha512").subarray(0, 32));
}
