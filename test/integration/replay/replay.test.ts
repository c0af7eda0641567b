import assert from "node:assert/strict";
import { readFile, readdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { inspectCommand } from "../../../src/commands/inspect.ts";
import type { Command } from "../../../src/commands/command.ts";
import { replayCommand } from "../../../src/commands/replay.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { anchorPriceOf, withAnchorPrice } from "../../../src/engines/task.ts";
import { OperationalError, UsageError } from "../../../src/errors.ts";
import { replayRecording, type ReplayReport } from "../../../src/evaluation/replay.ts";
import { silentLogger } from "../../../src/log.ts";
import type { Recording } from "../../../src/store/recording-format.ts";
import { readSoftwareIdentity } from "../../../src/store/recording-identity.ts";
import { readRecordings } from "../../../src/store/recording-reader.ts";
import { VolatilityStore } from "../../../src/store/volatility-store.ts";
import type { SimulationEvidence } from "../../../src/subnets/synth/evidence.ts";
import { hotkey } from "../../../src/units.ts";
import { writeHotkeyFile } from "../../../src/wallet/keyfile.ts";
import {
  axonKey,
  configFor,
  engineFlags,
  enginesOf,
  post,
  REPOSITORY,
  signedPrompt,
  startRecordedAxon,
  validatorKey,
  type RecordedAxon,
} from "../../support/recorded-axon.ts";
import { EWMA_VERSION_1_INPUT } from "../../support/recorded-exchange.ts";
import { writeCalibration } from "../../support/ewma-calibration.ts";

let stateDir: string;
let server: RecordedAxon;
let folder: string;
/** In order: an answer at one hour, a refused asset, an answer at 24 hours without a state. */
let recordings: Recording[];

before(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "replay-"));
  folder = join(stateDir, "recordings", axonKey.address);
  await writeCalibration(stateDir);
  server = await startRecordedAxon(stateDir);
  const prompts = [
    signedPrompt(),
    signedPrompt({ asset: "DOGE" }),
    signedPrompt({ asset: "ETH", time_increment: 300, time_length: 86_400 }),
  ];
  for (const prompt of prompts) await (await post(server.url, prompt)).arrayBuffer();
  await server.log.flush();
  recordings = await readAll();
});

after(async () => {
  await server.close();
  await rm(stateDir, { recursive: true });
});

async function readAll(): Promise<Recording[]> {
  const found: Recording[] = [];
  for await (const entry of readRecordings(folder)) if (entry.kind === "recording") found.push(entry.recording);
  return found;
}

async function run(command: Command, ...args: string[]): Promise<{ code: number; out: string }> {
  const lines: string[] = [];
  const loaded = loadConfig({
    args: [...engineFlags(stateDir), ...args],
    env: {},
    cwd: stateDir,
    options: command.options,
    positionals: command.positionals,
    configFiles: [],
  });
  const signal = new AbortController().signal;
  const print = (text: string): number => lines.push(text);
  const code = await command.run({ ...loaded, logger: silentLogger, signal, print });
  return { code, out: lines.join("\n") };
}

async function replay(recording: Recording): Promise<ReplayReport> {
  const config = configFor(stateDir);
  const store = new VolatilityStore(stateDir);
  return replayRecording(recording, {
    identity: await readSoftwareIdentity(REPOSITORY),
    engines: enginesOf(stateDir, unexpected),
    limits: config.axon,
    loadState: (asset) => store.load(asset),
  });
}

/** The first recording with its exchange or evidence changed. */
function mutated(change: {
  exchange?: Partial<Recording["exchange"]>;
  evidence?: Partial<SimulationEvidence>;
}): Recording {
  const original = recordings[0]!;
  const evidence = { ...(original.exchange.evidence as SimulationEvidence), ...change.evidence };
  return { ...original, exchange: { ...original.exchange, ...change.exchange, evidence } };
}

