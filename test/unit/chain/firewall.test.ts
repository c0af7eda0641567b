import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { planFirewall, type FirewallPlan, type FirewallRequest } from "../../../src/chain/firewall.ts";
import type { Neuron } from "../../../src/chain/metagraph.ts";
import { parseUfwStatus } from "../../../src/chain/ufw-status.ts";
import { shellLine } from "../../../src/chain/ufw.ts";
import { PACKAGE_ROOT } from "../../../src/config/load.ts";
import { OperationalError } from "../../../src/errors.ts";
import { hotkey } from "../../../src/units.ts";
import { FakeUfw } from "../../support/fake-ufw.ts";

interface Vectors {
  readonly sessions: readonly {
    readonly incoming: "allow" | "deny" | "reject";
    readonly steps: readonly { readonly args: readonly string[]; readonly said: string; readonly status: string }[];
  }[];
}
const vectors = JSON.parse(readFileSync(path.join(PACKAGE_ROOT, "test/vectors/ufw.json"), "utf8")) as Vectors;

const PORT = 8091;
const OWN = ["comment", "synth-axon 50"];
const STRANGERS = ["77.1.2.3", "2a02:8070::1"];

function neuron(uid: number, ip: string | null, stake = 100_000 - uid): Neuron {
  return { uid, hotkey: hotkey(`hotkey-${uid}`), stake, validatorPermit: true, ip };
}

function plan(ufw: FakeUfw, ips: readonly (string | null)[], change: Partial<FirewallRequest> = {}): FirewallPlan {
  return planFirewall({
    netuid: 50,
    port: PORT,
    neurons: ips.map((ip, uid) => neuron(uid, ip)),
    status: parseUfwStatus(ufw.run(["status", "verbose"]).text),
    minValidators: 1,
    removeGeneralAllow: false,
    ...change,
  });
}

function allow(ip: string): readonly string[] {
  return ["allow", "proto", "tcp", "from", ip, "to", "any", "port", String(PORT)];
}

/** Runs the commands; after each, `look` sees who gets in. */
function run(ufw: FakeUfw, commands: FirewallPlan["commands"], look: () => void = () => undefined): void {
  for (const command of commands) {
    assert.equal(ufw.run(command).code, 0, shellLine(command));
    look();
  }
}

describe("the fake ufw", () => {
  for (const { incoming, steps } of vectors.sessions) {
    it(`says and lists what ufw itself does, with the default ${incoming}`, () => {
      const ufw = new FakeUfw({ incoming });
      for (const { args, said, status } of steps) {
        assert.equal(ufw.run(args).text, said, args.join(" "));
        assert.equal(ufw.run(["status", "verbose"]).text.trim(), status.trim(), args.join(" "));
      }
    });
  }
});

