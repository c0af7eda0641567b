import { isIP } from "node:net";
import type { ServeAxonCall, ServedAxon } from "./link.ts";

/** The pure half of serving an axon: numbers, decisions and words. */

/** `Axons.protocol`, which the SDK always writes as 4. */
const AXON_PROTOCOL = 4;

/** Where validators are to reach the axon. */
export interface AxonAddress {
  readonly ip: string;
  readonly port: number;
}

/** An address as the chain keeps it: the integer of its bytes, network order. Throws RangeError for any other text. */
export function integerOfIp(address: string): { readonly ip: bigint; readonly ipType: 4 | 6 } {
  switch (isIP(address)) {
    case 4:
      return { ip: address.split(".").reduce((sum, byte) => sum * 256n + BigInt(byte), 0n), ipType: 4 };
    case 6:
      return { ip: groupsOf(address).reduce((sum, group) => sum * 65_536n + BigInt(group), 0n), ipType: 6 };
    default:
      throw new RangeError(`expected an IP address, found ${JSON.stringify(address)}`);
  }
}

/** The eight groups of a valid IPv6 address. */
function groupsOf(address: string): number[] {
  // The URL parser writes the canonical form: lower case, no embedded IPv4, one `::` at most.
  const plain = new URL(`http://[${address.split("%")[0]}]/`).hostname.slice(1, -1);
  const [head = "", tail] = plain.split("::");
  const groups = (text: string | undefined): number[] =>
    text ? text.split(":").map((group) => parseInt(group, 16)) : [];
  const [before, after] = [groups(head), groups(tail)];
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}

