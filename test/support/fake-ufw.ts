import { isIP, SocketAddress } from "node:net";

/**
 * ufw without a kernel: the few commands that the firewall command gives, with ufw's own words and quirks, as
 * test/vectors/ufw.json proves. It shares nothing with the code under test, so that its verdict on who gets in counts.
 */

interface FakeRule {
  action: string;
  log: string;
  comment: string;
  readonly family: 4 | 6;
  /** `8091` or `8091/tcp`. */
  readonly to: string;
  /** An address, a subnet, or empty for anywhere. */
  readonly from: string;
}

export interface FakeUfwState {
  incoming: "allow" | "deny" | "reject";
  active: boolean;
  rules: FakeRule[];
}

export interface Said {
  readonly code: number;
  readonly text: string;
}

const ACTIONS = ["allow", "deny", "reject", "limit"];

export class FakeUfw {
  readonly state: FakeUfwState;

  constructor(state: Partial<FakeUfwState> = {}) {
    this.state = { incoming: "deny", active: true, rules: [], ...state };
  }

  run(args: readonly string[]): Said {
    if (args[0] === "status") return { code: 0, text: this.#status(args[1] === "verbose") };
    const words = [...args];
    const mode = words[0] === "delete" || words[0] === "prepend" ? words.shift()! : "add";
    const action = words.shift() ?? "";
    if (!ACTIONS.includes(action)) return { code: 1, text: "ERROR: Invalid syntax\n" };
    const log = words[0]?.startsWith("log") ? words.shift()! : "";
    const option = (name: string): string | undefined => {
      const at = words.indexOf(name);
      return at < 0 ? undefined : words[at + 1];
    };
    const source = option("from");
    const to = option("port") === undefined ? words[0]! : `${option("port")!}/${option("proto")!}`;
    const version = isIP(source?.split("/")[0] ?? "");
    const families = version === 0 ? ([4, 6] as const) : ([version as 4 | 6] as const);
    const lines = families.map((family) => {
      if (action === "limit" && family === 6) return "Skipping unsupported IPv6 'limit' rule";
      const rule = { action, log, comment: option("comment") ?? "", family, to, from: shortest(source ?? "") };
      return this.#change(mode, rule) + (family === 6 ? " (v6)" : "");
    });
    return { code: 0, text: `${lines.join("\n")}\n` };
  }

  #change(mode: string, rule: FakeRule): string {
    const { rules } = this.state;
    const at = rules.findIndex(
      ({ family, to, from }) => family === rule.family && to === rule.to && from === rule.from,
    );
    const existing = rules[at];
    const same = existing?.action === rule.action && existing.log === rule.log;
    if (mode === "delete") {
      if (!same) return "Could not delete non-existent rule";
      rules.splice(at, 1);
      return "Rule deleted";
    }
    if (mode === "prepend") {
      if (existing !== undefined) return "Skipping inserting existing rule";
      rules.unshift(rule);
      return "Rule inserted";
    }
    if (existing === undefined) {
      rules.push(rule);
      return "Rule added";
    }
    if (same && existing.comment === rule.comment) return "Skipping adding existing rule";
    Object.assign(existing, rule);
    return "Rule updated";
  }

  #status(verbose: boolean): string {
    if (!this.state.active) return "Status: inactive\n";
    const head = `Logging: on (low)\nDefault: ${this.state.incoming} (incoming), allow (outgoing), disabled (routed)\nNew profiles: skip\n`;
    const listed = [4, 6].flatMap((family) => this.state.rules.filter((rule) => rule.family === family)).map(ruleLine);
    const titles = `${"To".padEnd(26)} ${"Action".padEnd(12)}From\n${"--".padEnd(26)} ${"------".padEnd(12)}----\n`;
    const table = listed.length === 0 ? "" : `\n${titles}${listed.join("")}\n`;
    return `Status: active\n${verbose ? head : ""}${table}`;
  }

  /** What the kernel would do with a new TCP connection: the first rule about it decides, else the default. */
  letsIn(ip: string, port: number): boolean {
    const rule = this.state.rules.find(
      ({ family, to, from }) =>
        family === isIP(ip) && (to === String(port) || to === `${port}/tcp`) && (from === "" || inside(ip, from)),
    );
    return (rule?.action ?? this.state.incoming) === "allow" || rule?.action === "limit";
  }
}

function ruleLine({ action, log, comment, family, to, from }: FakeRule): string {
  const mark = family === 6 ? " (v6)" : "";
  const target = from === "" ? to + mark : to;
  const source = from === "" ? `Anywhere${mark}` : from;
  const notes = (log === "" ? "" : ` (${log})`) + (comment === "" ? "" : ` # ${comment}`);
  return `${target.padEnd(26)} ${`${action.toUpperCase()} IN`.padEnd(12)}${source.padEnd(26)}${notes}\n`;
}

function shortest(source: string): string {
  return isIP(source) === 6 ? new SocketAddress({ address: source, family: "ipv6" }).address : source;
}

/** IPv4 subnets of whole bytes are all that the tests use. */
function inside(ip: string, from: string): boolean {
  const [network = "", bits] = from.split("/");
  if (bits === undefined) return ip === from;
  return (
    ip
      .split(".")
      .slice(0, Number(bits) / 8)
      .join() ===
    network
      .split(".")
      .slice(0, Number(bits) / 8)
      .join()
  );
}
