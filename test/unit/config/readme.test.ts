import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { CONFIG_FLAGS, PACKAGE_ROOT } from "../../../src/config/load.ts";

describe("README.md", () => {
  it("lists every setting (node scripts/readme-settings.ts writes the table)", () => {
    const readme = readFileSync(path.join(PACKAGE_ROOT, "README.md"), "utf8");
    const row = (name: string): string | undefined =>
      readme.split("\n").find((line) => line.includes(`\`--${name}\``) && line.startsWith("|"));
    for (const { name, description, env } of CONFIG_FLAGS) {
      assert.ok(row(name)?.includes(description), name);
      if (env !== undefined) assert.ok(row(name)?.includes(env), `${name}: ${env}`);
    }
  });
});
