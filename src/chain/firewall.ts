import { isIP } from "node:net";
import { OperationalError } from "../errors.ts";
import { isPublicIp, normaliseIp } from "./ip-address.ts";
import type { Neuron } from "./metagraph.ts";
import { admits, ANYWHERE, matchRule, type UfwRule, type UfwStatus } from "./ufw-status.ts";

/**
 * Rules of ufw that let the subnet's validators, and nobody else, reach the axon's port. Everything here is derived; nothing is
 * run. Ours are the rules for that port with our comment; others are never changed, a general `allow` only on request.
 */

export interface FirewallRequest {
  readonly netuid: number;
  /** Where the axon listens; TCP. */
  readonly port: number;
  /** Every neuron that the axon would answer. */
  readonly neurons: readonly Neuron[];
  readonly status: UfwStatus;
  /** Fewer addresses than this are no metagraph to lock a door by. */
  readonly minValidators: number;
  /** Whether rules of others that open the port to everyone go, too. */
  readonly removeGeneralAllow: boolean;
}

type Change =
  | { readonly kind: "admit"; readonly ip: string }
  | { readonly kind: "withdraw"; readonly ip: string }
  | {
      readonly kind: "remove general";
      readonly action: "ALLOW" | "LIMIT";
      readonly to: string;
      readonly log: string | null;
    }
  | { readonly kind: "refuse others" };

export interface FirewallPlan {
  /** Arguments of ufw, one command after the other. After each of them the validators that got in before still do. */
  readonly commands: readonly (readonly string[])[];
  /** Addresses that surely get in when all is done. */
  readonly admitted: readonly string[];
  /** Who is left out, and why. */
  readonly skipped: readonly string[];
  /** What the operator should know. */
  readonly notes: readonly string[];
}

/** @throws OperationalError FIREWALL_FEW_VALIDATORS, FIREWALL_BLOCKED */
export function planFirewall(request: FirewallRequest): FirewallPlan {
  const { port, status, minValidators } = request;
  const { ips, skipped } = validatorIps(request);
  if (ips.length < minValidators) {
    throw new OperationalError(
      "FIREWALL_FEW_VALIDATORS",
      `Expected public addresses of at least ${minValidators} admitted validators in the metagraph, found ${ips.length}` +
        `${skipped.length === 0 ? "" : ` (${skipped.join("; ")})`}; nothing is changed (--min-validators, --blacklist.*)`,
      { details: { found: ips.length, minValidators } },
    );
  }
  const changes = changesFor(request, ips);
  const states = changes.reduce<UfwStatus[]>(
    (before, change) => [...before, changed(before.at(-1)!, change, request)],
    [status],
  );
  const after = states.at(-1)!;
  const admitted = ips.filter((ip) => admits(after, { ip, port }));
  assertNobodyLoses(states, ips, port);
  if (admitted.length < minValidators) {
    const blocking = blockingRules(after, ips, port).map(describeRule);
    throw new OperationalError(
      "FIREWALL_BLOCKED",
      `Only ${admitted.length} of ${ips.length} validators would get in, other rules refuse the rest: ` +
        `${blocking.join("; ")}. Nothing is changed; remove those rules or put them last`,
      { details: { admitted: admitted.length, blocking } },
    );
  }
  return {
    commands: changes.map((change) => argumentsOf(change, request)),
    admitted,
    skipped,
    notes: notesOn(request, after, ips),
  };
}

export function ownComment(netuid: number): string {
  return `synth-axon ${netuid}`;
}

/** Distinct public addresses, the largest stake first, IPv4 before IPv6: what may fail comes late. */
function validatorIps(request: FirewallRequest): { ips: readonly string[]; skipped: readonly string[] } {
  const found = new Set<string>();
  const skipped: string[] = [];
  const byStake = [...request.neurons].sort((a, b) => b.stake - a.stake);
  for (const neuron of byStake) {
    const ip = neuron.ip === null ? undefined : normaliseIp(neuron.ip);
    const refusing = ip === undefined ? undefined : operatorsRefusal(request, ip);
    const name = `uid ${neuron.uid} ${neuron.hotkey}`;
    if (ip === undefined) skipped.push(`${name}: publishes no address`);
    else if (!isPublicIp(ip)) skipped.push(`${name}: ${ip} is not a public address`);
    else if (refusing !== undefined) skipped.push(`${name}: refused by your rule ${describeRule(refusing)}`);
    else found.add(ip);
  }
  return { ips: [...found].sort((a, b) => isIP(a) - isIP(b)), skipped };
}

