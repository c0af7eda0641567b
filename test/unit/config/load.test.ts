import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { UsageError } from "../../../src/errors.ts";
import { commandHelp, programHelp } from "../../../src/config/help.ts";
import { CONFIG_FLAGS, loadConfig, type LoadRequest } from "../../../src/config/load.ts";
import { defineCommand } from "../../../src/commands/command.ts";

const options = z.strictObject({
  oneShot: z.boolean().default(false).describe("update once and exit"),
  limit: z.int().positive().max(100).default(20).describe("rows shown"),
});

let cwd = "";
before(() => {
  cwd = mkdtempSync(path.join(tmpdir(), "config-"));
});
after(() => {
  rmSync(cwd, { recursive: true });
});

function load(args: string[], overrides: Partial<LoadRequest> = {}): ReturnType<typeof loadConfig> {
  return loadConfig({ args, env: {}, cwd, options, positionals: [], configFiles: [], ...overrides });
}

function problemsOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    return error.problems;
  }
  assert.fail("expected a UsageError");
}

function fileWith(name: string, text: string): string {
  const file = path.join(cwd, name);
  writeFileSync(file, text);
  return file;
}

describe("a repeated flag", () => {
  const lists = z.strictObject({ data: z.array(z.string()).default([]), limit: z.int().default(20) });

  it("adds to a list of strings, and replaces any other value", () => {
    const { options: found } = load(["--data", "a", "--limit", "1", "--data=b,c", "--limit", "2"], { options: lists });
    assert.deepEqual(found, { data: ["a", "b,c"], limit: 2 });
    assert.deepEqual(load([], { options: lists }).options, { data: [], limit: 20 });
  });

  it("adds to a list of words, and says which entry is none of them", () => {
    const words = z.strictObject({ without: z.array(z.enum(["tails", "rhythm"])).default([]) });
    const { options: found } = load(["--without", "tails", "--without", "rhythm"], { options: words });
    assert.deepEqual(found, { without: ["tails", "rhythm"] });
    assert.throws(() => load(["--without", "tails", "--without", "skew"], { options: words }), {
      message: /--without: expected one of tails, rhythm, found "skew"/,
    });
  });
});

describe("flags known from the Python miners", () => {
  it("takes every flag that the issue names, with a value after it and with =", () => {
    const values: readonly (readonly [string, string, unknown])[] = [
      ["netuid", "247", 247],
      ["subtensor.network", "ws://127.0.0.1:9944", "ws://127.0.0.1:9944"],
      ["subtensor.chain_endpoint", "wss://node.example:443", "wss://node.example:443"],
      ["wallet.name", "miner", "miner"],
      ["wallet.hotkey", "hk1", "hk1"],
      ["wallet.path", "/keys", "/keys"],
      ["axon.port", "8092", 8092],
      ["axon.ip", "127.0.0.1", "127.0.0.1"],
      ["axon.external_ip", "203.0.113.7", "203.0.113.7"],
      ["axon.external_port", "80", 80],
      ["blacklist.force_validator_permit", "false", false],
      ["blacklist.validator_min_stake", "1000.5", 1000.5],
      ["blacklist.allow_non_registered", "true", true],
      ["neuron.epoch_length", "50", 50],
      ["logging.debug", "1", true],
      ["logging.trace", "yes", true],
      ["logging.info", "off", false],
    ];
    for (const form of [(n: string, v: string) => [`--${n}`, v], (n: string, v: string) => [`--${n}=${v}`]]) {
      const { config } = load(values.flatMap(([name, text]) => form(name, text)));
      for (const [name, , expected] of values) {
        const flag = CONFIG_FLAGS.find((candidate) => candidate.name === name);
        const found = flag?.path.reduce<unknown>((node, key) => (node as Record<string, unknown>)[key], config);
        assert.deepEqual(found, expected, name);
      }
    }
  });

  it("reads a boolean flag without a value as true, also before another flag or at the end", () => {
    const { config } = load(["--logging.debug", "--blacklist.allow_non_registered", "--logging.trace"]);
    assert.equal(config.logging.debug && config.logging.trace && config.blacklist.allowNonRegistered, true);
  });

  it("keeps its own options, positionals and -- apart", () => {
    const loaded = load(["--one-shot", "--limit=7", "--", "--file"], { positionals: ["file?"] });
    assert.deepEqual(loaded.options, { oneShot: true, limit: 7 });
    assert.deepEqual(loaded.positionals, ["--file"]);
  });

  it("knows --update-interval and --state-dir", () => {
    const { config } = load(["--update-interval", "5", "--state-dir=/tmp/s"]);
    assert.equal(config.updater.intervalSeconds, 5);
    assert.equal(config.stateDir, "/tmp/s");
  });
});

