import type { ApiPromise } from "@polkadot/api";
import { TypeDefInfo, type Codec } from "@polkadot/types/types";
import { z } from "zod";
import { OperationalError } from "../errors.ts";
import type { ChainNeuron } from "./link.ts";
import { ipOfInteger } from "./serve-axon.ts";

/** Answers of the runtime APIs that list a subnet's neurons, in every form that a runtime has had. */

/**
 * Types for runtimes whose metadata does not describe these APIs (V14, or answers declared as `Vec<u8>`). Field order
 * from the Subtensor source (rpc_info/show_subnet.rs, rpc_info/neuron_info.rs).
 */
export const LEGACY_TYPES = {
  LegacyAxonInfo: {
    block: "u64",
    version: "u32",
    ip: "u128",
    port: "u16",
    ipType: "u8",
    protocol: "u8",
    placeholder1: "u8",
    placeholder2: "u8",
  },
  LegacyPrometheusInfo: { block: "u64", version: "u32", ip: "u128", port: "u16", ipType: "u8" },
  LegacyNeuronInfoLite: {
    hotkey: "AccountId32",
    coldkey: "AccountId32",
    uid: "Compact<u16>",
    netuid: "Compact<u16>",
    active: "bool",
    axonInfo: "LegacyAxonInfo",
    prometheusInfo: "LegacyPrometheusInfo",
    stake: "Vec<(AccountId32, Compact<u64>)>",
    rank: "Compact<u16>",
    emission: "Compact<u64>",
    incentive: "Compact<u16>",
    consensus: "Compact<u16>",
    trust: "Compact<u16>",
    validatorTrust: "Compact<u16>",
    dividends: "Compact<u16>",
    lastUpdate: "Compact<u64>",
    validatorPermit: "bool",
    pruningScore: "Compact<u16>",
  },
  LegacySubnetState: {
    netuid: "Compact<u16>",
    hotkeys: "Vec<AccountId32>",
    coldkeys: "Vec<AccountId32>",
    active: "Vec<bool>",
    validatorPermit: "Vec<bool>",
    pruningScore: "Vec<Compact<u16>>",
    lastUpdate: "Vec<Compact<u64>>",
    emission: "Vec<Compact<u64>>",
    dividends: "Vec<Compact<u16>>",
    incentives: "Vec<Compact<u16>>",
    consensus: "Vec<Compact<u16>>",
    trust: "Vec<Compact<u16>>",
    rank: "Vec<Compact<u16>>",
    blockAtRegistration: "Vec<Compact<u64>>",
    alphaStake: "Vec<Compact<u64>>",
    taoStake: "Vec<Compact<u64>>",
    totalStake: "Vec<Compact<u64>>",
    emissionHistory: "Vec<Vec<Compact<u64>>>",
  },
} as const;

const RAO_PER_TOKEN = 1e9;
const U16_MAX = 65_535;

/** polkadot-js gives integers above 2^53 as decimal text. */
const integer = z.union([z.int(), z.string().regex(/^\d+$/)]).transform(Number);

const subnetStateSchema = z
  .object({
    hotkeys: z.array(z.string()),
    coldkeys: z.array(z.string()),
    active: z.array(z.boolean()),
    validatorPermit: z.array(z.boolean()),
    lastUpdate: z.array(integer),
    emission: z.array(integer),
    incentives: z.array(integer),
    totalStake: z.array(integer),
  })
  .nullable();

const axonSchema = z.object({ ip: z.union([z.int(), z.string().regex(/^\d+$/)]), ipType: z.int(), port: z.int() });

const metagraphSchema = z.object({ ...subnetStateSchema.unwrap().shape, axons: z.array(axonSchema) }).nullable();

const neuronsLiteSchema = z.array(
  z.object({
    uid: integer,
    hotkey: z.string(),
    coldkey: z.string(),
    active: z.boolean(),
    axonInfo: axonSchema,
    stake: z.array(z.tuple([z.string(), integer])),
    emission: integer,
    incentive: integer,
    lastUpdate: integer,
    validatorPermit: z.boolean(),
  }),
);

type SubnetState = NonNullable<z.infer<typeof subnetStateSchema>>;

/** One way to read a subnet: runtime method, its type where the metadata has none, and what to make of the answer. */
export interface SubnetReading {
  readonly runtimeApi: string;
  readonly method: "get_subnet_state" | "get_metagraph" | "get_neurons_lite";
  readonly legacyType: AnswerType | null;
  /** Whether its stake is metagraph S. */
  readonly hasStakeS: boolean;
  readonly hasAxons: boolean;
  /** Null: the chain says that there is no such subnet. */
  readonly neuronsOf: (primitive: unknown) => ChainNeuron[] | null;
}