describe("the firewall's commands", () => {
  it("let validators in by IPv4, then IPv6, the largest stake first", () => {
    const { commands, admitted } = plan(new FakeUfw(), ["2606:4700:0::1", "8.8.8.8", "9.9.9.9", "8.8.8.8"]);
    assert.deepEqual(commands.map(shellLine), [
      "ufw prepend allow proto tcp from 8.8.8.8 to any port 8091 comment 'synth-axon 50'",
      "ufw prepend allow proto tcp from 9.9.9.9 to any port 8091 comment 'synth-axon 50'",
      "ufw prepend allow proto tcp from 2606:4700::1 to any port 8091 comment 'synth-axon 50'",
    ]);
    assert.deepEqual(admitted, ["8.8.8.8", "9.9.9.9", "2606:4700::1"]);
  });

  it("change only the difference, new before old, and nothing the second time", () => {
    const ufw = new FakeUfw();
    run(ufw, plan(ufw, ["8.8.8.8", "9.9.9.9"]).commands);
    const { commands } = plan(ufw, ["9.9.9.9", "1.1.1.1"]);
    assert.deepEqual(commands, [
      ["prepend", ...allow("1.1.1.1"), ...OWN],
      ["delete", ...allow("8.8.8.8")],
    ]);
    run(ufw, commands);
    assert.deepEqual(plan(ufw, ["9.9.9.9", "1.1.1.1"]).commands, []);
  });

  it("leave rules of others alone: other comments, other netuids, other ports, the same rule without a comment", () => {
    const ufw = new FakeUfw();
    const others = [
      allow("8.8.8.8"),
      [...allow("8.8.4.4"), "comment", "mine"],
      [...allow("9.9.9.10"), "comment", "synth-axon 247"],
      ["allow", "proto", "tcp", "from", "9.9.9.9", "to", "any", "port", "8092", ...OWN],
      ["allow", "22/tcp"],
    ];
    run(ufw, others);
    const { commands, notes } = plan(ufw, ["8.8.8.8", "1.1.1.1"]);
    assert.deepEqual(commands, [["prepend", ...allow("1.1.1.1"), ...OWN]]);
    assert.ok(
      notes.some((note) => note.includes("other ports than 8091")),
      notes.join(),
    );
  });

  it("remove a general rule only when asked, after the validators' own, each spelling by its own command", () => {
    for (const general of [
      ["allow", "8091"],
      ["allow", "8091/tcp"],
      ["limit", "8091/tcp"],
      ["allow", "log", "8091"],
    ]) {
      const ufw = new FakeUfw();
      run(ufw, [general]);
      const kept = plan(ufw, ["8.8.8.8"]);
      assert.deepEqual(kept.commands, [["prepend", ...allow("8.8.8.8"), ...OWN]]);
      assert.ok(kept.notes[0]?.includes("--remove-general-allow"), kept.notes.join());
      const asked = plan(ufw, ["8.8.8.8"], { removeGeneralAllow: true });
      assert.deepEqual(asked.commands, [...kept.commands, ["delete", ...general]]);
      assert.deepEqual(asked.notes, []);
      run(ufw, asked.commands);
      assert.deepEqual([ufw.letsIn("8.8.8.8", PORT), ufw.letsIn(STRANGERS[0]!, PORT)], [true, false]);
    }
  });

  it("say, and never remove, a general rule about more than the port", () => {
    const ufw = new FakeUfw();
    const status = parseUfwStatus(
      `${ufw.run(["status", "verbose"]).text}\n--                         ------      ----\n` +
        "8000:9000/tcp              ALLOW IN    Anywhere\n8091/tcp on eth0           ALLOW IN    Anywhere\n",
    );
    const { commands, notes } = plan(ufw, ["8.8.8.8"], { status, removeGeneralAllow: true });
    assert.deepEqual(commands, [["prepend", ...allow("8.8.8.8"), ...OWN]]);
    assert.equal(notes.length, 2, notes.join("\n"));
  });

  it("refuse everybody else by a rule where the default lets them in, and never over somebody's rule", () => {
    const refuse = ["deny", "proto", "tcp", "to", "any", "port", "8091", ...OWN];
    const ufw = new FakeUfw({ incoming: "allow" });
    const { commands } = plan(ufw, ["8.8.8.8"]);
    assert.deepEqual(commands.at(-1), refuse);
    run(ufw, commands);
    assert.deepEqual(plan(ufw, ["8.8.8.8"]).commands, []);
    for (const other of [
      ["allow", "8091/tcp"],
      ["deny", "8091/tcp"],
    ]) {
      const shared = new FakeUfw({ incoming: "allow" });
      run(shared, [other]);
      assert.deepEqual(plan(shared, ["8.8.8.8"]).commands, [["prepend", ...allow("8.8.8.8"), ...OWN]], other.join(" "));
    }
  });

  it("follow an operator's rule against a validator's own address or subnet", () => {
    const ufw = new FakeUfw();
    run(ufw, plan(ufw, ["8.8.8.8", "1.1.1.1"]).commands);
    run(ufw, [["deny", "proto", "tcp", "from", "8.8.0.0/16", "to", "any", "port", "8091"]]);
    const { commands, skipped } = plan(ufw, ["8.8.8.8", "1.1.1.1"]);
    assert.deepEqual(commands, [["delete", ...allow("8.8.8.8")]]);
    assert.match(skipped.join(), /uid 0 hotkey-0: refused by your rule "8091\/tcp DENY IN 8\.8\.0\.0\/16"/);
  });

  it("name the validators without an address, or without a public one", () => {
    const { skipped, admitted } = plan(new FakeUfw(), [
      null,
      "10.0.0.1",
      "127.0.0.1",
      "fd00::1",
      "8.8.8.8",
      "203.0.113.7",
    ]);
    assert.deepEqual(admitted, ["8.8.8.8"]);
    assert.equal(skipped.length, 5);
    assert.match(skipped[0]!, /uid 0 hotkey-0: publishes no address/);
  });
});