function named(report: ReplayReport): string[] {
  return report.differences.map((difference) => difference.what);
}

describe("replay of a recording", () => {
  it("reproduces the bytes of an EWMA answer, with the state and without", async () => {
    const report = await replay(recordings[0]!);
    assert.deepEqual(report.differences, []);
    assert.deepEqual(report.notes, []);
    assert.equal(report.outcome, "identical");
    assert.equal((recordings[0]!.exchange.evidence as SimulationEvidence).engine, "ewma");
    const elsewhere = await replayRecording(recordings[0]!, {
      identity: recordings[0]!.identity,
      engines: enginesOf(stateDir, unexpected),
      limits: { maxTimeoutSeconds: 300, nonceFutureSeconds: 60 },
      loadState: () => ({ status: "missing" }),
    });
    assert.equal(elsewhere.outcome, "identical");
    assert.match(elsewhere.notes.join(), /inputs\.ewma: not derived again/);
  });

  it("reproduces a refusal and the last resort's answer", async () => {
    assert.equal(recordings[1]!.exchange.status, 400);
    assert.equal((await replay(recordings[1]!)).outcome, "identical");
    assert.equal((recordings[2]!.exchange.evidence as SimulationEvidence).engine, "baseline");
    assert.equal((await replay(recordings[2]!)).outcome, "identical");
  });

  it("says that a refusal of the moment cannot be reproduced", async () => {
    const busy = await replay(mutated({ exchange: { status: 503, message: "Too many requests are waiting" } }));
    assert.equal(busy.outcome, "irreproducible");
  });

  it("names the admission step that differs", async () => {
    const { headers, body, receivedAtMs } = recordings[0]!.exchange;
    const cases: [string, Partial<Recording["exchange"]>][] = [
      ["signature", { headers: { ...headers, bt_header_dendrite_signature: `0x${"01".repeat(64)}` } }],
      ["signature", { headers: { ...headers, bt_header_dendrite_uuid: "another" } }],
      ["sender, receiver and nonce", { receivedAtMs: (receivedAtMs + 60_000) as typeof receivedAtMs }],
      ["sender, receiver and nonce", { receiver: hotkey(validatorKey.address) }],
      ["headers", { headers: { ...headers, timeout: "soon" } }],
      ["body", { body: body.subarray(0, 40) }],
      ["route", { path: "/Other" }],
      ["simulation input", { body: Buffer.from('{"simulation_input":{}}') }],
    ];
    for (const [step, exchange] of cases) {
      const report = await replay(mutated({ exchange }));
      assert.ok(named(report).includes(`admission at ${step}`), `${step}: ${named(report).join()}`);
      assert.equal(report.outcome, "different");
    }
  });

  it("names changed request fields, inputs, paths, bytes, engine version and software", async () => {
    const { body } = recordings[0]!.exchange;
    const text = Buffer.from(body).toString().replace('"num_simulations":20', '"num_simulations":21');
    const request = named(await replay(mutated({ exchange: { body: Buffer.from(text) } })));
    assert.deepEqual(request, ["request.numSimulations", "request.seed"]);

    const evidence = recordings[0]!.exchange.evidence as SimulationEvidence;
    const inputs = evidence.task.inputs.map((input) => withAnchorPrice(input, anchorPriceOf(input) * 1.01));
    const moved = await replay(mutated({ evidence: { task: { ...evidence.task, inputs }, engineVersion: 99 } }));
    const expected = ["inputs.ewma.anchorPrice", "paths", "sha256 of simulation_output", "bytes", "engine version"];
    assert.deepEqual(
      expected.filter((what) => !named(moved).includes(what)),
      [],
    );
    const paths = moved.differences.find(({ what }) => what === "paths")!;
    assert.match(paths.replayed, /^20, 20 differ, the first is path 0: checksum [0-9a-f]{8}, prices 1010(00|20\.2), /);

    const calmer = evidence.task.inputs.map((input) =>
      input.engine === "ewma" ? { ...input, model: { ...input.model, nu: 4 } } : input,
    );
    const derived = await replay(mutated({ evidence: { task: { ...evidence.task, inputs: calmer } } }));
    assert.ok(named(derived).includes("inputs.ewma.model"));

    const checksums = evidence.pathChecksums.map((crc, index) => (index === 7 ? crc ^ 1 : crc) >>> 0);
    const onePath = await replay(mutated({ evidence: { pathChecksums: checksums } }));
    assert.deepEqual(named(onePath), ["paths"]);
    assert.match(onePath.differences[0]!.replayed, /^20, 1 differ, the first is path 7:/);

    const older = { ...recordings[0]!, identity: { ...recordings[0]!.identity, nodeVersion: "v20.0.0" } };
    assert.match((await replay(older)).notes.join(), /Node version: recorded "v20.0.0"/);
    assert.equal((await replay(older)).outcome, "identical");
    const digest = { ...older, exchange: { ...older.exchange, fieldDigests: { simulation_output: "00" } } };
    assert.ok(named(await replay(digest)).includes("Node version"));
  });

  it("replays from the engine that answered where an earlier one failed on the day", async () => {
    const last = recordings[2]!;
    const evidence = last.exchange.evidence as SimulationEvidence;
    const ewma = (recordings[0]!.exchange.evidence as SimulationEvidence).task.inputs[0]!;
    const inputs = [ewma, ...evidence.task.inputs];
    const changed = { ...evidence, task: { ...evidence.task, inputs } };
    const report = await replay({ ...last, exchange: { ...last.exchange, evidence: changed } });
    assert.deepEqual(named(report), ["inputs.ewma.anchorPrice"]);
  });

  it("replays the last resort's answer also where an engine that is gone had failed before it", async () => {
    const last = recordings[2]!;
    const evidence = last.exchange.evidence as SimulationEvidence;
    const inputs = [EWMA_VERSION_1_INPUT, ...evidence.task.inputs];
    const changed = { ...evidence, task: { ...evidence.task, inputs } };
    assert.equal((await replay({ ...last, exchange: { ...last.exchange, evidence: changed } })).outcome, "identical");
  });

  it("reports unreadable evidence instead of failing", async () => {
    const report = await replay({ ...recordings[0]!, exchange: { ...recordings[0]!.exchange, evidence: { a: 1 } } });
    assert.deepEqual(named(report), ["evidence"]);
  });

  it("holds nothing of our secret key", async () => {
    const { secretKey } = axonKey.revealSecret();
    for (const name of await readdir(folder)) {
      const bytes = await readFile(join(folder, name));
      assert.equal(bytes.indexOf(secretKey.subarray(0, 32)), -1);
      assert.equal(bytes.indexOf(Buffer.from(secretKey.subarray(0, 32)).toString("hex")), -1);
    }
  });
});

