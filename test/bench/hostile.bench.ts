/**
 * Everything that README's "Hostile world" promises, as one table of figures: interop, fuzzing, load, flood, faults, kills,
 * soak, dependencies. Exit code 1 when a figure is out of its bound or a check fails. The short form takes some ten minutes.
 *
 *   npm run hostile [-- --full] [--only kill,soak]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, globSync } from "node:fs";
import path from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { textTable } from "../../src/commands/text-table.ts";
import { PACKAGE_ROOT } from "../../src/config/load.ts";
import { figureSchema, type Figure } from "../support/figures.ts";

interface Row {
  readonly check: string;
  readonly name: string;
  readonly figure: string;
  readonly bound: string;
  /** null: could not be checked here, and why is in `figure`. */
  readonly pass: boolean | null;
}

interface Output {
  readonly code: number | null;
  readonly out: string;
  readonly errors: string;
}

interface Check {
  readonly name: string;
  readonly run: (isFull: boolean) => Promise<readonly Row[]>;
}

async function execute(program: string, args: readonly string[]): Promise<Output> {
  const child = spawn(program, args, { cwd: PACKAGE_ROOT, stdio: ["ignore", "pipe", "pipe"] });
  const exited = once(child, "exit") as Promise<[number | null]>;
  const [out, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
  return { code, out, errors };
}

/** Test files with the runner of `npm test`; its summary are the figures. */
function tests(name: string, pattern: string): Check {
  const run = async (): Promise<readonly Row[]> => {
    const files = globSync(pattern, { cwd: PACKAGE_ROOT });
    const runner = ["--import", "./test/support/seeded-properties.ts", "--test", "--test-reporter=tap"];
    // One file at a time: some of these measure, and some start processes of their own.
    const { code, out } = await execute(process.execPath, [...runner, "--test-concurrency=1", ...files]);
    const count = (word: string): number => Number(new RegExp(`^# ${word} (\\d+)$`, "m").exec(out)?.[1] ?? NaN);
    const [passed, failed, skipped] = [count("pass"), count("fail") + count("cancelled"), count("skipped")];
    const failures = [...out.matchAll(/^ *not ok \d+ - (.*)$/gm)].map((match) => match[1]!);
    for (const failure of failures) process.stderr.write(`  failed: ${failure}\n`);
    const row = {
      check: name,
      name: `tests of ${pattern}`,
      figure: `${passed} passed, ${failed} failed`,
      bound: "0 failed",
    };
    const hasRun = passed + failed > 0 || skipped === 0;
    const rows: Row[] = hasRun ? [{ ...row, pass: code === 0 && failed === 0 && passed > 0 }] : [];
    if (skipped > 0) {
      rows.push({
        check: name,
        name: "tests that cannot run here",
        figure: `${skipped} skipped`,
        bound: "0",
        pass: null,
      });
    }
    return rows;
  };
  return { name, run };
}

/** A script that prints its figures as lines of JSON. */
function bench(name: string, script: string, args: { readonly short: string; readonly full: string }): Check {
  const run = async (isFull: boolean): Promise<readonly Row[]> => {
    if (!existsSync(path.join(PACKAGE_ROOT, script))) throw new Error(`${script} is not there`);
    const wanted = (isFull ? args.full : args.short).split(" ").filter(Boolean);
    const { code, out, errors } = await execute(process.execPath, [script, ...wanted]);
    const rows = out.split("\n").flatMap((line) => rowOf(name, line));
    const isSound = code === 0 && rows.length > 0;
    if (isSound || rows.some(({ pass }) => pass === false)) return rows;
    process.stderr.write(`${errors.slice(-2000)}\n`);
    return [...rows, { check: name, name: script, figure: `exit code ${String(code)}`, bound: "0", pass: false }];
  };
  return { name, run };
}

function rowOf(check: string, line: string): Row[] {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return []; // not a figure: what else the script prints
  }
  const parsed = figureSchema.safeParse(json);
  if (!parsed.success) return [];
  const { name, pass, figure, cases } = parsed.data;
  const shown = figure ?? (cases === undefined ? "" : `${cases} cases`);
  return [{ check, name, figure: String(shown), bound: boundOf(parsed.data), pass }];
}

function boundOf({ atMost, atLeast }: Figure): string {
  if (atMost !== undefined) return `≤ ${atMost}`;
  return atLeast === undefined ? "no failure" : `≥ ${atLeast}`;
}

const audit: Check = {
  name: "dependencies",
  run: async () => {
    const { out } = await execute("npm", ["audit", "--json"]);
    const row = { check: "dependencies", name: "known vulnerabilities (npm audit)", bound: "≤ 0" };
    try {
      const report = JSON.parse(out) as { metadata?: { vulnerabilities?: { total?: number } } };
      const total = report.metadata?.vulnerabilities?.total;
      if (total !== undefined) return [{ ...row, figure: String(total), pass: total === 0 }];
    } catch {
      // No report: said below.
    }
    return [{ ...row, figure: "the registry gives no advisories", pass: null }];
  },
};

const CHECKS: readonly Check[] = [
  tests("interop", "test/interop/*.test.ts"),
  tests("faults", "test/integration/faults/*.test.ts"),
  tests("models", "test/integration/{patchtst,lgbm}/serving.test.ts"),
  tests("workers", "test/integration/engines/pool.test.ts"),
  tests("requests", "test/{integration,unit}/axon/*.test.ts"),
  tests("secrets and chain", "test/{integration/wallet/secrets,unit/chain/plausibility,e2e/daemon,e2e/chain}.test.ts"),
  bench("fuzz", "test/fuzz/main.ts", { short: "--cases 4000", full: "--cases 100000" }),
  bench("kill", "test/bench/kill.bench.ts", { short: "--minutes 1", full: "--minutes 30" }),
  bench("soak", "test/bench/soak.bench.ts", { short: "--small 600 --full 40", full: "--small 100000 --full 2000" }),
  bench("load", "test/bench/load.bench.ts", { short: "--minutes 3 --backlog 100", full: "" }),
  bench("flood", "test/bench/flood.bench.ts", { short: "--rounds 2 --prompts 40", full: "" }),
  audit,
];

const { values } = parseArgs({
  options: { full: { type: "boolean", default: false }, only: { type: "string" } },
});
const only = values.only?.split(",");
const unknown = only?.filter((name) => !CHECKS.some((check) => check.name === name)) ?? [];
if (unknown.length > 0) {
  process.stderr.write(
    `--only: no check ${unknown.join(", ")}; there are ${CHECKS.map(({ name }) => name).join(", ")}\n`,
  );
  process.exit(2);
}
const rows: Row[] = [];
for (const check of CHECKS) {
  if (only !== undefined && !only.includes(check.name)) continue;
  process.stderr.write(`${check.name} …\n`);
  rows.push(...(await check.run(values.full)));
}
const verdict = (pass: boolean | null): string => (pass === null ? "not checked" : pass ? "pass" : "FAIL");
const cells = rows.map(({ check, name, figure, bound, pass }) => [check, name, figure, bound, verdict(pass)]);
process.stdout.write(`${textTable(["check", "what", "figure", "bound", ""], cells, ["figure"])}\n`);
const failed = rows.filter(({ pass }) => pass === false).length;
process.stdout.write(`${rows.length} figures, ${failed} out of bounds\n`);
process.exitCode = failed === 0 && rows.length > 0 ? 0 : 1;
