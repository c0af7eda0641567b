import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { admits, matchRule, parseUfwStatus, type UfwRule } from "../../../src/chain/ufw-status.ts";
import { PACKAGE_ROOT } from "../../../src/config/load.ts";
import { OperationalError } from "../../../src/errors.ts";

const { rich } = JSON.parse(readFileSync(path.join(PACKAGE_ROOT, "test/vectors/ufw.json"), "utf8")) as { rich: string };

/** Of the rules that ufw itself listed: to, action, from → whether it is about 9.9.9.9 or 2001:db8:2::5, port 8091. */
const EXPECTED: readonly (readonly [string, string, string, string])[] = [
  ["8091/tcp", "ALLOW", "8.8.8.8", "no"],
  ["8000:9000/tcp", "DENY", "Anywhere", "yes"],
  ["22/tcp", "LIMIT", "Anywhere", "no"],
  ["Anywhere", "DENY", "198.51.100.0/24", "no"],
  ["8091/tcp on eth0", "ALLOW", "Anywhere", "maybe"],
  ["8091/tcp", "ALLOW", "Anywhere", "yes"],
  ["8091", "ALLOW", "9.9.9.9", "yes"],
  ["80,443,8091/tcp", "ALLOW", "Anywhere", "yes"],
  ["80,443/tcp (WWW Full)", "ALLOW", "Anywhere", "no"],
  ["192.0.2.10 8091/tcp", "ALLOW", "Anywhere", "maybe"],
  ["Anywhere", "ALLOW", "203.0.113.9", "no"],
  ["8091/udp", "DENY", "Anywhere", "no"],
  ["8091/tcp", "ALLOW", "203.0.113.50 999/tcp", "no"],
  ["Anywhere", "ALLOW", "1.0.0.0/8/tcp", "no"],
  ["Anywhere", "ALLOW", "1.0.0.0/8/udp", "no"],
  ["Anywhere on wg0", "ALLOW", "Anywhere", "maybe"],
  ["Anywhere", "ALLOW", "999/tcp", "maybe"],
  ["8000:9000/tcp", "DENY", "Anywhere", "yes"],
  ["8091/tcp on eth0", "ALLOW", "Anywhere", "maybe"],
  ["8091/tcp", "ALLOW", "Anywhere", "yes"],
  ["80,443,8091/tcp", "ALLOW", "Anywhere", "yes"],
  ["80,443/tcp (WWW Full)", "ALLOW", "Anywhere", "no"],
  ["8091/udp", "DENY", "Anywhere", "no"],
  ["8091", "REJECT", "2001:db8:1::/48", "no"],
  ["Anywhere on wg0", "ALLOW", "Anywhere", "maybe"],
  ["Anywhere", "DENY", "2001:db8:2::5", "yes"],
  ["Anywhere", "ALLOW", "999/tcp", "maybe"],
];

function ruleOf(line: string): UfwRule {
  const [rule, ...others] = parseUfwStatus(
    `Status: active\nDefault: deny (incoming), allow (outgoing)\n--     ------      ----\n${line}\n`,
  ).rules;
  assert.ok(rule !== undefined && others.length === 0, line);
  return rule;
}

describe("ufw status verbose, as ufw 0.36.2 prints it", () => {
  const { rules, incoming } = parseUfwStatus(rich);

  it("every incoming rule, none that is outgoing or routed", () => {
    assert.equal(incoming, "deny");
    assert.deepEqual(
      rules.map(({ to, action, from }) => [to, action, from]),
      EXPECTED.map((row) => row.slice(0, 3)),
    );
    assert.deepEqual(
      rules.map(({ family }) => family),
      EXPECTED.map((_, index) => (index < 17 ? 4 : 6)),
    );
    const noted = rules.filter(({ comment }) => comment !== null).map(({ comment }) => comment);
    assert.deepEqual(new Set(noted), new Set(["synth-axon 50", "mine # and yours", "x ALLOW OUT y"]));
    assert.deepEqual(new Set(rules.map(({ log }) => log)), new Set([null, "log", "log-all"]));
  });

  it("which of them are about a connection", () => {
    const seen = rules.map((rule) =>
      matchRule(rule, { ip: rule.family === 4 ? "9.9.9.9" : "2001:db8:2::5", port: 8091 }),
    );
    assert.deepEqual(
      seen,
      EXPECTED.map((row) => row[3]),
    );
    assert.equal(matchRule(ruleOf("8091/tcp  ALLOW IN  10.0.0.0/8"), { ip: "10.200.3.4", port: 8091 }), "yes");
    assert.equal(matchRule(ruleOf("8091  REJECT IN  2001:db8:1::/48"), { ip: "2001:db8:1:5::1", port: 8091 }), "yes");
    assert.equal(matchRule(ruleOf("Anywhere  ALLOW IN  1.0.0.0/8/tcp"), { ip: "1.1.1.1", port: 8091 }), "yes");
    assert.equal(matchRule(ruleOf("Anywhere  ALLOW IN  1.0.0.0/8/udp"), { ip: "1.1.1.1", port: 8091 }), "no");
    assert.equal(matchRule(ruleOf("Anywhere/esp  ALLOW IN  Anywhere/esp"), { ip: "1.1.1.1", port: 8091 }), "no");
  });
});

describe("who surely gets in", () => {
  const status = (incoming: "allow" | "deny", ...lines: string[]) => ({ incoming, rules: lines.map(ruleOf) });
  const connection = { ip: "8.8.8.8", port: 8091 };

  it("the first rule decides, then the default", () => {
    const [letIn, refuse] = ["8091/tcp  ALLOW IN  8.8.8.8", "8091  DENY IN  Anywhere"];
    assert.equal(admits(status("deny", letIn, refuse), connection), true);
    assert.equal(admits(status("deny", refuse, letIn), connection), false);
    assert.equal(admits(status("deny"), connection), false);
    assert.equal(admits(status("allow"), connection), true);
    assert.equal(admits(status("deny", "8091 (v6)  ALLOW IN  Anywhere (v6)"), connection), false);
  });

  it("what depends on an interface lets nobody in for sure, and may refuse", () => {
    assert.equal(admits(status("deny", "8091 on eth0  ALLOW IN  Anywhere"), connection), false);
    assert.equal(admits(status("allow", "8091 on eth0  DENY IN  Anywhere"), connection), false);
  });
});

describe("what is not ufw's listing", () => {
  it("inactive, empty, translated or unreadable: a code each, never a guess", () => {
    const code = (text: string): unknown => {
      try {
        return parseUfwStatus(text).rules;
      } catch (error) {
        return error instanceof OperationalError ? error.code : error;
      }
    };
    assert.equal(code("Status: inactive\n"), "FIREWALL_INACTIVE");
    assert.equal(code(""), "FIREWALL_STATUS");
    assert.equal(code("Status: Aktiv\n"), "FIREWALL_STATUS");
    assert.equal(code("Status: active\n"), "FIREWALL_STATUS", "no default policy");
    assert.equal(code(rich.replace("LIMIT IN", "SMILE IN")), "FIREWALL_STATUS");
    assert.deepEqual(code("Status: active\nDefault: deny (incoming), allow (outgoing)\n"), []);
    fc.assert(
      fc.property(fc.string(), fc.nat(rich.length), (text, at) => {
        const found = code(rich.slice(0, at) + text + rich.slice(at));
        assert.ok(Array.isArray(found) || typeof found === "string", String(found));
      }),
    );
  });
});
