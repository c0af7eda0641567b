import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Command } from "../../../src/commands/command.ts";
import { replayCommand } from "../../../src/commands/replay.ts";
import { loadConfig } from "../../../src/config/load.ts";
import type { EwmaInput } from "../../../src/engines/ewma/ewma.ts";
import { replayRecording, type ReplayReport } from "../../../src/evaluation/replay.ts";
import { summarise } from "../../../src/evaluation/recording-summary.ts";
import { silentLogger } from "../../../src/log.ts";
import type { Recording } from "../../../src/store/recording-format.ts";
import { readRecordings } from "../../../src/store/recording-reader.ts";
import { VolatilityStore } from "../../../src/store/volatility-store.ts";
import type { SimulationEvidence } from "../../../src/subnets/synth/evidence.ts";
import { writeCalibration } from "../../support/ewma-calibration.ts";
import { EWMA_VERSION_1_INPUT } from "../../support/recorded-exchange.ts";
import {
  axonKey,
  configFor,
  engineFlags,
  enginesOf,
  post,
  signedPrompt,
  startRecordedAxon,
  type RecordedAxon,
} from "../../support/recorded-axon.ts";

let stateDir: string;
let server: RecordedAxon;
let recording: Recording;

/** The axon starts with a calibration file that is cut short. */
before(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "fallbacks-"));
  await writeFile(join(stateDir, "calibration.json"), '{"schema": 1, ');
  server = await startRecordedAxon(stateDir);
  const response = await post(server.url, signedPrompt());
  assert.equal(response.status, 200);
  await response.arrayBuffer();
  await server.log.flush();
  for await (const entry of readRecordings(join(stateDir, "recordings", axonKey.address))) {
    if (entry.kind === "recording") ({ recording } = entry);
  }
});

after(async () => {
  await server.close();
  await rm(stateDir, { recursive: true });
});

function replay(from: Recording, onProblem: (problem: string) => void = () => undefined): Promise<ReplayReport> {
  const store = new VolatilityStore(stateDir);
  return replayRecording(from, {
    identity: recording.identity,
    engines: enginesOf(stateDir, onProblem),
    limits: configFor(stateDir).axon,
    loadState: (asset) => store.load(asset),
  });
}

async function run(command: Command, ...args: string[]): Promise<{ code: number; out: string }> {
  const { options, positionals } = command;
  const lines: string[] = [];
  const loaded = loadConfig({
    ...{ args: [...engineFlags(stateDir), ...args], env: {}, cwd: stateDir, options, positionals, configFiles: [] },
  });
  const signal = new AbortController().signal;
  const code = await command.run({ ...loaded, logger: silentLogger, signal, print: (text) => lines.push(text) });
  return { code, out: lines.join("\n") };
}

function evidenceOf({ exchange }: Recording): SimulationEvidence {
  return exchange.evidence as SimulationEvidence;
}

describe("an axon without a calibration that can be read", () => {
  it("says so, answers with the plain EWMA, and records that it did", () => {
    assert.equal(server.problems.length, 1);
    assert.match(server.problems[0]!, /calibration\.json: expected what `calibrate` writes.*; the plain EWMA answers/);
    const evidence = evidenceOf(recording);
    assert.equal(evidence.engine, "ewma");
    const input = evidence.task.inputs[0] as EwmaInput;
    assert.deepEqual(
      input.fallbacks.map(({ code }) => code),
      ["calibration/missing", "recalibration/none"],
    );
    assert.deepEqual([input.calibration, input.model.varianceRatios], ["plain", []]);
  });

  it("is replayed to the same bytes, by a replay that names the file too", async () => {
    const problems: string[] = [];
    const report = await replay(recording, (problem) => problems.push(problem));
    assert.deepEqual([report.outcome, report.differences, report.notes], ["identical", [], []]);
    assert.deepEqual(problems, server.problems);
    const { code, out } = await run(replayCommand, "last");
    assert.equal(code, 0);
    assert.ok(out.startsWith(server.problems[0]!), out);
    assert.match(out, /identical/);
  });

  it("is replayed to the same bytes once the file is mended, with a note of what would differ today", async () => {
    await writeCalibration(stateDir);
    const report = await replay(recording, unexpected);
    assert.equal(report.outcome, "identical");
    assert.deepEqual(
      report.notes.map((note) => note.split(":")[0]),
      ["inputs.ewma.model", "inputs.ewma.calibration", "inputs.ewma.fallbacks"],
    );
  });
});

describe("a recording of version 1 of the EWMA engine", () => {
  const old = (input: object = EWMA_VERSION_1_INPUT): Recording => {
    const evidence = evidenceOf(recording);
    const task = { ...evidence.task, inputs: [input, ...evidence.task.inputs.slice(1)] };
    return { ...recording, exchange: { ...recording.exchange, evidence: { ...evidence, task, engineVersion: 1 } } };
  };

  it("cannot be reproduced, which is said by name, and is no damage", async () => {
    const report = await replay(old());
    assert.deepEqual([report.outcome, report.differences, report.output], ["irreproducible", [], null]);
    assert.equal(report.summary, "recorded by version 1 of the engine ewma, which this build no longer simulates");
  });

  it("is different where the request earns something else today, and unreadable where its input is none", async () => {
    const moved = old();
    const report = await replay({ ...moved, exchange: { ...moved.exchange, path: "/Other" } });
    assert.equal(report.outcome, "different");
    const damaged = await replay(old({ ...EWMA_VERSION_1_INPUT, nu: "six" }));
    assert.match(damaged.differences[0]!.replayed, /unreadable: task\.inputs\.0\.model/);
  });

  it("is listed as any other", () => {
    const { asset, engine, status, anchorSource } = summarise(old());
    assert.deepEqual(
      { asset, engine, status, anchorSource },
      { asset: "BTC", engine: "ewma", status: 200, anchorSource: "last_close" },
    );
  });
});

function unexpected(problem: string): void {
  assert.fail(problem);
}
