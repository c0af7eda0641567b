import { Metadata, TypeRegistry } from "@polkadot/types";
import { u8aConcat, u8aToHex } from "@polkadot/util";
import { z } from "zod";

/** The parts of V16 metadata, as JSON, that an upgrade changes; the rest passes through. */
const field = z.looseObject({ name: z.string().nullable(), type: z.int() });
const variant = z.looseObject({ name: z.string(), index: z.int(), fields: z.array(field) });
const portableType = z.looseObject({
  id: z.int(),
  type: z.looseObject({
    path: z.array(z.string()),
    def: z.looseObject({ variant: z.looseObject({ variants: z.array(variant) }).optional() }),
  }),
});
const metadataJson = z.looseObject({
  lookup: z.looseObject({ types: z.array(portableType) }),
  pallets: z.array(
    z.looseObject({
      name: z.string(),
      index: z.int(),
      constants: z.array(z.looseObject({ name: z.string(), type: z.int(), value: z.string() })),
    }),
  ),
});
type MetadataJson = z.infer<typeof metadataJson>;

/** Where `changedMetadata` moves SubtensorModule to: old calls and events then decode to nothing or to nonsense. */
export const MOVED_PALLET_INDEX = 107;

/** `bytes`: V16 metadata with magic number. The same with another spec version and, where asked, another layout. */
export function editMetadata(
  bytes: Uint8Array,
  change: { readonly specVersion: number; readonly changedMetadata: boolean },
): Uint8Array {
  const registry = new TypeRegistry();
  const metadata = new Metadata(registry, u8aToHex(bytes));
  registry.setMetadata(metadata, undefined, undefined, true);
  const json = metadataJson.parse(metadata.asV16.toJSON());
  setSpecVersion(json, registry, change.specVersion);
  if (change.changedMetadata) {
    movePallet(json, "SubtensorModule", MOVED_PALLET_INDEX);
    declareNetuid(json);
  }
  const edited = registry.createTypeUnsafe("MetadataV16", [json]);
  return u8aConcat(bytes.subarray(0, 5), edited.toU8a());
}

function setSpecVersion(json: MetadataJson, registry: TypeRegistry, specVersion: number): void {
  const constant = json.pallets.find(({ name }) => name === "System")?.constants.find(({ name }) => name === "Version");
  if (constant === undefined) throw new Error("the metadata has no System.Version");
  const version = z.looseObject({}).parse(registry.createType("RuntimeVersion", constant.value).toJSON());
  constant.value = u8aToHex(registry.createType("RuntimeVersion", { ...version, specVersion }).toU8a());
}

function movePallet(json: MetadataJson, pallet: string, index: number): void {
  for (const candidate of json.pallets) if (candidate.name === pallet) candidate.index = index;
  for (const { type } of json.lookup.types) {
    if (!["RuntimeCall", "RuntimeEvent", "RuntimeError"].includes(type.path.at(-1) ?? "")) continue;
    for (const outer of type.def.variant?.variants ?? []) if (outer.name === pallet) outer.index = index;
  }
}

/** A newtype around u16 for the netuid of the pallet's calls and events, as spec 429 and later have it; the bytes are the same. */
function declareNetuid(json: MetadataJson): void {
  const calls = json.lookup.types.filter(({ type }) => type.path.join("::") === "pallet_subtensor::pallet::Call");
  const events = json.lookup.types.filter(({ type }) => type.path.join("::") === "pallet_subtensor::pallet::Event");
  const netuidFields = calls
    .flatMap(({ type }) => type.def.variant?.variants ?? [])
    .flatMap(({ fields }) => fields)
    .filter(({ name }) => name === "netuid");
  const u16 = netuidFields[0]?.type;
  const served = events
    .flatMap(({ type }) => type.def.variant?.variants ?? [])
    .find(({ name }) => name === "AxonServed");
  if (u16 === undefined || served === undefined) throw new Error("the metadata has no netuid to declare");
  const id = json.lookup.types.length;
  const netuid = { name: null, type: u16, typeName: "u16", docs: [] };
  const type = {
    path: ["subtensor_runtime_common", "NetUid"],
    params: [],
    def: { composite: { fields: [netuid] } },
    docs: [],
  };
  json.lookup.types.push({ id, type });
  for (const candidate of [...netuidFields, served.fields[0]!]) if (candidate.type === u16) candidate.type = id;
}
