import { BlockList, isIP } from "node:net";
import { OperationalError } from "../errors.ts";
import { normaliseIp } from "./ip-address.ts";

/** What `ufw status verbose` says (ufw 0.36): the default for incoming connections and the rules in the order they apply. */
export interface UfwStatus {
  readonly incoming: "allow" | "deny" | "reject";
  /** Of incoming connections to this machine only. */
  readonly rules: readonly UfwRule[];
}

export interface UfwRule {
  readonly action: "ALLOW" | "DENY" | "REJECT" | "LIMIT";
  readonly family: 4 | 6;
  /** As printed, without `(v6)`: `8091/tcp`, `80,443/tcp (WWW Full)`, `Anywhere`, `8091 on eth0`. */
  readonly to: string;
  /** `Anywhere`, an address or a subnet, possibly with a port. */
  readonly from: string;
  /** `log` or `log-all`: part of what identifies a rule. */
  readonly log: string | null;
  readonly comment: string | null;
}

export const ANYWHERE = "Anywhere";

const RULE_PATTERN =
  /^(?<to>\S.*?) +(?<action>ALLOW|DENY|REJECT|LIMIT) (?<direction>IN|OUT|FWD) +(?<from>\S.*?)(?: \((?<log>log|log-all)\))?(?: +# (?<comment>.*))?$/;
const V6_MARK = / \(v6\)/;
const APPLICATION_PATTERN = / \((?!log)[^#]*\)/;

/** Throws OperationalError FIREWALL_INACTIVE or FIREWALL_STATUS: rules that cannot be read must not be changed. */
export function parseUfwStatus(text: string): UfwStatus {
  const lines = text.split("\n").map((line) => line.trimEnd());
  if (lines.includes("Status: inactive")) {
    throw new OperationalError(
      "FIREWALL_INACTIVE",
      "ufw is inactive, so it filters nothing: allow your own SSH first (`ufw allow OpenSSH`), then `ufw enable`",
    );
  }
  const incoming = /^Default: (allow|deny|reject) \(incoming\)/m.exec(text)?.[1];
  if (!lines.includes("Status: active") || incoming === undefined) {
    throw new OperationalError(
      "FIREWALL_STATUS",
      "`ufw status verbose`: expected the output of ufw 0.36, found other text",
    );
  }
  const header = lines.findIndex((line) => /^--\s+------\s+----$/.test(line));
  const listed = header < 0 ? [] : lines.slice(header + 1).filter((line) => line !== "");
  return { incoming: incoming as UfwStatus["incoming"], rules: listed.flatMap(parseRule) };
}

function parseRule(line: string): UfwRule[] {
  const { to, action, direction, from, log, comment } = RULE_PATTERN.exec(line)?.groups ?? {};
  if (to === undefined || action === undefined || from === undefined) {
    throw new OperationalError("FIREWALL_STATUS", `\`ufw status verbose\`: this rule cannot be read: ${line}`);
  }
  if (direction !== "IN") return [];
  const family = V6_MARK.test(to) || V6_MARK.test(from) || isIP(addressOf(from) ?? addressOf(to) ?? "") === 6 ? 6 : 4;
  return [
    {
      action: action as UfwRule["action"],
      family,
      to: to.replace(" (v6)", ""),
      from: from.replace(" (v6)", "").trim(),
      log: log ?? null,
      comment: comment ?? null,
    },
  ];
}

/** The address or network address at the beginning of a rule's side. */
function addressOf(side: string): string | undefined {
  const [address] = side.split(/[ /]/, 1);
  return isIP(address ?? "") === 0 ? undefined : address;
}

export interface Connection {
  /** Normalised. */
  readonly ip: string;
  readonly port: number;
}

/** `maybe`: it depends on an interface, a source port or anything else that a rule may ask for. */
export type Match = "yes" | "no" | "maybe";

/** Whether a rule is about a TCP connection from this address to this port. */
export function matchRule(rule: UfwRule, connection: Connection): Match {
  if (rule.family !== isIP(connection.ip)) return "no";
  const source = matchSource(rule.from, connection.ip);
  const target = matchTarget(rule.to, connection.port);
  if (source === "no" || target === "no") return "no";
  return source === "yes" && target === "yes" ? "yes" : "maybe";
}

function matchSource(from: string, ip: string): Match {
  if (from === ANYWHERE) return "yes";
  const [source = "", ...conditions] = from.split(" ");
  const [network = "", protocol = "tcp"] = source.split(/\/(?=[a-z])/);
  if (protocol !== "tcp") return "no";
  const address = addressOf(network);
  if (address === undefined) return "maybe";
  const bits = network.includes("/") ? Number(network.split("/")[1]) : undefined;
  return !covers(address, bits, ip) ? "no" : conditions.length === 0 ? "yes" : "maybe";
}

function covers(network: string, bits: number | undefined, ip: string): boolean {
  if (bits === undefined) return normaliseIp(network) === ip;
  const list = new BlockList();
  const family = isIP(network) === 4 ? "ipv4" : "ipv6";
  list.addSubnet(network, bits, family);
  return list.check(ip, family);
}

const PORTS_PATTERN = /^\d+(?::\d+)?(?:,\d+(?::\d+)?)*(?:\/(?:tcp|udp))?$/;

function matchTarget(to: string, port: number): Match {
  const plain = to.replace(APPLICATION_PATTERN, "");
  if (plain === ANYWHERE || plain === `${ANYWHERE}/tcp`) return "yes";
  if (plain.startsWith(`${ANYWHERE}/`)) return "no";
  const words = plain.split(" ");
  const ports = words.find((word) => PORTS_PATTERN.test(word));
  if (ports === undefined) return "maybe";
  if (ports.endsWith("/udp") || !includesPort(ports.replace("/tcp", ""), port)) return "no";
  return words.length === 1 ? "yes" : "maybe";
}

function includesPort(ports: string, port: number): boolean {
  return ports.split(",").some((range) => {
    const [first = 0, last = first] = range.split(":").map(Number);
    return first <= port && port <= last;
  });
}

/** Whether the connection surely gets through: what only may allow it does not count, what may refuse it does. */
export function admits(status: UfwStatus, connection: Connection): boolean {
  for (const rule of status.rules) {
    const match = matchRule(rule, connection);
    if (match === "no") continue;
    if (rule.action === "DENY" || rule.action === "REJECT") return false;
    if (match === "yes") return true;
  }
  return status.incoming === "allow";
}
