import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { PACKAGE_ROOT } from "../../src/config/load.ts";
import { ASSET_SYMBOLS } from "../../src/market/assets.ts";
import { createTestMiner, type TestMiner } from "../support/miner.ts";

const python = process.env["SYNTH_TEST_PYTHON"];
const skip =
  python === undefined && "set SYNTH_TEST_PYTHON to a Python with test/e2e/python/requirements.txt (.ci/run does)";

interface SdkVerdict {
  readonly status: number;
  readonly message: string;
  readonly verdict: string | null;
  readonly signed: boolean;
}

type Transport = "dendrite" | "httpx";

describe("the real Bittensor SDK as a validator", { skip }, () => {
  let miner: TestMiner;
  before(async () => {
    miner = await createTestMiner();
    await miner.start("update").ready;
    await miner.start("serve").ready;
  });
  after(() => miner.close());

  async function ask(
    prompts: readonly object[],
    options: { key?: string; transport?: Transport } = {},
  ): Promise<SdkVerdict[]> {
    const script = path.join(PACKAGE_ROOT, "test/e2e/python/sdk_validator.py");
    const key = options.key ?? `0x${Buffer.from(miner.validatorSeed).toString("hex")}`;
    const args = [script, "127.0.0.1", String(miner.axon.port), miner.axon.hotkey, key];
    const child = spawn(python!, [...args, "--transport", options.transport ?? "dendrite"], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    child.stdin.end(JSON.stringify(prompts));
    const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
    const lines = out.split("\n").filter((line) => line.startsWith("{"));
    assert.equal(lines.length, prompts.length, errors.slice(-2000));
    return lines.map((line) => JSON.parse(line) as SdkVerdict);
  }

  const prompt = (overrides: object = {}): object => ({
    asset: "BTC",
    start_time: new Date(Date.now() + 60_000).toISOString(),
    time_increment: 60,
    time_length: 3600,
    num_simulations: 10,
    ...overrides,
  });

  for (const transport of ["dendrite", "httpx"] as const) {
    it(`accepts all assets and both horizons through ${transport}`, async () => {
      const prompts = ASSET_SYMBOLS.flatMap((asset) => [
        prompt({ asset, num_simulations: asset === "BTC" ? 1000 : 100 }),
        prompt({ asset, time_increment: 300, time_length: 86_400, num_simulations: asset === "ETH" ? 1000 : 1 }),
      ]);
      for (const [index, answer] of (await ask(prompts, { transport })).entries()) {
        const found = [answer.status, answer.verdict, answer.signed];
        assert.deepEqual(found, [200, "CORRECT", true], `${JSON.stringify(prompts[index])}: ${answer.message}`);
      }
    });
  }

  it("reads every form of start_time as Python does", async () => {
    const forms = [
      "2026-10-01T12:05:00Z",
      "2026-10-01T12:05:00+00:00",
      "2026-10-01T12:05:00+05:30",
      "2026-10-01T12:05:00-11:00",
      "2026-10-01T12:05:00",
      "2026-10-01T12:05:00.5+00:00",
      "2026-10-01T12:05:00.123456",
      "2026-10-01T12:05:00.999999+00:00",
      "2026-10-01 12:05:00+00:00",
    ];
    const answers = await ask(forms.map((start_time) => prompt({ start_time })));
    assert.deepEqual(
      answers.map(({ verdict }) => verdict),
      forms.map(() => "CORRECT"),
    );
  });

  it("is told why when it asks nonsense or is not registered", async () => {
    const [unknown, grid] = await ask([prompt({ asset: "DOGE" }), prompt({ time_length: 61 })]);
    assert.equal(unknown?.status, 400);
    assert.match(unknown.message, /BTC/);
    assert.equal(grid?.status, 400);
    const [stranger] = await ask([prompt()], { key: "//Stranger" });
    assert.equal(stranger?.status, 403);
    assert.match(stranger.message, /Unrecognized hotkey/);
  });
});
