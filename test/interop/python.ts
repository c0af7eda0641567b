import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import path from "node:path";
import { text } from "node:stream/consumers";
import { PACKAGE_ROOT } from "../../src/config/load.ts";

/** A client of ours in Python: reads one question, prints one JSON line per check. */
export type Check = Readonly<Record<string, unknown>> & { readonly check: string };

export async function runClient(python: string, script: string, question: unknown): Promise<readonly Check[]> {
  const child = spawn(python, [path.join(PACKAGE_ROOT, "test/interop", script)], { stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.end(JSON.stringify(question));
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
  assert.equal(await exit, 0, errors.slice(-3000));
  const lines = out.split("\n").filter((line) => line.startsWith("{"));
  return lines.map((line) => JSON.parse(line) as Check);
}

/** For node:test's `skip`: false where the variable names a Python. */
export function missingPython(variable: string, requirements: string): string | false {
  if (process.env[variable] !== undefined) return false;
  return `set ${variable} to a Python with ${requirements} (.ci/run does, where it installs)`;
}
