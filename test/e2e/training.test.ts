import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { PACKAGE_ROOT } from "../../src/config/load.ts";

const python = process.env["SYNTH_TRAIN_PYTHON"];
const skip =
  python === undefined && "set SYNTH_TRAIN_PYTHON to a Python with scripts/train/requirements.txt (.ci/run does)";

describe("training in Python", { skip, timeout: 600_000 }, () => {
  it("runs every step on synthetic rows: data, losses, training, resuming, export", async () => {
    const script = path.join(PACKAGE_ROOT, "scripts/train/train.py");
    // Throws with the script's own words on any exit code but 0.
    const { stdout } = await promisify(execFile)(python!, [script, "--smoke"], {
      cwd: PACKAGE_ROOT,
      maxBuffer: 1 << 24,
    });
    assert.match(stdout, /\S/);
  });
});
