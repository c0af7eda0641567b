import { compactFromU8a, u8aConcat, u8aToHex } from "@polkadot/util";
import { blake2AsU8a, ed25519Verify, encodeAddress, sr25519Verify } from "@polkadot/util-crypto";
import type { GenericCall } from "@polkadot/types";
import { typed, type Runtime } from "./runtime.ts";

/** A signed version 4 extrinsic, taken apart by the metadata alone: no part of @polkadot's own signing code is used here. */
export interface SignedExtrinsic {
  /** Without the length prefix. */
  readonly bytes: Uint8Array;
  /** BLAKE2b-256 with the length prefix, as the pool identifies it. */
  readonly hash: string;
  readonly signer: string;
  readonly publicKey: Uint8Array;
  readonly scheme: "sr25519" | "ed25519" | "ecdsa";
  readonly signature: Uint8Array;
  readonly era: Era;
  readonly nonce: number;
  readonly tip: bigint;
  /** CheckMetadataHash: the signature commits to a hash of the metadata. */
  readonly metadataHash: boolean;
  readonly callBytes: Uint8Array;
  /** "subtensorModule.serveAxon" */
  readonly callName: string;
  /** The call's arguments, in order. */
  readonly args: readonly { toString(): string }[];
  /** Of the extensions, as they are in the extrinsic. */
  readonly extraBytes: Uint8Array;
}

/** Blocks in which the signature is good; null: for ever. */
export type Era = { readonly period: number; readonly phase: number } | null;

/** Bytes that are no extrinsic: `length` at the RPC, `content` in the runtime. */
export class MalformedExtrinsic extends Error {
  readonly part: "length" | "content";

  constructor(part: "length" | "content", message: string, cause?: unknown) {
    super(message, { cause });
    this.part = part;
  }
}

const SIGNED_V4 = 0x84;
const SCHEMES = ["ed25519", "sr25519", "ecdsa"] as const;

/** Throws MalformedExtrinsic. `prefixed`: with its length, as author_submitExtrinsic takes it. */
export function decodeExtrinsic(runtime: Runtime, prefixed: Uint8Array): SignedExtrinsic {
  const bytes = withoutLength(prefixed);
  try {
    return decodeContent(runtime, bytes, u8aToHex(blake2AsU8a(prefixed)));
  } catch (error) {
    if (error instanceof MalformedExtrinsic) throw error;
    throw new MalformedExtrinsic("content", "the content does not decode", error);
  }
}

function withoutLength(prefixed: Uint8Array): Uint8Array {
  try {
    const [offset, length] = compactFromU8a(prefixed);
    const bytes = prefixed.subarray(offset);
    if (length.toNumber() === bytes.length) return bytes;
  } catch {
    // no compact number: the same as a wrong one
  }
  throw new MalformedExtrinsic("length", "the length prefix does not match");
}

function decodeContent(runtime: Runtime, bytes: Uint8Array, hash: string): SignedExtrinsic {
  const { extrinsic } = runtime.metadata;
  if (bytes[0] !== SIGNED_V4) throw new MalformedExtrinsic("content", "expected a signed extrinsic of version 4");
  let rest = bytes.subarray(1);
  const take = (length: number): Uint8Array => {
    if (length > rest.length) throw new MalformedExtrinsic("content", "the bytes end early");
    const taken = rest.subarray(0, length);
    rest = rest.subarray(length);
    return taken;
  };
  const takeTyped = (type: number): Uint8Array => take(typed(runtime, type, rest).encodedLength);
  const address = takeTyped(extrinsic.addressType.toNumber());
  if (address[0] !== 0) throw new MalformedExtrinsic("content", "expected an account id as the signer");
  const signature = takeTyped(extrinsic.signatureType.toNumber());
  const before = rest;
  const parts = new Map<string, Uint8Array>();
  for (const { identifier, type } of extrinsic.transactionExtensions) {
    const isEra = identifier.toString() === "CheckMortality"; // a type of 256 variants, most of them of two bytes
    parts.set(identifier.toString(), isEra ? take(rest[0] === 0 ? 1 : 2) : takeTyped(type.toNumber()));
  }
  const extraBytes = before.subarray(0, before.length - rest.length);
  const call = runtime.registry.createTypeUnsafe<GenericCall>("Call", [rest]);
  if (call.encodedLength !== rest.length) throw new MalformedExtrinsic("content", "bytes after the call");
  return {
    bytes,
    hash,
    signer: encodeAddress(address.subarray(1), 42),
    publicKey: address.subarray(1),
    scheme: SCHEMES[signature[0]!] ?? "ecdsa",
    signature: signature.subarray(1),
    era: eraOf(parts.get("CheckMortality")!),
    nonce: compactFromU8a(parts.get("CheckNonce")!)[1].toNumber(),
    tip: BigInt(compactFromU8a(parts.get("ChargeTransactionPayment")!)[1].toString()),
    metadataHash: parts.get("CheckMetadataHash")![0] !== 0,
    callBytes: rest,
    callName: `${call.section}.${call.method}`,
    args: [...call.args],
    extraBytes,
  };
}

/** sp_runtime::generic::Era */
function eraOf(bytes: Uint8Array): Era {
  if (bytes.length === 1) return null;
  const encoded = bytes[0]! + (bytes[1]! << 8);
  const period = 2 << (encoded % 16);
  const phase = (encoded >> 4) * Math.max(period >> 12, 1);
  if (period < 4 || phase >= period) throw new MalformedExtrinsic("content", "no valid era");
  return { period, phase };
}

/** The block whose hash a signature of this era commits to, seen from block `current`. */
export function birthOf(era: Era, current: number): number {
  if (era === null) return 0;
  const { period, phase } = era;
  return Math.floor((Math.max(current, phase) - phase) / period) * period + phase;
}

export interface SigningContext {
  readonly runtime: Runtime;
  readonly genesisHash: string;
  /** Of the era's birth. */
  readonly birthHash: string;
}

/** What was signed: the call, the extensions as sent, and what every node adds to them. Above 256 bytes its BLAKE2b-256. */
export function signedPayload(extrinsic: SignedExtrinsic, context: SigningContext): Uint8Array {
  const { runtime } = context;
  const implicit = new Map<string, unknown>([
    ["CheckSpecVersion", runtime.specVersion],
    ["CheckTxVersion", runtime.transactionVersion],
    ["CheckGenesis", context.genesisHash],
    ["CheckMortality", context.birthHash],
    ["CheckMetadataHash", null],
  ]);
  const added = runtime.metadata.extrinsic.transactionExtensions.map(({ identifier, implicit: type }) =>
    typed(runtime, type, implicit.get(identifier.toString()) ?? null).toU8a(),
  );
  const payload = u8aConcat(extrinsic.callBytes, extrinsic.extraBytes, ...added);
  return payload.length > 256 ? blake2AsU8a(payload) : payload;
}

export function hasGoodSignature(extrinsic: SignedExtrinsic, payload: Uint8Array): boolean {
  const { scheme, signature, publicKey } = extrinsic;
  try {
    if (scheme === "sr25519") return sr25519Verify(payload, signature, publicKey);
    if (scheme === "ed25519") return ed25519Verify(payload, signature, publicKey);
  } catch {
    // bytes that no signer produces
  }
  return false; // no hotkey is ecdsa
}
