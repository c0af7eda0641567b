import type { Socket } from "node:net";
import { networkOf, normaliseIp } from "../chain/ip-address.ts";
import type { Metagraph, Neuron } from "../chain/metagraph.ts";
import type { Config } from "../config/schema.ts";
import { OperationalError } from "../errors.ts";
import type { KnownAddresses } from "./known-addresses.ts";

/** Of a socket's other end, normalised; empty when that has gone. */
export function peerIp({ remoteAddress }: Socket): string {
  return normaliseIp(remoteAddress ?? "") ?? "";
}

/**
 * On whose account bounds per sender go: who has one IPv6 address has a /64 of them. A known address goes by itself, so that
 * its neighbours at a hoster cannot use up what it may.
 */
export function ownerOf(ip: string, known: KnownAddresses): string {
  return known.has(ip) ? ip : networkOf(ip);
}

/**
 * Whether an address (normalised) may ask at all. `axon.allowIps` is `any`, or a comma-separated list of addresses in
 * which `metagraph` stands for the published IPs of the validators that the blacklist admits.
 */
export function createAddressFilter(
  allowIps: string,
  context: { metagraph: Metagraph; blacklist: Config["blacklist"] },
): (ip: string) => boolean {
  const entries = allowIps.split(",").map((entry) => entry.trim());
  if (entries.includes("any")) return () => true;
  const listed = new Set(entries.filter((entry) => entry !== "metagraph").map(listedIp));
  if (!entries.includes("metagraph")) return (ip) => listed.has(ip);
  let validators: readonly Neuron[] = [];
  let published = new Set<string>();
  return (ip) => {
    const current = context.metagraph.validators();
    if (current !== validators) {
      validators = current;
      published = publishedIps(current, context.blacklist.validatorMinStake);
    }
    return listed.has(ip) || published.has(ip);
  };
}

function listedIp(entry: string): string {
  const ip = normaliseIp(entry);
  if (ip !== undefined) return ip;
  throw new OperationalError(
    "AXON_ALLOW_IPS",
    `--axon.allow_ips: expected any, metagraph or IP addresses, found "${entry}"`,
  );
}

function publishedIps(validators: readonly Neuron[], minStake: number): Set<string> {
  const ips = validators
    .filter(({ stake }) => stake >= minStake)
    .map(({ ip }) => (ip === null ? undefined : normaliseIp(ip)));
  return new Set(ips.filter((ip) => ip !== undefined));
}
