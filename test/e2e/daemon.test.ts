import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { btauthHeaders } from "../../src/bittensor/btauth.ts";
import { signedRequest, type SignedRequest } from "../../src/bittensor/dendrite.ts";
import { systemClock } from "../../src/clock.ts";
import { PACKAGE_ROOT } from "../../src/config/load.ts";
import { askAxon, promptCall, type Prompt, type Verdict } from "../../src/demo/validator.ts";
import { recordedEngines } from "../../src/demo/recorded-engines.ts";
import { ASSET_SYMBOLS, type AssetSymbol } from "../../src/market/assets.ts";
import { readUpdaterStatus } from "../../src/store/status-file.ts";
import { VolatilityStore } from "../../src/store/volatility-store.ts";
import { INPUT_FIELD, OUTPUT_FIELD, parseSimulation } from "../../src/subnets/synth/simulation.ts";
import { CORRECT, validateAnswer } from "../../src/subnets/synth/validate-answer.ts";
import { hotkey, millisToNanos } from "../../src/units.ts";
import { createTestMiner, type TestMiner } from "../support/miner.ts";

function dayPrompt(asset: AssetSymbol): Prompt {
  const startTimeSeconds = Math.ceil(Date.now() / 60_000) * 60 + 60;
  return { asset, startTimeSeconds, stepSeconds: 300, horizonSeconds: 86_400, numSimulations: 1000 };
}

function ask(miner: TestMiner, asset: AssetSymbol): Promise<Verdict> {
  const context = { keypair: miner.validator, timeoutSeconds: 30 };
  return askAxon(miner.axon, dayPrompt(asset), context);
}

/** The same prompt by the other scheme, judged by the same rules. */
async function askByBtauth(miner: TestMiner, asset: AssetSymbol): Promise<string> {
  const { fields } = promptCall(miner.axon, dayPrompt(asset), { keypair: miner.validator, timeoutSeconds: 30 });
  const body = JSON.stringify(fields);
  const target = "/Simulation";
  const headers = btauthHeaders(miner.validator, {
    method: "POST",
    target,
    bodySha256: createHash("sha256").update(body).digest("hex"),
    nonce: millisToNanos(systemClock.nowMs()),
    receiver: hotkey(miner.axon.hotkey),
  });
  const response = await fetch(`${miner.axon.url}${target}`, { method: "POST", headers, body });
  const answer = (await response.json()) as Record<string, unknown>;
  const asked = parseSimulation(fields[INPUT_FIELD], hotkey(miner.axon.hotkey));
  assert.ok(asked.ok && response.status === 200, JSON.stringify(answer).slice(0, 200));
  return validateAnswer(answer[OUTPUT_FIELD], asked.request);
}

function signedPing(miner: TestMiner): SignedRequest {
  return signedRequest({
    keypair: miner.validator,
    receiverHotkey: miner.axon.hotkey,
    synapse: "Synapse",
    body: {},
    timeoutSeconds: 30,
    nonce: millisToNanos(systemClock.nowMs()),
    uuid: randomUUID(),
  });
}

async function post(miner: TestMiner, request: SignedRequest): Promise<{ status: number; message: unknown }> {
  const { method, headers, body } = request;
  const response = await fetch(`${miner.axon.url}${request.path}`, { method, headers, body });
  const { message } = (await response.json()) as { message?: unknown };
  return { status: response.status, message };
}

