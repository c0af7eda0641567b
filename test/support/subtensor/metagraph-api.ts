import { asBoolean, type ChainState } from "./state.ts";
import { hotkeysOf, stakeOf, subnetsOf } from "./subnet.ts";

/** What the runtime APIs say of a subnet, built from storage as the pallet builds it: vectors as stored, whatever their lengths. */

/** One array per field, in the order of uids: the common part of SubnetState and Metagraph. */
function neuronArrays(state: ChainState, netuid: number): Record<string, readonly unknown[]> {
  const hotkeys = hotkeysOf(state, netuid);
  const stakes = hotkeys.map((hotkey) => stakeOf(state, netuid, hotkey));
  const numbers = (name: string): bigint[] => state.list(`subtensorModule.${name}`, [netuid], BigInt);
  return {
    hotkeys,
    coldkeys: hotkeys.map((hotkey) => state.address("subtensorModule.owner", hotkey)),
    active: state.list("subtensorModule.active", [netuid], asBoolean),
    validatorPermit: state.list("subtensorModule.validatorPermit", [netuid], asBoolean),
    // This runtime has no storage for these three any more.
    pruningScore: [],
    trust: [],
    rank: [],
    lastUpdate: numbers("lastUpdate"),
    emission: numbers("emission"),
    dividends: numbers("dividends"),
    incentives: numbers("incentive"),
    consensus: numbers("consensus"),
    blockAtRegistration: hotkeys.map((_, uid) => state.bigint("subtensorModule.blockAtRegistration", netuid, uid)),
    alphaStake: stakes.map(({ alpha }) => alpha),
    taoStake: stakes.map(({ tao }) => tao),
    totalStake: stakes.map(({ total }) => total),
  };
}

function exists(state: ChainState, netuid: number): boolean {
  return state.has("subtensorModule.networksAdded", netuid);
}

export function subnetState(state: ChainState, netuid: number): Record<string, unknown> | null {
  if (!exists(state, netuid)) return null;
  const arrays = neuronArrays(state, netuid);
  const history = subnetsOf(state).map(() => arrays["hotkeys"]!.map(() => 0));
  return { netuid, ...arrays, emissionHistory: history };
}

/** Fields that the double has no storage for are zero, empty or none. */
export function metagraph(state: ChainState, netuid: number): Record<string, unknown> | null {
  if (!exists(state, netuid)) return null;
  const number = (name: string): bigint => state.bigint(`subtensorModule.${name}`, netuid);
  const arrays = neuronArrays(state, netuid);
  const hotkeys = hotkeysOf(state, netuid);
  return {
    netuid,
    name: [...Buffer.from(`subnet ${netuid}`)],
    symbol: [...Buffer.from("α")],
    networkRegisteredAt: number("networkRegisteredAt"),
    ownerHotkey: state.address("subtensorModule.subnetOwnerHotkey", netuid),
    ownerColdkey: state.address("subtensorModule.subnetOwner", netuid),
    block: state.bigint("system.number"),
    tempo: number("tempo"),
    numUids: number("subnetworkN"),
    maxUids: number("maxAllowedUids"),
    burn: number("burn"),
    difficulty: number("difficulty"),
    registrationAllowed: true,
    immunityPeriod: number("immunityPeriod"),
    servingRateLimit: number("servingRateLimit"),
    maxValidators: number("maxAllowedValidators"),
    identities: hotkeys.map(() => null),
    axons: hotkeys.map((hotkey) => axonOrDefault(state, netuid, hotkey)),
    ...arrays,
    taoDividendsPerHotkey: [],
    alphaDividendsPerHotkey: [],
  };
}

/** The fields of these indices, and None for all others; the netuid is always there. */
export function selectiveMetagraph(
  state: ChainState,
  netuid: number,
  { indices, fields }: { readonly indices: readonly number[]; readonly fields: readonly string[] },
): Record<string, unknown> | null {
  const full = metagraph(state, netuid);
  if (full === null) return null;
  const zero = (field: string): unknown => full[field] ?? ZERO_OF[field] ?? 0;
  const chosen = indices.map((index) => fields[index]).filter((field) => field !== undefined);
  return { netuid, ...Object.fromEntries(chosen.map((field) => [field, zero(field)])) };
}

/** Fields of a selective metagraph whose zero is no number. */
const ZERO_OF: Readonly<Record<string, unknown>> = {
  identity: null,
  movingPrice: { bits: 0 },
  powRegistrationAllowed: false,
  commitRevealWeightsEnabled: false,
  liquidAlphaEnabled: false,
  validators: [],
  commitments: [],
};

/** get_neurons(_lite): `stake` is the plain alpha here, which is not S. */
export function neurons(state: ChainState, netuid: number): Record<string, unknown>[] {
  if (!exists(state, netuid)) return [];
  const arrays = neuronArrays(state, netuid);
  const validatorTrust = state.list("subtensorModule.validatorTrust", [netuid], BigInt);
  const at = (name: string, uid: number): unknown => arrays[name]?.[uid];
  return hotkeysOf(state, netuid).map((hotkey, uid) => ({
    hotkey,
    coldkey: at("coldkeys", uid),
    uid,
    netuid,
    active: at("active", uid),
    axonInfo: axonOrDefault(state, netuid, hotkey),
    stake: [[at("coldkeys", uid), at("alphaStake", uid)]],
    emission: at("emission", uid),
    incentive: at("incentives", uid),
    consensus: at("consensus", uid),
    validatorTrust: validatorTrust[uid],
    dividends: at("dividends", uid),
    lastUpdate: at("lastUpdate", uid),
    validatorPermit: at("validatorPermit", uid),
  }));
}

/** All zero where nothing was served. */
function axonOrDefault(state: ChainState, netuid: number, hotkey: string): unknown {
  return state.has("subtensorModule.axons", netuid, hotkey)
    ? state.read("subtensorModule.axons", netuid, hotkey)
    : undefined;
}
