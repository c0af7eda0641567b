import { readFileSync } from "node:fs";
import { Metadata, TypeRegistry } from "@polkadot/types";
import type {
  MetadataV16,
  PalletMetadataV16,
  RuntimeApiMetadataV16,
  RuntimeVersion,
  SiLookupTypeId,
} from "@polkadot/types/interfaces";
import { expandMetadata } from "@polkadot/types/metadata";
import type { StorageEntry } from "@polkadot/types/primitive/types";
import type { Codec } from "@polkadot/types-codec/types";
import { compactStripLength, u8aConcat, u8aToHex } from "@polkadot/util";
import { editMetadata } from "./runtime-upgrade.ts";
import { METADATA_FILE } from "./skip.ts";

/** One version of the runtime: every codec of the double comes from here, and so from the chain's own metadata. */
export interface Runtime {
  readonly specVersion: number;
  readonly transactionVersion: number;
  readonly registry: TypeRegistry;
  readonly metadata: MetadataV16;
  /** The encoded `RuntimeVersion` that the metadata carries as System.Version. */
  readonly versionBytes: Uint8Array;
  /** With magic number, as `Metadata_metadata_at_version` has it inside its Option<OpaqueMetadata>. */
  metadataAt(version: MetadataVersion): Uint8Array;
  /** `subtensorModule.axons` */
  entry(name: string): StorageEntry;
}

export type MetadataVersion = 14 | 15 | 16;
export const METADATA_VERSIONS: readonly MetadataVersion[] = [14, 15, 16];

export interface RuntimeChoice {
  readonly specVersion: number;
  readonly changedMetadata: boolean;
}
export const ORIGINAL_RUNTIME: RuntimeChoice = { specVersion: 424, changedMetadata: false };

const MAGIC = Uint8Array.of(0x6d, 0x65, 0x74, 0x61); // "meta"

/** Parsing takes 0.1 s, and a test process starts many doubles. */
const loaded = new Map<string, Runtime>();

export function loadRuntime(choice: RuntimeChoice = ORIGINAL_RUNTIME): Runtime {
  const name = `${choice.specVersion}:${choice.changedMetadata}`;
  const known = loaded.get(name);
  if (known !== undefined) return known;
  const original = readFileSync(METADATA_FILE);
  const isOriginal = choice.specVersion === ORIGINAL_RUNTIME.specVersion && !choice.changedMetadata;
  const runtime = buildRuntime(isOriginal ? new Uint8Array(original) : editMetadata(new Uint8Array(original), choice));
  loaded.set(name, runtime);
  return runtime;
}

function buildRuntime(bytes: Uint8Array): Runtime {
  const registry = new TypeRegistry();
  const metadata = new Metadata(registry, u8aToHex(bytes));
  registry.setMetadata(metadata, undefined, undefined, true);
  const { query, consts } = expandMetadata(registry, metadata);
  const versionBytes = consts["system"]!["version"]!.toU8a();
  const version = registry.createTypeUnsafe<RuntimeVersion>("RuntimeVersion", [versionBytes]);
  const older = new Map<MetadataVersion, Uint8Array>([[16, bytes]]);
  const v16 = metadata.asV16;
  return {
    specVersion: version.specVersion.toNumber(),
    transactionVersion: version.transactionVersion.toNumber(),
    registry,
    metadata: v16,
    versionBytes,
    metadataAt: (wanted) => {
      const encoded = older.get(wanted) ?? downgrade(registry, v16, wanted);
      older.set(wanted, encoded);
      return encoded;
    },
    entry: (name) => {
      const [section = "", item = ""] = name.split(".");
      const entry = query[section]?.[item];
      if (entry === undefined) throw new Error(`no storage item ${name} in the metadata`);
      return entry;
    },
  };
}

/** The same metadata in an older form, without what that form has no place for: the node's runtime offers 14, 15 and 16. */
function downgrade(registry: TypeRegistry, v16: MetadataV16, version: MetadataVersion): Uint8Array {
  const paths = v16.lookup.types.map(({ type }) => type.path.join("::"));
  const runtimeType = paths.indexOf("node_subtensor_runtime::Runtime");
  const unchecked = paths.indexOf("sp_runtime::generic::unchecked_extrinsic::UncheckedExtrinsic");
  const { extrinsic } = v16;
  const signedExtensions = extrinsic.transactionExtensions.map(({ identifier, type, implicit }) => {
    return { identifier, type, additionalSigned: implicit };
  });
  const extrinsicVersion = 4;
  const extrinsicV15 = {
    version: extrinsicVersion,
    addressType: extrinsic.addressType,
    callType: extrinsic.callType,
    signatureType: extrinsic.signatureType,
    extraType: v16.lookup.types[unchecked]!.type.params[3]!.type.unwrap(),
    signedExtensions,
  };
  const common = { lookup: v16.lookup, pallets: v16.pallets.map(olderPallet), type: runtimeType };
  const content =
    version === 15
      ? {
          ...common,
          extrinsic: extrinsicV15,
          apis: v16.apis.map(olderApi),
          outerEnums: v16.outerEnums,
          custom: v16.custom,
        }
      : { ...common, extrinsic: { type: unchecked, version: extrinsicVersion, signedExtensions } };
  const encoded = registry.createTypeUnsafe(`MetadataV${version}`, [content]);
  return u8aConcat(MAGIC, Uint8Array.of(version), encoded.toU8a());
}

function olderPallet(pallet: PalletMetadataV16): Record<string, unknown> {
  const { name, storage, calls, events, errors, index, docs } = pallet;
  const items = storage.isSome ? storage.unwrap().items : [];
  const constants = pallet.constants.map((constant) => only(constant, ["name", "type", "value", "docs"]));
  return {
    name,
    storage: storage.isSome
      ? {
          prefix: storage.unwrap().prefix,
          items: items.map((item) => only(item, ["name", "modifier", "type", "fallback", "docs"])),
        }
      : null,
    calls: calls.isSome ? { type: calls.unwrap().type } : null,
    events: events.isSome ? { type: events.unwrap().type } : null,
    constants,
    errors: errors.isSome ? { type: errors.unwrap().type } : null,
    index,
    docs,
  };
}

function olderApi({ name, methods, docs }: RuntimeApiMetadataV16): Record<string, unknown> {
  return { name, methods: methods.map((method) => only(method, ["name", "inputs", "output", "docs"])), docs };
}

/** A new object: @polkadot takes a codec of another version as it is, with all its fields. */
function only<T extends object, K extends keyof T>(source: T, fields: readonly K[]): Pick<T, K> {
  return Object.fromEntries(fields.map((field) => [field, source[field]])) as Pick<T, K>;
}

/** A value of a type of the metadata, from SCALE bytes or from plain data. */
export function typed(runtime: Runtime, id: SiLookupTypeId | number, value: unknown): Codec {
  return runtime.registry.createTypeUnsafe(runtime.registry.createLookupType(id), [value]);
}

/** `.toHex()` of some codecs drops or adds bytes; this never does. */
export function hexOf(value: Codec): string {
  return u8aToHex(value.toU8a());
}

export function storageKey(entry: StorageEntry, args: readonly unknown[]): string {
  return u8aToHex(compactStripLength(entry(...args))[1]);
}
