/**
 * Time to score one 24h prompt (1000 paths of 289 points), beside numpy's direct formula on the same prompt.
 * Run: node test/bench/crps.bench.ts
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Random } from "../../src/math/random.ts";
import { COMPETITION_RULES } from "../../src/scoring/intervals.ts";
import { scorePrompt } from "../../src/scoring/prompt-score.ts";

const PATHS = 1000;
const POINTS = 289;
const WARMUPS = 10;
const ROUNDS = 100;

function walks(count: number): Float64Array {
  const random = Random.fromSeed("crps bench");
  const paths = new Float64Array(count * POINTS);
  for (let i = 0; i < paths.length; i++) {
    paths[i] = i % POINTS === 0 ? 100_000 : paths[i - 1]! * (1 + 0.0016 * random.studentT(5));
  }
  return paths;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

const data = walks(PATHS + 1);
const paths = data.slice(0, PATHS * POINTS);
const prompt = { paths, pathCount: PATHS, realised: data.slice(PATHS * POINTS), stepSeconds: 300 };
const timesMs: number[] = [];
let total = 0;
for (let round = -WARMUPS; round < ROUNDS; round++) {
  const start = performance.now();
  total = scorePrompt(prompt, COMPETITION_RULES["24h"]).total;
  if (round >= 0) timesMs.push(performance.now() - start);
}
timesMs.sort((a, b) => a - b);
const medianMs = timesMs[ROUNDS / 2]!;
const p95Ms = timesMs[Math.floor(ROUNDS * 0.95)]!;
print(`${cpus()[0]?.model ?? "unknown CPU"}, node ${process.version}`);
print(`scorePrompt ${PATHS}x${POINTS}: p50 ${medianMs.toFixed(2)} ms, p95 ${p95Ms.toFixed(2)} ms (${ROUNDS} rounds)`);

const folder = mkdtempSync(join(tmpdir(), "crps-bench-"));
try {
  const file = join(folder, "prompt.f64");
  writeFileSync(file, data);
  const script = fileURLToPath(new URL("crps_numpy.py", import.meta.url));
  const python = spawnSync("python3", [script, file, String(PATHS), String(POINTS)], { encoding: "utf8" });
  if (python.status === 0) {
    const direct = JSON.parse(python.stdout) as { ms: number; total: number; numpy: string };
    const difference = Math.abs(total - direct.total) / direct.total;
    print(`numpy ${direct.numpy}, direct formula: ${direct.ms.toFixed(0)} ms`);
    print(
      `ratio ${(direct.ms / medianMs).toFixed(0)}, relative difference of the totals ${difference.toExponential(1)}`,
    );
  } else {
    const reason = python.error?.message ?? python.stderr.trim().split("\n").at(-1) ?? "no output";
    print(`no comparison: python3 with numpy is needed (${reason}); install it with: python3 -m pip install numpy`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