describe("replay command", () => {
  it("takes last, ids, prefixes and segment files", async () => {
    const [first, refused, last] = recordings.map((recording) => recording.id);
    assert.match(
      (await run(replayCommand, "last")).out,
      new RegExp(`^${last} identical: \\d+ bytes, sha256 [0-9a-f]{64}`),
    );
    assert.equal((await run(replayCommand, first!)).code, 0);
    assert.match((await run(replayCommand, refused!)).out, /identical: status 400/);
    const segment = join(folder, (await readdir(folder))[0]!);
    const all = await run(replayCommand, segment);
    assert.equal(all.code, 0);
    assert.equal(all.out.match(/identical/g)?.length, 3);
    assert.equal((await run(replayCommand, segment, "--id", first!)).out.match(/identical/g)?.length, 1);
    await assert.rejects(run(replayCommand, first!.slice(0, 8)), UsageError);
    for (const nothing of ["20200101", "no-such-file", "/no/such/file"]) {
      await assert.rejects(run(replayCommand, nothing), hasCode("replay/not_found"));
    }
  });

  it("writes the response", async () => {
    const out = join(stateDir, "response.json");
    await run(replayCommand, recordings[0]!.id, "--out", out);
    const response = JSON.parse(await readFile(out, "utf8")) as Record<string, unknown[]>;
    assert.equal(response["simulation_output"]!.length, 22);
    assert.deepEqual(Object.keys(response["simulation_input"]!).length, 5);
  });

  it("reports a damaged segment file and replays the rest", async () => {
    const segment = join(folder, (await readdir(folder))[0]!);
    const copy = join(stateDir, "2026-10-01-0001.log");
    await writeFile(copy, await readFile(segment));
    await truncate(copy, (await readFile(segment)).length - 1);
    const { code, out } = await run(replayCommand, copy);
    assert.equal(code, 1);
    assert.match(out, /^damaged: .*\(torn_tail\)/);
    assert.equal(out.match(/identical/g)?.length, 2);
  });

  it("answers a raw request from the state, as HTTP text and as JSON", async () => {
    const { method, path, headers, body } = signedPrompt();
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    const answers: string[] = [];
    for (const [name, text] of [
      ["crlf", [`${method} ${path} HTTP/1.1`, ...lines, "", body].join("\r\n")],
      ["lf", [`${method} ${path} HTTP/1.1`, ...lines, "", body, ""].join("\n")],
      ["json", JSON.stringify({ method, path, headers, body })],
      ["object", JSON.stringify({ method, path, headers, body: JSON.parse(body) as unknown })],
    ] as const) {
      const file = join(stateDir, `raw.${name}`);
      await writeFile(file, text);
      const { code, out } = await run(replayCommand, file);
      assert.equal(code, 0, out);
      assert.match(out, /admission: passed, signed by 5/);
      assert.match(out, /engine: ewma/);
      assert.match(out, /verdict: CORRECT/);
      answers.push(/sha256 [0-9a-f]{64}/.exec(out)![0]);
      const wrong = await run(replayCommand, file, "--receiver", validatorKey.address);
      assert.equal(wrong.code, 1);
      assert.match(wrong.out, /refused at sender, receiver and nonce: 401/);
    }
    // The state and the seed are the live ones: so are the bytes.
    const live = recordings[0]!.exchange.fieldDigests["simulation_output"]!;
    assert.deepEqual(
      answers,
      answers.map(() => `sha256 ${live}`),
    );
  });

  it("refuses what is no request with a sentence", async () => {
    const file = join(stateDir, "garbage");
    for (const text of ["", "{", "hello", "POST /Simulation HTTP/1.1\r\nbroken header\r\n\r\n", "\0\x01"]) {
      await writeFile(file, text);
      await assert.rejects(run(replayCommand, file), hasCode("replay/bad_request_file"));
    }
    await writeFile(file, "POST /Simulation HTTP/1.1\r\n\r\n{}");
    await assert.rejects(run(replayCommand, file), UsageError);
    const answer = await run(replayCommand, file, "--receiver", axonKey.address);
    assert.equal(answer.code, 1);
    assert.match(answer.out, /refused at .*: 403 Forbidden. Key is blacklisted: Missing dendrite or hotkey/);
    await assert.rejects(run(replayCommand), UsageError);
    await assert.rejects(run(replayCommand, "last", "--send", "axon:8091"), UsageError);
    await assert.rejects(run(replayCommand, "last", "--start", "now+60"), UsageError);
    await assert.rejects(run(replayCommand, "last", "--receiver", "5nonsense"), UsageError);
  });

  it("signs afresh and sends to a running axon", async () => {
    const wallet = { path: join(stateDir, "wallets"), name: "w", hotkey: "h" };
    const keyFile = await writeHotkeyFile(wallet, new Uint8Array(32).fill(7));
    const sent = await run(replayCommand, recordings[0]!.id, "--send", server.url, "--key-file", keyFile);
    assert.equal(sent.code, 0, sent.out);
    assert.match(sent.out, /CORRECT, status 200, \d+\.\d{3} s, \d+ bytes/);
    const walletFlags = ["--wallet.path", wallet.path, "--wallet.name", "w", "--wallet.hotkey", "h"];
    const later = await run(
      replayCommand,
      recordings[0]!.id,
      "--send",
      server.url,
      "--start",
      "now+60",
      ...walletFlags,
    );
    assert.equal(later.code, 0, later.out);
    const refused = await run(replayCommand, recordings[1]!.id, "--send", server.url, ...walletFlags);
    assert.equal(refused.code, 1);
    assert.match(refused.out, /^HTTP 400: simulation_input.asset/m);
    const stranger = ["--receiver", validatorKey.address];
    const wrong = await run(replayCommand, "--send", server.url, recordings[0]!.id, ...stranger, ...walletFlags);
    assert.equal(wrong.code, 1);
    assert.match(wrong.out, /^HTTP 401: Not Verified/m);
    await assert.rejects(
      run(replayCommand, recordings[0]!.id, "--send", "http://127.0.0.1:1", ...walletFlags),
      hasCode("send/failed"),
    );
    await assert.rejects(
      run(replayCommand, "last", "--send", server.url, "--key-file", "/none"),
      hasCode("WALLET_MISSING"),
    );
  });
});