/** In the order of preference. */
export const SUBNET_READINGS: readonly SubnetReading[] = [
  {
    runtimeApi: "SubnetInfoRuntimeApi",
    method: "get_subnet_state",
    legacyType: { type: "Option<LegacySubnetState>", some: "LegacySubnetState" },
    hasStakeS: true,
    hasAxons: false,
    neuronsOf: (primitive) => {
      const state = subnetStateSchema.parse(primitive);
      return state && neuronsOfState(state, () => null);
    },
  },
  {
    runtimeApi: "SubnetInfoRuntimeApi",
    method: "get_metagraph",
    legacyType: null,
    hasStakeS: true,
    hasAxons: true,
    neuronsOf: (primitive) => {
      const metagraph = metagraphSchema.parse(primitive);
      return metagraph && neuronsOfState(metagraph, (uid) => metagraph.axons[uid] ?? null);
    },
  },
  {
    runtimeApi: "NeuronInfoRuntimeApi",
    method: "get_neurons_lite",
    legacyType: { type: "Vec<LegacyNeuronInfoLite>", some: null },
    hasStakeS: false,
    hasAxons: true,
    neuronsOf: (primitive) =>
      neuronsLiteSchema.parse(primitive).map(({ stake, emission, incentive, axonInfo, ...neuron }) => ({
        ...neuron,
        stake: stake.reduce((sum, [, rao]) => sum + rao, 0) / RAO_PER_TOKEN,
        emission: emission / RAO_PER_TOKEN,
        incentive: incentive / U16_MAX,
        ...publishedAt(axonInfo),
      })),
  },
];

function neuronsOfState(state: SubnetState, axonOf: (uid: number) => z.infer<typeof axonSchema> | null): ChainNeuron[] {
  const { hotkeys, ...columns } = state;
  const lengths = Object.values(columns).map((column) => column.length);
  const odd = lengths.find((length) => length !== hotkeys.length);
  if (odd !== undefined) {
    throw new OperationalError(
      "CHAIN_ANSWER",
      `The subnet has ${hotkeys.length} hotkeys, but a column of ${odd} entries`,
    );
  }
  return hotkeys.map((hotkey, uid) => ({
    uid,
    hotkey,
    coldkey: state.coldkeys[uid]!,
    stake: state.totalStake[uid]! / RAO_PER_TOKEN,
    validatorPermit: state.validatorPermit[uid]!,
    active: state.active[uid]!,
    incentive: state.incentives[uid]! / U16_MAX,
    emission: state.emission[uid]! / RAO_PER_TOKEN,
    lastUpdate: state.lastUpdate[uid]!,
    ...publishedAt(axonOf(uid)),
  }));
}

function publishedAt(axon: z.infer<typeof axonSchema> | null): { ip: string | null; port: number | null } {
  const ip = axon === null ? null : ipOfInteger(BigInt(axon.ip), axon.ipType);
  return ip === null ? { ip, port: null } : { ip, port: axon!.port };
}

/** The declared output type of a runtime method; undefined where the metadata does not describe runtime APIs (V14). */
export type DeclaredOutput = AnswerType | "absent" | undefined;

interface AnswerType {
  readonly type: string;
  /** What an Option is of. */
  readonly some: string | null;
}

export function declaredOutput(api: ApiPromise, runtimeApi: string, method: string): DeclaredOutput {
  const { apis } = api.runtimeMetadata.asLatest;
  if (apis.length === 0) return undefined;
  const found = apis
    .find(({ name }) => name.toString() === runtimeApi)
    ?.methods.find(({ name }) => name.toString() === method);
  if (!found) return "absent";
  const { info, sub } = api.registry.lookup.getTypeDef(found.output);
  const some = info === TypeDefInfo.Option && sub && !Array.isArray(sub) ? (sub.lookupName ?? sub.type) : null;
  return { type: api.registry.createLookupType(found.output), some };
}

/**
 * The answer's bytes as plain JavaScript, by the declared type or ours. Older runtimes put it into a `Vec<u8>`: an Option as
 * such, or only what it is of, and nothing for None. Only a form that uses every byte counts. Throws OperationalError:
 * CHAIN_ANSWER where the bytes are not of their declared type, CHAIN_UNKNOWN_TYPE where none is declared and ours is not it.
 */
export function decodeAnswer(api: ApiPromise, reading: SubnetReading, bytes: Uint8Array): unknown {
  const declared = declaredOutput(api, reading.runtimeApi, reading.method);
  const described = typeof declared === "object" && !isBytes(api, declared.type) ? declared : null;
  const answer = described ?? reading.legacyType;
  const message = `The answer of ${reading.method} (${bytes.length} bytes) is not of its type`;
  if (answer === null) throw new OperationalError("CHAIN_UNKNOWN_TYPE", message);
  const inner = unwrapped(api, bytes);
  if (inner?.length === 0) return null;
  const forms: (readonly [string, Uint8Array])[] = [[answer.type, bytes]];
  if (inner) forms.push([answer.type, inner]);
  if (inner && answer.some !== null) forms.push([answer.some, inner]);
  for (const [type, form] of forms) {
    const value = exactly(api, type, form);
    if (value) return value.toPrimitive();
  }
  throw new OperationalError(described ? "CHAIN_ANSWER" : "CHAIN_UNKNOWN_TYPE", message);
}

function isBytes(api: ApiPromise, type: string): boolean {
  return api.registry.createTypeUnsafe(type, []).toRawType() === "Bytes";
}

/** What is inside a `Vec<u8>`; undefined where the bytes are no such thing. */
function unwrapped(api: ApiPromise, bytes: Uint8Array): Uint8Array | undefined {
  return exactly(api, "Bytes", bytes)?.toU8a(true);
}

/** The value of this type whose encoding is exactly `bytes`; undefined where there is none. */
function exactly(api: ApiPromise, type: string, bytes: Uint8Array): Codec | undefined {
  let value: Codec;
  try {
    value = api.registry.createTypeUnsafe(type, [bytes]);
  } catch {
    return undefined; // other bytes than this type's
  }
  return Buffer.from(value.toU8a()).equals(bytes) ? value : undefined;
}
