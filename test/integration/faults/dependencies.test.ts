import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { z } from "zod";
import { PACKAGE_ROOT } from "../../../src/config/load.ts";

const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.object({ hasInstallScript: z.boolean().optional(), integrity: z.string().optional() }),
  ),
});
const exact = z.record(z.string(), z.string().regex(/^\d+\.\d+\.\d+$/));
const packageSchema = z.object({
  allowScripts: z.record(z.string(), z.boolean()),
  dependencies: exact,
  devDependencies: exact,
});

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(join(PACKAGE_ROOT, name), "utf8"));
}

describe("dependencies", () => {
  const { packages } = lockSchema.parse(readJson("package-lock.json"));
  const installed = Object.entries(packages).filter(([folder]) => folder !== "");

  it("run no install script but those that SECURITY.md justifies and package.json decides about", () => {
    const scripted = installed.filter(([, entry]) => entry.hasInstallScript === true);
    const names = scripted.map(([folder]) => folder.slice(folder.lastIndexOf("node_modules/") + 13)).sort();
    const { allowScripts } = packageSchema.parse(readJson("package.json"));
    assert.deepEqual(names, Object.keys(allowScripts).sort());
    const security = readFileSync(join(PACKAGE_ROOT, "SECURITY.md"), "utf8");
    for (const name of names) assert.ok(security.includes(`\`${name}\``), `${name} is not in SECURITY.md`);
  });

  it("are of exact versions", () => {
    packageSchema.parse(readJson("package.json"));
  });

  it("are all pinned to the hash of their content", () => {
    const unpinned = installed.filter(([, { integrity }]) => !/^sha512-/.test(integrity ?? ""));
    assert.deepEqual(unpinned, []);
    assert.ok(installed.length > 100);
  });
});
