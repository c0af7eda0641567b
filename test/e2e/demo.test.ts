import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { CONFIG_FLAGS, GENERAL_FLAGS, PACKAGE_ROOT } from "../../src/config/load.ts";
import { ASSETS, ASSET_SYMBOLS } from "../../src/market/assets.ts";

const run = promisify(execFile);

describe("npm run demo", { timeout: 180_000 }, () => {
  it("has every asset and both horizons answered CORRECT, and leaves nothing behind", async () => {
    const temp = await mkdtemp(path.join(tmpdir(), "synth-demo-test-"));
    // Nothing that the user has set for the real miner may reach the rehearsal.
    const poison = Object.fromEntries(
      [...CONFIG_FLAGS, ...GENERAL_FLAGS].flatMap(({ env: name }) => (name ? [[name, "/nonexistent"]] : [])),
    );
    const hosts = Object.keys(poison).filter((name) => name.endsWith("_HOST"));
    const urls = Object.fromEntries(hosts.map((name) => [name, "http://127.0.0.1:1"]));
    const env = { ...process.env, ...poison, ...urls, SYNTH_CONFIG: "", TMPDIR: temp };
    // A non-zero exit code rejects.
    const { stdout } = await run(process.execPath, [path.join(PACKAGE_ROOT, "src/main.ts"), "demo"], { env });
    const rows = stdout.split("\n").filter((line) => line.includes("CORRECT │"));
    for (const asset of ASSET_SYMBOLS) {
      for (const horizon of ["1h", "24h"]) {
        // Recorded shares sleep at night, at weekends and on holidays, as long as their state may be too old.
        const engine = ASSETS[asset].assetClass === "crypto" ? "(patchtst|lgbm|ewma)" : "(patchtst|lgbm|ewma|baseline)";
        const found = rows.filter((row) => new RegExp(`│ ${asset} +│ +${horizon} │ ${engine} +│`).test(row));
        assert.equal(found.length, 1, `${asset} ${horizon}:\n${stdout}`);
      }
    }
    assert.match(stdout, /28 of 28 answers are CORRECT/);
    assert.deepEqual(readdirSync(temp), []);
    await rm(temp, { recursive: true });
  });
});