/** Until `condition` holds; the test runner's own timeout ends a wait that never does. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await systemClock.sleep(50);
}

async function listening(miner: TestMiner): Promise<void> {
  await until(() =>
    fetch(`${miner.healthUrl}/healthz`).then(
      ({ status }) => status === 200,
      () => false,
    ),
  );
}

describe("the daemon under stops and starts", { timeout: 120_000 }, () => {
  let miner: TestMiner;
  before(async () => {
    miner = await createTestMiner();
    await miner.start("update").ready;
  });
  after(() => miner.close());

  it("refuses a replay after kill -9 and a restart, and answers a fresh request", async () => {
    const first = miner.start("serve");
    await first.ready;
    const request = signedPing(miner);
    assert.equal((await post(miner, request)).status, 200);
    assert.equal((await post(miner, request)).status, 401, "replayed at once");
    first.kill("SIGKILL");
    await first.exited;
    const second = miner.start("serve");
    await second.ready;
    const replayed = await post(miner, request);
    assert.equal(replayed.status, 401);
    assert.match(String(replayed.message), /^Not Verified with error: /);
    assert.equal((await post(miner, signedPing(miner))).status, 200);
    second.kill("SIGTERM");
    assert.deepEqual(await second.exited, { code: 0, signal: null });
  });

  it("finishes what is in flight at SIGTERM, records it and exits 0", async () => {
    const serve = miner.start("serve");
    await serve.ready;
    const asked = Promise.all(ASSET_SYMBOLS.map((asset) => ask(miner, asset)));
    await until(async () => {
      const health = (await (await fetch(`${miner.healthUrl}/healthz`)).json()) as { axon: { inFlight: number } };
      return health.axon.inFlight > 0;
    });
    serve.kill("SIGTERM");
    const verdicts = await asked;
    const answered = verdicts.filter(({ verdict }) => verdict === CORRECT);
    assert.ok(answered.length > 0, JSON.stringify(verdicts.map(({ verdict }) => verdict)));
    assert.deepEqual(await serve.exited, { code: 0, signal: null });
    const engines = await recordedEngines(path.join(miner.stateDir, "recordings", miner.axon.hotkey));
    for (const { prompt } of answered) {
      assert.match(engines.get(`${prompt.asset}/86400`)!, /^(patchtst|lgbm|ewma)$/, prompt.asset);
    }
  });

  it("answers a btauth/1 prompt by the same engines", async () => {
    const serve = miner.start("serve");
    await serve.ready;
    assert.equal(await askByBtauth(miner, "XAU"), CORRECT);
    serve.kill("SIGTERM");
    await serve.exited;
    const engines = await recordedEngines(path.join(miner.stateDir, "recordings", miner.axon.hotkey));
    assert.match(engines.get("XAU/86400")!, /^(patchtst|lgbm|ewma)$/);
  });

  it("answers while a state file is garbage; the updater reports it, sets it aside and rebuilds", async () => {
    const serve = miner.start("serve");
    await serve.ready;
    const store = new VolatilityStore(miner.stateDir);
    writeFileSync(store.path("ETH"), readFileSync(store.path("ETH")).subarray(0, 1000));
    assert.equal(store.load("ETH").status, "corrupt");
    assert.equal((await ask(miner, "ETH")).verdict, CORRECT);
    const folder = path.dirname(store.path("ETH"));
    const rebuilt = miner.start("update", ["--one-shot", "--state-dir", miner.stateDir]);
    assert.equal((await rebuilt.exited).code, 1, "the running updater holds the lock");
    await miner.stop("update");
    await miner.start("update").ready;
    assert.equal(store.load("ETH").status, "ok");
    assert.ok(
      readdirSync(folder).some((name) => name.startsWith("ETH.msgpack.corrupt-")),
      "set aside",
    );
    assert.match(readFileSync(miner.logFile, "utf8"), /corrupt/i);
    assert.equal((await ask(miner, "ETH")).verdict, CORRECT);
    serve.kill("SIGTERM");
    await serve.exited;
  });

  it("advances every asset and says so in the heartbeat", () => {
    const status = readUpdaterStatus(miner.stateDir);
    assert.ok(status.status === "ok");
    for (const asset of ASSET_SYMBOLS) assert.equal(status.updater.assets[asset]?.outcome === undefined, false, asset);
  });
});

describe("an axon with an empty state folder and no network", { timeout: 60_000 }, () => {
  let miner: TestMiner;
  before(async () => {
    miner = await createTestMiner();
    await miner.market.close();
    miner.start("serve");
    await listening(miner);
  });
  after(() => miner.close());

  it("answers every asset by the baseline, is alive and says why it is not ready", async () => {
    for (const asset of ASSET_SYMBOLS) assert.equal((await ask(miner, asset)).verdict, CORRECT, asset);
    const ready = await fetch(`${miner.healthUrl}/readyz`);
    assert.equal(ready.status, 503);
    const { reasons } = (await ready.json()) as { reasons: string[] };
    assert.ok(
      reasons.some((reason) => reason.startsWith("BTC: no volatility state")),
      reasons.join(),
    );
    const folder = path.join(miner.stateDir, "recordings", miner.axon.hotkey);
    await until(async () => (await recordedEngines(folder)).size === ASSET_SYMBOLS.length);
    assert.deepEqual(new Set((await recordedEngines(folder)).values()), new Set(["baseline"]));
    assert.ok(!existsSync(path.join(miner.stateDir, "volatility")), "the axon never writes volatility");
  });
});

describe("the command line", () => {
  const run = (...args: string[]): { code: number | null; out: string; err: string } => {
    const done = spawnSync(process.execPath, [path.join(PACKAGE_ROOT, "src/main.ts"), ...args], { encoding: "utf8" });
    return { code: done.status, out: done.stdout, err: done.stderr };
  };

  it("exits 2 and lists every problem at once", () => {
    const { code, err } = run("serve", "--axon.prot", "1", "--netuid=x", "--axon.port", "99999");
    assert.equal(code, 2);
    for (const flag of ["--axon.prot", "--netuid", "--axon.port"]) assert.ok(err.includes(`- ${flag}: `), err);
    assert.ok(!err.includes("    at "), "no stack");
  });

  it("explains a missing metagraph, wallet and command", () => {
    assert.match(run("serve", "--metagraph.mode", "file").err, /--metagraph\.file/);
    const { code, err } = run("serve", "--metagraph.mode", "open", "--wallet.path", "/nonexistent");
    assert.equal(code, 2, "pm2 must not try again");
    assert.match(err, /No hotkey file at \/nonexistent/);
    assert.match(run("sreve").err, /unknown command/);
  });

  it("shows help for every command", () => {
    const { out } = run("--help");
    const commands = [...out.matchAll(/^ {2}([a-z-]+) {2,}/gm)].map((match) => match[1]!);
    assert.ok(commands.length >= 6, out);
    for (const command of commands) assert.match(run(command, "--help").out, /Usage: /, command);
  });
});