/** The text of a stored address; null for 0 (nothing was served) and for what is no address. */
export function ipOfInteger(ip: bigint, ipType: number): string | null {
  if (ip <= 0n) return null;
  if (ipType === 4 && ip < 1n << 32n) return [24n, 16n, 8n, 0n].map((shift) => (ip >> shift) & 255n).join(".");
  if (ipType !== 6 || ip >= 1n << 128n) return null;
  const groups = Array.from({ length: 8 }, (_, index) => ((ip >> BigInt(112 - 16 * index)) & 65_535n).toString(16));
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

export function serveAxonCall(wanted: { netuid: number; version: number; address: AxonAddress }): ServeAxonCall {
  const { netuid, version, address } = wanted;
  const { ip, ipType } = integerOfIp(address.ip);
  return { netuid, version, ip, port: address.port, ipType, protocol: AXON_PROTOCOL, placeholder1: 0, placeholder2: 0 };
}

/** Whether the chain already says what the call would write; the SDK skips the call then, too. */
export function isServed(call: ServeAxonCall, axon: ServedAxon | null): boolean {
  return (
    axon !== null &&
    axon.ip === call.ip &&
    axon.port === call.port &&
    axon.ipType === call.ipType &&
    axon.protocol === call.protocol &&
    axon.version === call.version
  );
}

export type ServingDecision =
  | { readonly action: "none"; readonly why: "identical" | "not_registered" }
  | { readonly action: "wait"; readonly untilBlock: number }
  | { readonly action: "serve" };

/** What to do about the axon on chain. The pallet lets a serve pass `rateLimitBlocks` after the previous one. */
export function decideServing(facts: {
  call: ServeAxonCall;
  axon: ServedAxon | null;
  registered: boolean;
  block: number;
  rateLimitBlocks: number;
}): ServingDecision {
  const { call, axon, registered, block, rateLimitBlocks } = facts;
  if (!registered) return { action: "none", why: "not_registered" };
  if (isServed(call, axon)) return { action: "none", why: "identical" };
  const untilBlock = axon === null || axon.block === 0 ? 0 : axon.block + rateLimitBlocks;
  return block < untilBlock ? { action: "wait", untilBlock } : { action: "serve" };
}

/** Why serve_axon was refused. `name`: the pallet's error, also where the pool only gave a number. */
export interface ServeRefusal {
  readonly form: "pool" | "dispatch";
  readonly name: string;
}

/** Numbers of the pool's `Custom error: N` that belong to serve_axon. */
const POOL_ERRORS: ReadonlyMap<number, string> = new Map([
  [10, "HotKeyNotRegisteredInNetwork"],
  [11, "InvalidIpAddress"],
  [12, "ServingRateLimitExceeded"],
  [13, "InvalidPort"],
  [255, "OtherPoolError"],
]);

/** The pool's words for what is wrong with the transaction itself, and a name for each. */
const POOL_PHRASES: readonly (readonly [RegExp, string])[] = [
  [/outdated|\bstale\b/i, "NonceTaken"],
  [/ancient birth|\bera\b|mortal/i, "EraExpired"],
  [/in the future/i, "NonceTooHigh"],
  [/bad signature|bad proof/i, "BadSignature"],
  [/already imported/i, "AlreadyImported"],
  [/priority is too low/i, "PriorityTooLow"],
  [/temporarily banned/i, "TemporarilyBanned"],
  [/pool|limit|full|immediately dropped/i, "PoolFull"],
  [/pay some fees|balance too low/i, "CannotPayFees"],
];

/** Reads `1010: Invalid Transaction: Custom error: N` and the pool's other refusals; undefined for any other error. */
export function poolRefusal(error: { code: number; message: string; data: string }): ServeRefusal | undefined {
  if (error.code < 1010 || error.code > 1019) return undefined;
  const text = `${error.message} ${error.data}`;
  const number = /custom error:?\s*(\d+)/i.exec(text)?.[1];
  if (number !== undefined) {
    return { form: "pool", name: POOL_ERRORS.get(Number(number)) ?? `CustomError${number}` };
  }
  const phrase = POOL_PHRASES.find(([pattern]) => pattern.test(text));
  return { form: "pool", name: phrase?.[1] ?? "InvalidTransaction" };
}

/** When asking again can help: with another block, after a minute, or only when something else has changed. */
export type RetryWhen = "rate_limit" | "soon" | "changed";

interface Explanation {
  readonly words: string;
  readonly retry: RetryWhen;
}

const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  HotKeyNotRegisteredInNetwork: { words: "the hotkey is not registered on this netuid", retry: "changed" },
  HotKeyNotRegisteredInSubNet: { words: "the hotkey is not registered on this netuid", retry: "changed" },
  InvalidIpAddress: {
    words:
      "the chain does not take this IP address (private, loopback or zero); set --axon.external_ip to a public one",
    retry: "changed",
  },
  InvalidIpType: {
    words: "the chain does not take this IP version; set --axon.external_ip to an IPv4 address",
    retry: "changed",
  },
  InvalidPort: {
    words: "the chain does not take this port; set --axon.external_port to one from 1 to 65535",
    retry: "changed",
  },
  ServingRateLimitExceeded: {
    words: "too soon after the previous serve; waiting for the rate limit",
    retry: "rate_limit",
  },
  NonceTaken: { words: "another transaction of this hotkey was faster (is it used elsewhere, too?)", retry: "soon" },
  NonceTooHigh: { words: "the endpoint does not know this hotkey's previous transaction yet", retry: "soon" },
  EraExpired: { words: "the transaction had expired before it arrived", retry: "soon" },
  BadSignature: { words: "the endpoint computed another payload than we signed (runtime upgrade?)", retry: "soon" },
  AlreadyImported: { words: "the same transaction is waiting in the pool already", retry: "soon" },
  PriorityTooLow: { words: "another transaction with this nonce is waiting in the pool", retry: "soon" },
  TemporarilyBanned: { words: "the pool has just dropped this transaction", retry: "soon" },
  PoolFull: { words: "the endpoint's transaction pool is full", retry: "soon" },
  Dropped: { words: "the pool dropped the transaction before it reached a block", retry: "soon" },
  CannotPayFees: {
    words: "the endpoint asks for a fee, although serve_axon is free; is it the right network?",
    retry: "changed",
  },
  OtherPoolError: { words: "the pool refused it without saying why", retry: "soon" },
};

/** A refusal in words, with what to do, and whether to try again. */
export function explainRefusal(refusal: ServeRefusal): Explanation {
  const where = refusal.form === "pool" ? "refused by the transaction pool" : "refused in its block";
  const known = Object.hasOwn(EXPLANATIONS, refusal.name) ? EXPLANATIONS[refusal.name] : undefined;
  if (known) return { ...known, words: `${where} (${refusal.name}): ${known.words}` };
  return { words: `${where} with ${refusal.name}, which this version does not know`, retry: "soon" };
}