describe("inspect command", () => {
  it("lists recordings, state and the updater's heartbeat", async () => {
    const { code, out } = await run(inspectCommand, "--limit", "1000");
    assert.equal(code, 0);
    for (const { id } of recordings) assert.ok(out.includes(id));
    assert.match(out, /BTC .*1 h .*ewma .*200 .*last_close/);
    assert.match(out, /BTC .*ok .*binance/);
    assert.match(out, /ETH .*missing/);
    assert.match(out, /heartbeat .* is missing/);
  });

  it("prints JSON lines and keeps to limit and asset", async () => {
    const { out } = await run(inspectCommand, "recordings", "--json", "--asset", "ETH", "--limit", "1");
    const lines = out.split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(
      lines.map(({ kind, asset, engine }) => [kind, asset, engine]),
      [["recording", "ETH", "baseline"]],
    );
    const state = await run(inspectCommand, "state", "--json", "--asset", "BTC");
    const row = JSON.parse(state.out) as Record<string, unknown>;
    assert.equal(row["status"], "ok");
    // The fixture's per-step variances 2e-7 a minute and 1e-6 per five minutes: sqrt(2e-7 * 60), sqrt(1e-6 * 12).
    assert.ok(Math.abs(Number(row["sigmaPerHourMinute"]) - Math.sqrt(1.2e-5)) < 1e-12);
    assert.ok(Math.abs(Number(row["sigmaPerHourFiveMinute"]) - Math.sqrt(1.2e-5)) < 1e-12);
    // Behind it, on some days, the events whose dates end soon.
    const [status] = (await run(inspectCommand, "status", "--json")).out.split("\n");
    assert.equal((JSON.parse(status!) as { status: string }).status, "missing");
  });

  it("lists damage, works on an empty folder and refuses other words", async () => {
    await writeFile(join(folder, "2020-01-01-0001.log"), "not ours");
    assert.match((await run(inspectCommand, "recordings", "--limit", "1000")).out, /damaged: .*2020-01-01-0001\.log/);
    await rm(join(folder, "2020-01-01-0001.log"));
    assert.equal((await run(inspectCommand, "--state-dir", join(stateDir, "nowhere"))).code, 0);
    await assert.rejects(run(inspectCommand, "everything"), UsageError);
  });
});

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof OperationalError && error.code === code;
}

function unexpected(problem: string): void {
  assert.fail(problem);
}
