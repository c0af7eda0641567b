import { createHash } from "node:crypto";

/** Bittensor addresses: base58 of prefix 42, a 32-byte public key and two bytes of BLAKE2b-512. */
const PREFIX = 42;
const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const SHAPE = /^[1-9A-HJ-NP-Za-km-z]{46,48}$/;

/** The 32-byte public key of an address; undefined for any other text. */
export function publicKeyOf(address: string): Uint8Array | undefined {
  if (!SHAPE.test(address)) return undefined;
  let number = 0n;
  for (const character of address) number = number * 58n + BigInt(ALPHABET.indexOf(character));
  const hex = number.toString(16).padStart(70, "0");
  if (hex.length !== 70) return undefined;
  const bytes = new Uint8Array(Buffer.from(hex, "hex"));
  const publicKey = bytes.subarray(1, 33);
  return addressOf(publicKey) === address ? publicKey : undefined;
}

export function addressOf(publicKey: Uint8Array): string {
  if (publicKey.length !== 32) throw new RangeError(`expected a public key of 32 bytes, found ${publicKey.length}`);
  const payload = Buffer.concat([Buffer.of(PREFIX), publicKey]);
  const checksum = createHash("blake2b512").update("SS58PRE").update(payload).digest().subarray(0, 2);
  let number = BigInt(`0x${payload.toString("hex")}${checksum.toString("hex")}`);
  let text = "";
  for (; number > 0n; number /= 58n) text = ALPHABET.charAt(Number(number % 58n)) + text;
  return text;
}
