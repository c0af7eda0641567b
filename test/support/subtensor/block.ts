import type { Digest } from "@polkadot/types/interfaces";
import { compactAddLength, u8aConcat, u8aToHex } from "@polkadot/util";
import { blake2AsU8a } from "@polkadot/util-crypto";
import { hexOf, typed, type Runtime } from "./runtime.ts";
import type { ChainState } from "./state.ts";

export interface BlockHeader {
  readonly parentHash: string;
  readonly number: number;
  readonly stateRoot: string;
  readonly extrinsicsRoot: string;
  /** SCALE bytes of each digest item. */
  readonly logs: readonly string[];
}

export interface Block {
  readonly number: number;
  /** The BLAKE2b-256 of the encoded header, or clients' mortal signatures would not verify; of block 0 perhaps a chosen one. */
  readonly hash: string;
  readonly header: BlockHeader;
  /** With their length prefix. */
  readonly extrinsics: readonly string[];
  /** After this block; null once it is pruned, as on any node that is no archive. */
  state: ChainState | null;
}

export interface BlockContent {
  readonly number: number;
  readonly parentHash: string;
  readonly extrinsics: readonly Uint8Array[];
  readonly slot: number;
  /** Whatever the state's root shall commit to: no client can check a root against a partial storage. */
  readonly rootSeed: string;
}

export function createBlock(state: ChainState, content: BlockContent): Block {
  const { runtime } = state;
  const { number, parentHash } = content;
  const extrinsics = content.extrinsics.map((bytes) => compactAddLength(bytes));
  const stateRoot = u8aToHex(blake2AsU8a(`state ${content.rootSeed} ${number} ${parentHash}`));
  const extrinsicsRoot = u8aToHex(blake2AsU8a(u8aConcat(...extrinsics)));
  const slot = Buffer.alloc(8);
  slot.writeBigUInt64LE(BigInt(content.slot));
  const digest = { logs: [{ PreRuntime: ["aura", u8aToHex(slot)] }] };
  const encoded = typed(runtime, headerType(runtime), { parentHash, number, stateRoot, extrinsicsRoot, digest });
  const logs = runtime.registry.createTypeUnsafe<Digest>("Digest", [digest]).logs.map((log) => hexOf(log));
  return {
    number,
    hash: u8aToHex(blake2AsU8a(encoded.toU8a())),
    header: { parentHash, number, stateRoot, extrinsicsRoot, logs },
    extrinsics: extrinsics.map((bytes) => u8aToHex(bytes)),
    state,
  };
}

const headerTypes = new WeakMap<Runtime, number>();

function headerType(runtime: Runtime): number {
  const known = headerTypes.get(runtime);
  if (known !== undefined) return known;
  const path = "sp_runtime::generic::header::Header";
  const id = runtime.metadata.lookup.types.findIndex(({ type }) => type.path.join("::") === path);
  headerTypes.set(runtime, id);
  return id;
}

/** As chain_getHeader and the head subscriptions have it. */
export function headerJson({ header }: Block): Record<string, unknown> {
  const { parentHash, number, stateRoot, extrinsicsRoot, logs } = header;
  return { parentHash, number: `0x${number.toString(16)}`, stateRoot, extrinsicsRoot, digest: { logs } };
}