describe("problems", () => {
  it("lists every problem of flags, environment and files in one error", () => {
    const file = fileWith("bad.json", '{"axon":{"prot":1},"updater":{"concurrency":0}}');
    const args = ["--axon.prot", "1", "--axon.port", "70000", "--netuid=abc", "--subtensor.network", "mars"];
    const more = ["--logging.debug=maybe", "--config", file, "--limit", "0", "stray", "--wallet.name"];
    const problems = problemsOf(() => load([...args, ...more], { env: { BINANCE_API_HOST: "not a url" } }));
    const expected = [
      /--axon\.prot: unknown flag/,
      /--axon\.port: .*65535, found 70000/,
      /--netuid: expected a number, found "abc"/,
      /--subtensor\.network: expected finney, test, local or a ws:/,
      /--logging\.debug: expected true or false, found "maybe"/,
      /axon\.prot: unknown key in .*bad\.json/,
      /updater\.concurrency in .*bad\.json: .*found 0/,
      /BINANCE_API_HOST: expected an http\(s\) URL/,
      /--limit: expected/,
      /"stray": unexpected argument/,
      /--wallet\.name: expected a value after it, found nothing/,
    ];
    for (const pattern of expected) {
      assert.ok(
        problems.some((problem) => pattern.test(problem)),
        `${pattern.source} in\n${problems.join("\n")}`,
      );
    }
    assert.equal(problems.length, expected.length, problems.join("\n"));
  });

  it("takes a negative number as a value, not as a flag", () => {
    assert.match(problemsOf(() => load(["--axon.port", "-5"])).join(), /--axon\.port: expected .*found -5/);
  });

  it("never shows a secret", () => {
    const problems = problemsOf(() => load([], { env: { PYTH_API_KEY: "topsecret", BINANCE_API_HOST: "x" } }));
    assert.ok(!problems.join().includes("topsecret"));
  });

  it("says which file is unreadable or not JSON", () => {
    assert.match(
      problemsOf(() => load(["--config", "missing.json"])).join(),
      /missing\.json: expected a readable JSON file/,
    );
    const file = fileWith("broken.json", "{");
    assert.match(problemsOf(() => load([`--config=${file}`])).join(), /broken\.json: expected a readable JSON file/);
  });

  it("throws nothing but UsageError, whatever the arguments are", () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom(...CONFIG_FLAGS.map((flag) => `--${flag.name}`)),
      fc.constant("__proto__"),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 8 }), (args) => {
        try {
          load(args.map((text) => (text === "--config" ? "--c" : text)));
        } catch (error) {
          assert.ok(error instanceof UsageError, String(error));
        }
      }),
      { numRuns: 200, seed: 1 },
    );
  });
});

describe("checks between options", () => {
  it("say their problems together with all others", () => {
    const check = (): string[] => ["--one-shot: expected a reason"];
    const problems = problemsOf(() => load(["--bogus", "--axon.port=x"], { check }));
    assert.equal(problems.length, 3);
    assert.ok(problems.includes("--one-shot: expected a reason"));
  });
});

describe("precedence", () => {
  it("is default.json < testnet.json < --config < .env < environment < flags", () => {
    const file = fileWith("mine.json", '{"wallet":{"name":"file","hotkey":"file","path":"file"},"axon":{"port":1}}');
    fileWith(".env", "BT_WALLET_NAME=dotenv\nBT_WALLET_HOTKEY=dotenv\nBT_WALLET_PATH=dotenv\n");
    const args = ["--netuid", "247", "--config", file, "--wallet.path", "flag"];
    const { config, configFiles } = load(args, { env: { BT_WALLET_HOTKEY: "env", BT_WALLET_PATH: "env" } });
    rmSync(path.join(cwd, ".env"));
    assert.deepEqual(config.wallet, { name: "dotenv", hotkey: "env", path: "flag" });
    assert.equal(config.axon.port, 1);
    assert.equal(config.blacklist.validatorMinStake, 0, "testnet.json applies to netuid 247");
    assert.deepEqual(
      configFiles.map((name) => path.basename(name)),
      ["default.json", "testnet.json", "mine.json"],
    );
  });

  it("freezes what it returns", () => {
    const { config } = load([]);
    assert.throws(() => {
      (config.axon as { port: number }).port = 1;
    }, TypeError);
  });
});

describe("help", () => {
  it("is generated from the same definitions", () => {
    const command = defineCommand({
      name: "demo",
      summary: "shows",
      usage: "demo",
      options,
      positionals: [],
      sections: ["axon", "feeds"],
      run: () => Promise.resolve(0),
    });
    const text = commandHelp(command, load([]).config);
    assert.match(text, /--one-shot \[true\|false\]/);
    for (const flag of CONFIG_FLAGS.filter(({ path: [head] }) => head === "axon")) {
      assert.ok(text.includes(`--${flag.name} `), flag.name);
      assert.ok(flag.description.length > 0, `${flag.name} has a description`);
    }
    assert.match(text, /--axon\.port NUMBER\n.*default 8091/);
    assert.ok(!text.includes("--blacklist."));
    assert.match(programHelp([command]), /demo {2}shows/);
  });
});
