import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { storedMetagraphPath } from "../../../src/chain/stored-metagraph.ts";
import { PACKAGE_ROOT } from "../../../src/config/load.ts";
import { keypairFromSeed } from "../../../src/wallet/keypair.ts";
import { FakeUfw, type FakeUfwState } from "../../support/fake-ufw.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const VALIDATORS = ["8.8.8.8", "9.9.9.9", "2606:4700::1111"];

interface ProgramState extends FakeUfwState {
  readonly calls: readonly string[];
}

interface Machine {
  readonly dir: string;
  readonly metagraph: string;
  state(): ProgramState;
  set(change: Partial<FakeUfwState> & { mode?: "user"; failAt?: number; ignore?: boolean }): void;
  /** Commands so far that may change something. */
  changes(): readonly string[];
  letsIn: (ip: string) => boolean;
  firewall(...args: readonly string[]): { code: number | null; out: string; err: string };
}

/** A machine with a fake ufw in its PATH and nothing else there. */
async function createMachine(test: TestContext, options: { ufw: boolean } = { ufw: true }): Promise<Machine> {
  const dir = await tempFolder(test);
  const bin = path.join(dir, "bin");
  const stateFile = path.join(dir, "ufw.json");
  mkdirSync(bin);
  const program = path.join(PACKAGE_ROOT, "test/support/fake-ufw-program.ts");
  if (options.ufw) {
    writeFileSync(path.join(bin, "ufw"), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`);
    chmodSync(path.join(bin, "ufw"), 0o755);
  }
  writeFileSync(stateFile, JSON.stringify(new FakeUfw().state));
  const metagraph = path.join(dir, "metagraph.json");
  writeMetagraph(metagraph, VALIDATORS);
  const state = (): ProgramState => ({
    calls: [],
    ...(JSON.parse(readFileSync(stateFile, "utf8")) as FakeUfwState),
  });
  return {
    dir,
    metagraph,
    state,
    set: (change) => {
      writeFileSync(stateFile, JSON.stringify({ ...state(), ...change }));
    },
    changes: () => state().calls.filter((call) => !call.startsWith("status")),
    letsIn: (ip) => new FakeUfw(state()).letsIn(ip, 8091),
    firewall: (...args) => {
      const main = path.join(PACKAGE_ROOT, "src/main.ts");
      const flags = ["--state-dir", dir, ...args];
      const env = { PATH: bin, FAKE_UFW: stateFile, LANG: "de_DE.UTF-8" };
      const done = spawnSync(process.execPath, [main, "firewall", ...flags], { encoding: "utf8", cwd: dir, env });
      return { code: done.status, out: done.stdout, err: done.stderr };
    },
  };
}

function writeMetagraph(file: string, ips: readonly (string | null)[], extra: object = {}): void {
  const neurons = ips.map((ip, uid) => ({
    uid,
    hotkey: hotkeyOf(uid),
    stake: 100_000 - uid,
    validator_permit: true,
    ip,
  }));
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify({ ...extra, neurons }));
}

function hotkeyOf(uid: number): string {
  return keypairFromSeed(new Uint8Array(32).fill(uid + 1)).address;
}

function commandsIn(out: string): readonly string[] {
  return out.split("\n").filter((line) => line.startsWith("ufw "));
}

describe("firewall", () => {
  it("--dry-run prints exactly what --apply runs, in order, and changes nothing", async (test) => {
    const machine = await createMachine(test);
    const file = ["--metagraph.file", machine.metagraph];
    const dry = machine.firewall("--dry-run", ...file);
    assert.equal(dry.code, 0, dry.err);
    assert.deepEqual(machine.changes(), []);
    const applied = machine.firewall("--apply", ...file);
    assert.equal(applied.code, 0, applied.err);
    const printed = commandsIn(dry.out);
    assert.equal(printed.length, 3);
    assert.deepEqual(commandsIn(applied.out), printed);
    assert.deepEqual(
      machine.changes(),
      printed.map((line) => line.slice("ufw ".length).replaceAll("'", "")),
    );
    for (const ip of VALIDATORS) assert.ok(machine.letsIn(ip), ip);
    assert.ok(!machine.letsIn("77.1.2.3"));
    const again = machine.firewall("--apply", ...file);
    assert.match(again.out, /nothing to change: 3 validator addresses get in/);
    assert.equal(machine.changes().length, 3);
  });

  it("wants to be told which of the two", async (test) => {
    const machine = await createMachine(test);
    for (const args of [[], ["--dry-run", "--apply"]]) {
      const { code, err } = machine.firewall("--metagraph.file", machine.metagraph, ...args);
      assert.equal(code, 2);
      assert.match(err, /expected exactly one of them/);
    }
    const { code } = machine.firewall("--apply", "--metagraph.file", machine.metagraph, "--axon.port", "0");
    assert.equal(code, 2);
    assert.deepEqual(machine.state().calls, []);
  });

  it("uses the metagraph that serve keeps, and the blacklist that serve admits by", async (test) => {
    const machine = await createMachine(test);
    const stored = storedMetagraphPath(machine.dir, 50);
    writeMetagraph(stored, VALIDATORS, { netuid: 50, updatedAt: new Date().toISOString() });
    const all = machine.firewall("--dry-run");
    assert.equal(commandsIn(all.out).length, 3, all.err);
    const some = machine.firewall("--dry-run", "--blacklist.validator_min_stake", "99999");
    assert.deepEqual(
      commandsIn(some.out).map((line) => line.split(" ")[6]),
      ["8.8.8.8", "9.9.9.9"],
    );
  });

  it("a failure in the middle stops it, says how far it came, and leaves validators in; again finishes it", async (test) => {
    const machine = await createMachine(test);
    const file = ["--metagraph.file", machine.metagraph];
    assert.equal(machine.firewall("--apply", ...file).code, 0);
    const open = new FakeUfw(machine.state());
    open.run(["allow", "8091"]);
    writeMetagraph(machine.metagraph, ["9.9.9.9", "1.1.1.1", "1.0.0.1"]);
    const before = open.state.rules;
    // Two to let in, two to withdraw, one general rule to remove: every place of the failure.
    for (let done = 0; done < 5; done += 1) {
      machine.set({ rules: before, calls: [], failAt: done } as Parameters<Machine["set"]>[0]);
      const failed = machine.firewall("--apply", "--remove-general-allow", ...file);
      assert.equal(failed.code, 1);
      assert.match(
        failed.err,
        new RegExp(`FIREWALL_APPLY: Stopped after ${done} of 5 commands: .*problem running iptables`),
      );
      assert.equal(commandsIn(failed.out).length, done, "what was done is printed");
      assert.ok(
        ["9.9.9.9", "1.1.1.1", "1.0.0.1"].every((ip) => machine.letsIn(ip)),
        `cut short after ${done}`,
      );
    }
    machine.set({ failAt: -1 });
    assert.equal(machine.firewall("--apply", "--remove-general-allow", ...file).code, 0);
    assert.deepEqual(["1.1.1.1", "8.8.8.8", "77.1.2.3"].map(machine.letsIn), [true, false, false]);
  });

  it("reads back what it did: a ufw that only says so is not believed", async (test) => {
    const machine = await createMachine(test);
    machine.set({ ignore: true });
    const { code, err } = machine.firewall("--apply", "--metagraph.file", machine.metagraph);
    assert.equal(code, 1);
    assert.match(err, /FIREWALL_APPLY: .*does not let in 8\.8\.8\.8/);
  });
});

describe("firewall changes nothing", () => {
  const refused = (machine: Machine, expected: RegExp, ...args: readonly string[]): void => {
    for (const how of ["--apply", "--dry-run"]) {
      const { code, err } = machine.firewall(how, ...args);
      assert.equal(code, 1, err);
      assert.match(err, expected);
      assert.ok(!err.includes("    at "), "no stack");
    }
    assert.deepEqual(machine.changes(), []);
  };

  it("on a missing, broken, empty, old, foreign or implausible metagraph", async (test) => {
    const machine = await createMachine(test);
    const { metagraph } = machine;
    refused(machine, /FIREWALL_METAGRAPH: .*`serve` writes it/);
    writeFileSync(metagraph, '{"neurons": [');
    refused(machine, /FIREWALL_METAGRAPH/, "--metagraph.file", metagraph);
    writeMetagraph(metagraph, []);
    refused(machine, /FIREWALL_FEW_VALIDATORS/, "--metagraph.file", metagraph);
    writeMetagraph(metagraph, ["8.8.8.8", "10.0.0.1", null]);
    refused(machine, /FIREWALL_FEW_VALIDATORS: .*at least 2 .*found 1 \(.*10\.0\.0\.1/, "--metagraph.file", metagraph);
    writeMetagraph(metagraph, VALIDATORS, { netuid: 247 });
    refused(machine, /FIREWALL_METAGRAPH: .*netuid 247/, "--metagraph.file", metagraph);
    writeMetagraph(metagraph, VALIDATORS, { updatedAt: "2020-01-01T00:00:00Z" });
    refused(machine, /FIREWALL_METAGRAPH: .* s old, --metagraph\.max_age_seconds/, "--metagraph.file", metagraph);
    writeMetagraph(metagraph, VALIDATORS);
    utimesSync(metagraph, 1_577_836_800, 1_577_836_800);
    refused(machine, /FIREWALL_METAGRAPH: .* s old/, "--metagraph.file", metagraph);
  });

  it("without ufw, without root and while ufw is inactive", async (test) => {
    const bare = await createMachine(test, { ufw: false });
    refused(bare, /FIREWALL_NO_UFW/, "--metagraph.file", bare.metagraph);
    const machine = await createMachine(test);
    const file = ["--metagraph.file", machine.metagraph];
    machine.set({ mode: "user" });
    refused(machine, /FIREWALL_NOT_ROOT: .*sudo/, ...file);
    const inactive = await createMachine(test);
    inactive.set({ active: false });
    refused(inactive, /FIREWALL_INACTIVE/, "--metagraph.file", inactive.metagraph);
  });
});
