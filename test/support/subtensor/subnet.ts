import { isIPv4 } from "node:net";
import { encodeAddress } from "@polkadot/keyring";
import type { Codec } from "@polkadot/types-codec/types";
import { blake2AsU8a } from "@polkadot/util-crypto";
import type { NeuronSpec, StoredAxon, SubnetSpec } from "./api.ts";
import { asBoolean, type ChainState } from "./state.ts";

/** What the subtensor pallet's storage says about subnets, and how tests change it. Stakes in storage are rao: 1 token = 1e9 rao. */

const RAO = 1e9;
const U16_MAX = 65_535;
const U64_MAX = 2n ** 64n - 1n;
/** Where TAO stake lies. */
const ROOT_NETUID = 0;

const BOOLEAN_VECTORS = ["active", "validatorPermit"] as const;
const NUMBER_VECTORS = ["consensus", "incentive", "dividends", "validatorTrust", "lastUpdate", "emission"] as const;

export function createSubnet(state: ChainState, spec: SubnetSpec, block: number): void {
  const { netuid } = spec;
  if (state.has("subtensorModule.networksAdded", netuid)) throw new Error(`subnet ${netuid} exists already`);
  state.set("subtensorModule.networksAdded", [netuid], true);
  state.set("subtensorModule.subnetworkN", [netuid], 0);
  state.set("subtensorModule.tempo", [netuid], spec.tempo ?? 360);
  state.set("subtensorModule.servingRateLimit", [netuid], spec.servingRateLimit ?? 50);
  state.set("subtensorModule.networkRegisteredAt", [netuid], 1);
  state.set("subtensorModule.totalNetworks", [], state.number("subtensorModule.totalNetworks") + 1);
  for (const neuron of spec.neurons ?? []) registerNeuron(state, netuid, { neuron, block });
}

/** Returns the new uid. */
export function registerNeuron(
  state: ChainState,
  netuid: number,
  { neuron, block }: { readonly neuron: NeuronSpec; readonly block: number },
): number {
  const { hotkey } = neuron;
  if (!state.has("subtensorModule.networksAdded", netuid)) throw new Error(`no subnet ${netuid}`);
  if (uidOf(state, netuid, hotkey) !== null) throw new Error(`${hotkey} is registered on subnet ${netuid} already`);
  const uid = state.number("subtensorModule.subnetworkN", netuid);
  state.set("subtensorModule.subnetworkN", [netuid], uid + 1);
  for (const name of BOOLEAN_VECTORS) setElement(state, name, { netuid, uid, value: false });
  for (const name of NUMBER_VECTORS) setElement(state, name, { netuid, uid, value: 0n });
  occupySlot(state, { netuid, uid, hotkey, block, coldkey: neuron.coldkey ?? derivedAddress(`coldkey of ${hotkey}`) });
  setElement(state, "active", { netuid, uid, value: neuron.active ?? true });
  setElement(state, "validatorPermit", { netuid, uid, value: neuron.validatorPermit ?? false });
  setElement(state, "lastUpdate", { netuid, uid, value: BigInt(block) });
  setElement(state, "emission", { netuid, uid, value: rao(neuron.emission ?? 0) });
  for (const name of ["incentive", "consensus", "dividends"] as const) {
    setElement(state, name, { netuid, uid, value: BigInt(Math.round((neuron[name] ?? 0) * U16_MAX)) });
  }
  setStake(state, netuid, { hotkey, alpha: neuron.alphaStake ?? 0, tao: neuron.taoStake ?? 0 });
  if (neuron.axon !== undefined)
    writeAxon(state, netuid, { hotkey, axon: axonFrom(neuron.axon, neuron.axon.block ?? 1) });
  return uid;
}

