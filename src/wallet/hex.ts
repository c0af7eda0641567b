/** Hex text, with or without `0x`, of exactly `length` bytes; undefined for anything else. */
export function parseHex(text: string, length: number): Uint8Array | undefined {
  const hex = text.startsWith("0x") ? text.slice(2) : text;
  if (hex.length !== length * 2 || !/^[0-9a-fA-F]*$/.test(hex)) return undefined;
  return new Uint8Array(Buffer.from(hex, "hex"));
}