/** A rule of the operator against this very address or its subnet: they know why. */
function operatorsRefusal({ status, port }: FirewallRequest, ip: string): UfwRule | undefined {
  return status.rules.find(
    (rule) =>
      (rule.action === "DENY" || rule.action === "REJECT") &&
      rule.from !== ANYWHERE &&
      matchRule(rule, { ip, port }) !== "no",
  );
}

/** First who is let in, then who no longer is, then everybody else: whatever comes to be cut short leaves the door open. */
function changesFor(request: FirewallRequest, ips: readonly string[]): readonly Change[] {
  const { status, port } = request;
  // ufw knows a rule by its target and source alone, so a rule of the operator with ours' stands for it.
  const present = new Set(status.rules.filter(({ to }) => to === target(port)).map(({ from }) => from));
  const missing = ips.filter((ip) => !present.has(ip));
  const stale = ownRules(request).filter(({ action, from }) => action === "ALLOW" && !ips.includes(from));
  const general = request.removeGeneralAllow ? removable(request) : [];
  return [
    ...missing.map((ip) => ({ kind: "admit", ip }) as const),
    ...stale.map(({ from }) => ({ kind: "withdraw", ip: from }) as const),
    ...general,
    ...(needsRefusal(request) ? [{ kind: "refuse others" } as const] : []),
  ];
}

function target(port: number): string {
  return `${port}/tcp`;
}

function ownRules({ status, port, netuid }: FirewallRequest): readonly UfwRule[] {
  return status.rules.filter(({ to, comment }) => to === target(port) && comment === ownComment(netuid));
}

/** Rules of others through which anybody reaches the port, or may. */
function generalRules(status: UfwStatus, port: number): readonly UfwRule[] {
  return status.rules.filter(
    (rule) =>
      (rule.action === "ALLOW" || rule.action === "LIMIT") &&
      rule.from === ANYWHERE &&
      // Any address of its family: the source is Anywhere.
      matchRule(rule, { ip: rule.family === 4 ? "0.0.0.0" : "::", port }) !== "no",
  );
}

/** Those that are about this port alone; one command removes both families' rule. */
function removable({ status, port }: FirewallRequest): readonly Extract<Change, { kind: "remove general" }>[] {
  const byCommand = new Map<string, Extract<Change, { kind: "remove general" }>>();
  for (const { action, to, log } of generalRules(status, port)) {
    if ((action !== "ALLOW" && action !== "LIMIT") || (to !== String(port) && to !== target(port))) continue;
    byCommand.set([action, to, log].join(" "), { kind: "remove general", action, to, log });
  }
  return [...byCommand.values()];
}

/**
 * Where ufw lets everything in by default, the port needs a rule that refuses. Never beside somebody's rule for the same target:
 * ufw would turn that rule into ours.
 */
function needsRefusal(request: FirewallRequest): boolean {
  const { status, port, removeGeneralAllow } = request;
  const others = status.rules.filter(({ to, from }) => to === target(port) && from === ANYWHERE);
  const stays = removeGeneralAllow ? others.filter(({ action }) => action === "DENY" || action === "REJECT") : others;
  return status.incoming === "allow" && stays.length === 0;
}