/** The slot goes to a hotkey that nobody knows, as on chain, where a newcomer takes it. */
export function deregisterNeuron(
  state: ChainState,
  netuid: number,
  { hotkey, block }: { readonly hotkey: string; readonly block: number },
): void {
  const uid = requireUid(state, netuid, hotkey);
  state.delete("subtensorModule.uids", netuid, hotkey);
  state.delete("subtensorModule.isNetworkMember", hotkey, netuid);
  state.delete("subtensorModule.axons", netuid, hotkey);
  const newcomer = derivedAddress(`newcomer ${netuid} ${uid} ${block}`);
  occupySlot(state, { netuid, uid, hotkey: newcomer, block, coldkey: derivedAddress(`coldkey of ${newcomer}`) });
  setElement(state, "validatorPermit", { netuid, uid, value: false });
  for (const name of NUMBER_VECTORS) setElement(state, name, { netuid, uid, value: 0n });
}

interface Slot {
  readonly netuid: number;
  readonly uid: number;
  readonly hotkey: string;
  readonly coldkey: string;
  readonly block: number;
}

function occupySlot(state: ChainState, { netuid, uid, hotkey, coldkey, block }: Slot): void {
  state.set("subtensorModule.keys", [netuid, uid], hotkey);
  state.set("subtensorModule.uids", [netuid, hotkey], uid);
  state.set("subtensorModule.isNetworkMember", [hotkey, netuid], true);
  state.set("subtensorModule.owner", [hotkey], coldkey);
  state.set("subtensorModule.blockAtRegistration", [netuid, uid], block);
}

export function setPermit(
  state: ChainState,
  netuid: number,
  { hotkey, permit }: { readonly hotkey: string; readonly permit: boolean },
): void {
  setElement(state, "validatorPermit", { netuid, uid: requireUid(state, netuid, hotkey), value: permit });
}

/** Whole tokens. */
export function setStake(
  state: ChainState,
  netuid: number,
  stake: { readonly hotkey: string; readonly alpha?: number | undefined; readonly tao?: number | undefined },
): void {
  const { hotkey, alpha, tao } = stake;
  if (alpha !== undefined) state.set("subtensorModule.totalHotkeyAlpha", [hotkey, netuid], rao(alpha));
  if (tao !== undefined) state.set("subtensorModule.totalHotkeyAlpha", [hotkey, ROOT_NETUID], rao(tao));
}

export function setTaoWeight(state: ChainState, weight: number): void {
  const fraction = BigInt(Math.round(weight * 2 ** 53)) << 11n;
  state.set("subtensorModule.taoWeight", [], fraction > U64_MAX ? U64_MAX : fraction);
}

export interface StakeWeight {
  readonly alpha: bigint;
  readonly tao: bigint;
  /** alpha + tao * TaoWeight: the metagraph's S, in rao. */
  readonly total: bigint;
}

export function stakeOf(state: ChainState, netuid: number, hotkey: string): StakeWeight {
  const alpha = state.bigint("subtensorModule.totalHotkeyAlpha", hotkey, netuid);
  const tao = state.bigint("subtensorModule.totalHotkeyAlpha", hotkey, ROOT_NETUID);
  const weight = state.bigint("subtensorModule.taoWeight");
  return { alpha, tao, total: alpha + ((tao * weight) >> 64n) };
}

export function uidOf(state: ChainState, netuid: number, hotkey: string): number | null {
  const registered = state.has("subtensorModule.uids", netuid, hotkey);
  return registered ? state.number("subtensorModule.uids", netuid, hotkey) : null;
}

function requireUid(state: ChainState, netuid: number, hotkey: string): number {
  const uid = uidOf(state, netuid, hotkey);
  if (uid === null) throw new Error(`${hotkey} is not registered on subnet ${netuid}`);
  return uid;
}

/** Hotkeys in the order of their uids. */
export function hotkeysOf(state: ChainState, netuid: number): string[] {
  const count = state.number("subtensorModule.subnetworkN", netuid);
  return Array.from({ length: count }, (_, uid) => state.address("subtensorModule.keys", netuid, uid));
}

