import { OperationalError } from "../errors.ts";
import type { ServeAxonCall } from "./link.ts";

/**
 * What the hotkey's owner signs is checked here, byte by byte, because the payload was built by another thread from an
 * endpoint's metadata: call ‖ era ‖ nonce ‖ tip ‖ extensions (spec, tx version, genesis, era block …).
 */

/** Pallet and call index, then the arguments. */
const CALL_BYTES = 30;
/** Longer payloads are signed as their hash; ours have about 115 bytes. */
const MAX_PAYLOAD_BYTES = 256;

/** Little-endian SCALE of the fixed-width arguments. */
export function encodeArguments(call: ServeAxonCall): Uint8Array {
  const bytes = Buffer.alloc(CALL_BYTES - 2);
  bytes.writeUInt16LE(call.netuid, 0);
  bytes.writeUInt32LE(call.version, 2);
  bytes.writeBigUInt64LE(call.ip & 0xffff_ffff_ffff_ffffn, 6);
  bytes.writeBigUInt64LE(call.ip >> 64n, 14);
  bytes.writeUInt16LE(call.port, 22);
  bytes.set([call.ipType, call.protocol, call.placeholder1, call.placeholder2], 24);
  return bytes;
}

/**
 * Throws OperationalError CHAIN_PAYLOAD unless `payload` is exactly this serve_axon, mortal, without a tip, for this
 * chain. The two bytes of the call's index come from the endpoint's metadata and may change with the runtime: no other
 * call of the pallet reads these 28 bytes of our own choosing as anything that could hurt.
 */
export function checkPayload(payload: Uint8Array, expected: { call: ServeAxonCall; genesis: string }): void {
  const problem = payloadProblem(Buffer.from(payload), expected);
  if (problem === undefined) return;
  throw new OperationalError("CHAIN_PAYLOAD", `Not signed: the endpoint's serve_axon payload ${problem}`);
}

function payloadProblem(payload: Buffer, expected: { call: ServeAxonCall; genesis: string }): string | undefined {
  if (payload.length > MAX_PAYLOAD_BYTES) return `has ${payload.length} bytes`;
  if (!payload.subarray(2, CALL_BYTES).equals(encodeArguments(expected.call))) return "has other arguments";
  const eraByte = payload[CALL_BYTES] ?? 0;
  if (eraByte === 0) return "never expires";
  const afterNonce = skipCompact(payload, CALL_BYTES + 2);
  if (afterNonce === undefined || payload[afterNonce] !== 0) return "has a tip";
  const genesis = Buffer.from(expected.genesis.slice(2), "hex");
  if (genesis.length !== 32 || !payload.subarray(afterNonce).includes(genesis)) return "is for another chain";
  return undefined;
}

/** The offset behind a SCALE compact integer; undefined where the bytes end before. */
function skipCompact(bytes: Buffer, offset: number): number | undefined {
  const first = bytes[offset];
  if (first === undefined) return undefined;
  const mode = first & 3;
  const length = mode === 3 ? 5 + (first >> 2) : 1 << mode;
  return offset + length <= bytes.length ? offset + length : undefined;
}