function argumentsOf(change: Change, { port, netuid }: FirewallRequest): readonly string[] {
  const comment = ["comment", ownComment(netuid)];
  switch (change.kind) {
    case "admit":
      // Before all others: a rule that refuses may stand anywhere in the list.
      return ["prepend", "allow", "proto", "tcp", "from", change.ip, "to", "any", "port", String(port), ...comment];
    case "withdraw":
      return ["delete", "allow", "proto", "tcp", "from", change.ip, "to", "any", "port", String(port)];
    case "remove general":
      return ["delete", change.action.toLowerCase(), ...(change.log === null ? [] : [change.log]), change.to];
    case "refuse others":
      return ["deny", "proto", "tcp", "to", "any", "port", String(port), ...comment];
  }
}

/** The rules as they are after one change. */
function changed(status: UfwStatus, change: Change, { port, netuid }: FirewallRequest): UfwStatus {
  const own = { to: target(port), log: null, comment: ownComment(netuid) };
  switch (change.kind) {
    case "admit": {
      const family = isIP(change.ip) === 4 ? 4 : 6;
      return { ...status, rules: [{ ...own, action: "ALLOW", family, from: change.ip }, ...status.rules] };
    }
    case "withdraw":
      return { ...status, rules: status.rules.filter(({ to, from }) => to !== own.to || from !== change.ip) };
    case "remove general": {
      const { action, to, log } = change;
      const goes = (rule: UfwRule): boolean =>
        rule.from === ANYWHERE && rule.action === action && rule.to === to && rule.log === log;
      return { ...status, rules: status.rules.filter((rule) => !goes(rule)) };
    }
    case "refuse others": {
      const rule = { ...own, action: "DENY", from: ANYWHERE } as const;
      return { ...status, rules: [...status.rules, { ...rule, family: 4 }, { ...rule, family: 6 }] };
    }
  }
}

/** A rule that refuses, in front of a rule of ours that was hidden by a general one so far: only the operator can say. */
function assertNobodyLoses(states: readonly UfwStatus[], ips: readonly string[], port: number): void {
  for (const [index, state] of states.slice(1).entries()) {
    const losers = ips.filter((ip) => admits(states[index]!, { ip, port }) && !admits(state, { ip, port }));
    if (losers.length === 0) continue;
    const blocking = blockingRules(state, losers, port).map(describeRule);
    throw new OperationalError(
      "FIREWALL_BLOCKED",
      `Without the general rule, other rules would keep out ${losers.join(", ")}: ${blocking.join("; ")}. Nothing is ` +
        "changed; remove those rules or put them last",
      { details: { losers, blocking } },
    );
  }
}

function blockingRules(status: UfwStatus, ips: readonly string[], port: number): readonly UfwRule[] {
  const blocking = ips.map((ip) =>
    status.rules.find((rule) => {
      const refuses = rule.action === "DENY" || rule.action === "REJECT";
      return refuses && matchRule(rule, { ip, port }) !== "no";
    }),
  );
  return [...new Set(blocking)].filter((rule) => rule !== undefined);
}

function notesOn(request: FirewallRequest, after: UfwStatus, ips: readonly string[]): readonly string[] {
  const { port, netuid, status } = request;
  const blocked = ips.filter((ip) => !admits(after, { ip, port }));
  const ours = removable({ ...request, status: after }).map(({ to }) => to);
  const open = new Map(generalRules(after, port).map((rule) => [`${rule.to} ${rule.action}`, rule]));
  const elsewhere = status.rules.filter(({ to, comment }) => comment === ownComment(netuid) && to !== target(port));
  return [
    ...[...open.values()].map((rule) => {
      const advice = ours.includes(rule.to)
        ? "--remove-general-allow removes it"
        : "it says more, so it is yours to remove";
      return `not only validators may get in, because of ${describeRule({ ...rule, family: 4 })}; ${advice}`;
    }),
    ...(blocked.length === 0 ? [] : [`an earlier rule of yours keeps out ${blocked.join(", ")}`]),
    ...(elsewhere.length === 0
      ? []
      : [`${elsewhere.length} rules of ours are for other ports than ${port}: left alone`]),
  ];
}

function describeRule({ to, action, from, family, comment }: UfwRule): string {
  const note = comment === null ? "" : ` # ${comment}`;
  return `"${to}${family === 6 ? " (v6)" : ""} ${action} IN ${from}${note}"`;
}
