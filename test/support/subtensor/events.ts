import { compactToU8a, u8aConcat } from "@polkadot/util";
import { typed, type Runtime } from "./runtime.ts";

/** Events, errors and calls by their names in the metadata. */

/** When in a block an event happened: while an extrinsic was applied, by its index. */
export interface BlockEvent {
  readonly extrinsic: number;
  readonly pallet: string;
  readonly name: string;
  /** In the order of the event's fields. */
  readonly fields: readonly unknown[];
}

/** The bytes of System.Events. */
export function encodeEvents(runtime: Runtime, events: readonly BlockEvent[]): Uint8Array {
  return u8aConcat(compactToU8a(events.length), ...events.map((event) => encodeEvent(runtime, event)));
}

function encodeEvent(runtime: Runtime, event: BlockEvent): Uint8Array {
  const pallet = palletOf(runtime, event.pallet);
  const { index, fields } = variantOf(runtime, pallet.events.unwrap().type.toNumber(), event.name);
  const applyExtrinsic = u8aConcat(Uint8Array.of(0), u32(event.extrinsic));
  const encoded = fields.map((type, position) => typed(runtime, type, event.fields[position]).toU8a());
  const noTopics = compactToU8a(0);
  return u8aConcat(applyExtrinsic, Uint8Array.of(pallet.index.toNumber(), index), ...encoded, noTopics);
}

/** DispatchError::Module of a pallet's error. */
export function moduleError(runtime: Runtime, palletName: string, error: string): unknown {
  const pallet = palletOf(runtime, palletName);
  const { index } = variantOf(runtime, pallet.errors.unwrap().type.toNumber(), error);
  return { Module: { index: pallet.index.toNumber(), error: Uint8Array.of(index, 0, 0, 0) } };
}

/** The bytes of a call: pallet index, call index, arguments. */
export function encodeCall(
  runtime: Runtime,
  palletName: string,
  call: { name: string; args: readonly unknown[] },
): Uint8Array {
  const pallet = palletOf(runtime, palletName);
  const { index, fields } = variantOf(runtime, pallet.calls.unwrap().type.toNumber(), call.name);
  const encoded = fields.map((type, position) => typed(runtime, type, call.args[position]).toU8a());
  return u8aConcat(Uint8Array.of(pallet.index.toNumber(), index), ...encoded);
}

type Pallet = Runtime["metadata"]["pallets"][number];

function palletOf(runtime: Runtime, name: string): Pallet {
  const pallet = runtime.metadata.pallets.find((candidate) => candidate.name.toString() === name);
  if (pallet === undefined) throw new Error(`no pallet ${name} in the metadata`);
  return pallet;
}

function variantOf(
  runtime: Runtime,
  type: number,
  name: string,
): { readonly index: number; readonly fields: readonly number[] } {
  const { variants } = runtime.metadata.lookup.types[type]!.type.def.asVariant;
  const found = variants.find((candidate) => candidate.name.toString() === name);
  if (found === undefined) throw new Error(`no variant ${name} in type ${type} of the metadata`);
  return { index: found.index.toNumber(), fields: found.fields.map((field) => field.type.toNumber()) };
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return new Uint8Array(bytes);
}