export function axonOf(state: ChainState, netuid: number, hotkey: string): StoredAxon | null {
  if (!state.has("subtensorModule.axons", netuid, hotkey)) return null;
  const stored = state.read("subtensorModule.axons", netuid, hotkey) as unknown as Record<keyof StoredAxon, Codec>;
  const number = (name: keyof StoredAxon): number => Number(stored[name].toString());
  return {
    block: number("block"),
    version: number("version"),
    ip: BigInt(stored.ip.toString()),
    port: number("port"),
    ipType: number("ipType"),
    protocol: number("protocol"),
    placeholder1: number("placeholder1"),
    placeholder2: number("placeholder2"),
  };
}

export function writeAxon(
  state: ChainState,
  netuid: number,
  { hotkey, axon }: { readonly hotkey: string; readonly axon: StoredAxon },
): void {
  state.set("subtensorModule.axons", [netuid, hotkey], axon);
}

export function axonFrom(
  spec: { readonly ip: string; readonly port: number; readonly version?: number },
  block: number,
): StoredAxon {
  const ip = integerOf(spec.ip);
  const ipType = isIPv4(spec.ip) ? 4 : 6;
  const { port, version = 9_012_000 } = spec;
  return { block, version, ip, port, ipType, protocol: 4, placeholder1: 0, placeholder2: 0 };
}

function integerOf(ip: string): bigint {
  if (isIPv4(ip)) return ip.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  const [head = "", tail] = ip.split("::");
  const groups = (text: string): string[] => text.split(":").filter((group) => group !== "");
  const front = groups(head);
  const back = groups(tail ?? "");
  const gap = tail === undefined ? 0 : 8 - front.length - back.length;
  const all = [...front, ...Array<string>(gap).fill("0"), ...back];
  if (all.length !== 8) throw new Error(`${ip} is no IP address`);
  return all.reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n);
}

/** Changes one element of a per-uid vector; the element after the last one is added. */
function setElement(
  state: ChainState,
  name: (typeof BOOLEAN_VECTORS | typeof NUMBER_VECTORS)[number],
  { netuid, uid, value }: { readonly netuid: number; readonly uid: number; readonly value: boolean | bigint },
): void {
  const item = `subtensorModule.${name}`;
  const parse = typeof value === "boolean" ? asBoolean : BigInt;
  const values = state.list<boolean | bigint>(item, [netuid], parse);
  values[uid] = value;
  state.set(item, [netuid], values);
}

/** Half of every per-uid vector is gone, and the keys are not: what a broken node might say. */
export function truncateVectors(state: ChainState, netuid: number): void {
  for (const name of [...BOOLEAN_VECTORS, ...NUMBER_VECTORS]) {
    const item = `subtensorModule.${name}`;
    const parse = name === "active" || name === "validatorPermit" ? asBoolean : BigInt;
    const values = state.list<boolean | bigint>(item, [netuid], parse);
    state.set(item, [netuid], values.slice(0, Math.floor(values.length / 2)));
  }
}

/** The subnet exists, and nobody is in it. */
export function emptySubnet(state: ChainState, netuid: number): void {
  for (const hotkey of hotkeysOf(state, netuid)) state.delete("subtensorModule.isNetworkMember", hotkey, netuid);
  for (const item of ["keys", "uids", "axons", "blockAtRegistration"]) {
    for (const key of state.keysOf(`subtensorModule.${item}`, netuid)) state.setRaw(key, null);
  }
  for (const name of [...BOOLEAN_VECTORS, ...NUMBER_VECTORS]) state.set(`subtensorModule.${name}`, [netuid], []);
  state.set("subtensorModule.subnetworkN", [netuid], 0);
}

export function subnetsOf(state: ChainState): number[] {
  return state.keysOf("subtensorModule.networksAdded").map((key) => {
    const bytes = Buffer.from(key.slice(-4), "hex"); // hashed by identity: the u16 itself ends the key
    return bytes.readUInt16LE(0);
  });
}

function rao(tokens: number): bigint {
  return BigInt(Math.round(tokens * RAO));
}

/** An account that nobody has the key of. */
function derivedAddress(seed: string): string {
  return encodeAddress(blake2AsU8a(seed), 42);
}