describe("a firewall that would be wrong is refused", () => {
  it("with fewer validators than the minimum, the empty metagraph first of all", () => {
    for (const [ips, minValidators] of [
      [[], 1],
      [["8.8.8.8"], 2],
      [["8.8.8.8", "8.8.8.8", "10.0.0.1", null], 2],
    ] as const) {
      assert.throws(() => plan(new FakeUfw(), ips, { minValidators }), { code: "FIREWALL_FEW_VALIDATORS" });
    }
  });

  it("where rules of others would keep the validators out", () => {
    const ufw = new FakeUfw();
    run(ufw, plan(ufw, ["8.8.8.8", "9.9.9.9"]).commands);
    run(ufw, [["prepend", "deny", "8091"]]);
    assert.throws(() => plan(ufw, ["8.8.8.8", "9.9.9.9"], { minValidators: 2 }), { code: "FIREWALL_BLOCKED" });
    run(ufw, [["prepend", "allow", "8091/tcp"]]);
    assert.throws(() => plan(ufw, ["8.8.8.8"], { removeGeneralAllow: true }), { code: "FIREWALL_BLOCKED" });
    // A third one would get in, but the two behind the refusal would lose what the general rule gives them.
    const ips = ["8.8.8.8", "9.9.9.9", "1.1.1.1"];
    assert.throws(() => plan(ufw, ips, { removeGeneralAllow: true }), { code: "FIREWALL_BLOCKED" });
    assert.equal(plan(ufw, ips).commands.length, 1);
  });
});

/** Any list of rules that one may find, ours of an earlier run among them, and any metagraph. */
const addresses = ["8.8.8.8", "9.9.9.9", "1.1.1.1", "2606:4700::1", "2a01:4f8::2"];
const ip = fc.constantFrom(...addresses);
const general = fc.constantFrom("8091", "8091/tcp", "22/tcp", "8092/tcp");
const action = fc.constantFrom("allow", "deny", "reject", "limit");
const priorCommand = fc.oneof(
  { weight: 4, arbitrary: ip.map((source) => ["prepend", ...allow(source), ...OWN]) },
  ip.map((source) => [...allow(source)]),
  fc
    .tuple(action, fc.constantFrom(...addresses, "8.0.0.0/8"))
    .map(([word, source]) => [word, ...allow(source).slice(1)]),
  fc.tuple(fc.constantFrom([], ["prepend"]), action, general).map(([how, word, to]) => [...how, word, to]),
  fc.constant(["allow", "log", "8091/tcp"]),
  fc.constant(["deny", "proto", "tcp", "to", "any", "port", "8091", ...OWN]),
);
const scenario = fc.record({
  incoming: fc.constantFrom("allow" as const, "deny" as const, "reject" as const),
  prior: fc.array(priorCommand, { maxLength: 8 }),
  ips: fc.array(fc.oneof(ip, fc.constantFrom(null, "10.0.0.1")), { maxLength: 6 }),
  minValidators: fc.integer({ min: 1, max: 2 }),
  removeGeneralAllow: fc.boolean(),
});

describe("however it is cut short", () => {
  it("validators that got in still do after every command, nobody's rules are touched, and the end is what was planned", () => {
    let planned = 0;
    fc.assert(
      fc.property(scenario, ({ incoming, prior, ips, ...asked }) => {
        const ufw = new FakeUfw({ incoming });
        for (const command of prior) ufw.run(command);
        let found: FirewallPlan;
        try {
          found = plan(ufw, ips, asked);
        } catch (error) {
          assert.ok(error instanceof OperationalError, String(error));
          return;
        }
        planned += 1;
        const others = (): string[] =>
          ufw.state.rules.filter(({ comment }) => comment !== "synth-axon 50").map((rule) => JSON.stringify(rule));
        const [before, hadOwn] = [others(), found.admitted.filter((address) => ufw.letsIn(address, PORT))];
        run(ufw, found.commands, () => {
          const inside = found.admitted.filter((address) => ufw.letsIn(address, PORT));
          assert.ok(inside.length >= 1, "the port is never closed to every validator");
          for (const address of hadOwn) assert.ok(inside.includes(address), `${address} was shut out on the way`);
        });
        for (const address of found.admitted) assert.ok(ufw.letsIn(address, PORT), `${address} does not get in`);
        assert.ok(found.admitted.length >= asked.minValidators);
        const gone = before.filter((rule) => !others().includes(rule));
        const isGeneral = (rule: string): boolean =>
          /"to":"8091(\/tcp)?","from":""/.test(rule) && /allow|limit/.test(rule);
        assert.ok(asked.removeGeneralAllow ? gone.every(isGeneral) : gone.length === 0, gone.join("\n"));
        assert.ok(
          others().every((rule) => before.includes(rule)),
          "no rule of others is changed or added",
        );
        assert.deepEqual(plan(ufw, ips, asked).commands, [], "a second run has nothing to do");
        const open = STRANGERS.filter((address) => ufw.letsIn(address, PORT));
        if (open.length > 0) assert.ok(found.notes.length > 0, "a port that stays open to all is said to be");
      }),
      { numRuns: 3000 },
    );
    assert.ok(planned > 500, `only ${planned} scenarios led to a plan`);
  });
});
