import { writeFile } from "node:fs/promises";
import { z } from "zod";
import { parseJsonBody } from "../axon/request-body.ts";
import { publicKeyOf } from "../bittensor/ss58.ts";
import { parseSynapseHeaders } from "../bittensor/synapse-headers.ts";
import { marketClock } from "../config/clock.ts";
import { PACKAGE_ROOT } from "../config/load.ts";
import { openEngines } from "../engines/load.ts";
import { openRecalibration } from "../store/recalibration-store.ts";
import { describeError, EXIT, OperationalError, problemsOf, UsageError } from "../errors.ts";
import { rehearse } from "../evaluation/raw-replay.ts";
import type { RawRequest } from "../evaluation/raw-request.ts";
import { readmit } from "../evaluation/readmission.ts";
import {
  describeDamage,
  describeReadmission,
  describeRehearsal,
  describeReplay,
  responseJson,
} from "../evaluation/replay-report.ts";
import { findReplaySource, type ReplaySource } from "../evaluation/replay-source.ts";
import { replayRecording } from "../evaluation/replay.ts";
import { sendAfresh } from "../evaluation/send.ts";
import type { Recording } from "../store/recording-format.ts";
import { readSoftwareIdentity } from "../store/recording-identity.ts";
import { VolatilityReader, VolatilityStore } from "../store/volatility-store.ts";
import { INPUT_FIELD, parseSimulation } from "../subnets/synth/simulation.ts";
import { parseStartTime } from "../subnets/synth/start-time.ts";
import { CORRECT } from "../subnets/synth/validate-answer.ts";
import { hotkey, millisToSeconds, type Hotkey, type UnixMillis, unixMillis } from "../units.ts";
import { loadHotkey, loadKeyfile } from "../wallet/keyfile.ts";
import type { Keypair } from "../wallet/keypair.ts";
import { defineCommand, type CommandContext } from "./command.ts";

const options = z.object({
  id: z.string().min(1).optional().describe("of a segment file, only the recording whose id begins so"),
  receiver: z
    .string()
    .optional()
    .describe("hotkey that the signature names; default: the recorded one or the headers'"),
  out: z.string().min(1).optional().describe("write the response JSON to this file"),
  send: z.string().optional().describe("sign afresh and post to the axon at this URL"),
  start: z.string().optional().describe("with --send: a new start time, now+60 (seconds) or an ISO instant"),
  keyFile: z.string().min(1).optional().describe("with --send: hotkey file to sign with, instead of the wallet's"),
});

type Context = CommandContext<z.infer<typeof options>>;

export const replayCommand = defineCommand({
  name: "replay",
  summary: "run a recorded or raw request again, or send it afresh",
  usage:
    "replay <recording id | last | segment file | raw request file> [--send URL] [settings]\n" +
    "  A raw request is HTTP text (request line, headers, blank line, body) or JSON {method, path, headers, body}.",
  options,
  positionals: ["recording?"],
  sections: ["stateDir", "wallet", "engines", "clock", "logging"],
  check: (asked) => problemsOf(() => checkOptions(asked, unixMillis(0))),
  async run(context) {
    const asked = checkOptions(context, marketClock(context.config.clock).nowMs());
    const source = await findReplaySource(asked.argument, {
      stateDir: context.config.stateDir,
      id: context.options.id,
    });
    if (asked.url !== null) return send(context, source, asked.url);
    return source.kind === "raw" ? replayRaw(context, source) : replayAll(context, source);
  },
});

/** Throws UsageError with every problem. */
function checkOptions(
  { options: asked, positionals }: Pick<Context, "options" | "positionals">,
  nowMs: UnixMillis,
): { argument: string; url: URL | null } {
  const problems: string[] = [];
  const argument = positionals[0] ?? (asked.send === undefined ? "" : "last");
  if (argument === "") problems.push("recording: expected an id, `last`, a segment file or a raw request file");
  if (asked.send !== undefined && parseUrl(asked.send) === null) {
    problems.push(`--send: expected the http(s) URL of an axon, found "${asked.send}"`);
  }
  if (asked.start !== undefined && startTimeOf(asked.start, nowMs) === null) {
    problems.push(`--start: expected now+60 or an instant such as 2026-10-01T12:05:00Z, found "${asked.start}"`);
  }
  if (asked.send === undefined && asked.start !== undefined) problems.push("--start: only with --send");
  if (asked.send === undefined && asked.keyFile !== undefined) problems.push("--key-file: only with --send");
  if (asked.receiver !== undefined && publicKeyOf(asked.receiver) === undefined) {
    problems.push(`--receiver: expected a hotkey (ss58 address), found "${asked.receiver}"`);
  }
  if (problems.length > 0) throw new UsageError(problems);
  return { argument, url: asked.send === undefined ? null : parseUrl(asked.send) };
}

function parseUrl(text: string): URL | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  return url.protocol === "http:" || url.protocol === "https:" ? url : null;
}

/** `now+60` by the market clock, in whole seconds; any other instant as it stands. */
function startTimeOf(text: string, nowMs: UnixMillis): string | null {
  const ahead = /^now(?:\+(\d{1,8}))?$/.exec(text);
  if (ahead === null) return parseStartTime(text) === null ? null : text;
  const seconds = millisToSeconds(nowMs) + Number(ahead[1] ?? 0);
  return new Date(seconds * 1000).toISOString().replace(".000Z", "+00:00");
}

async function replayAll(
  { config, options: asked, print }: Context,
  source: Extract<ReplaySource, { kind: "recordings" }>,
): Promise<number> {
  if (asked.out !== undefined && source.recordings.length !== 1) {
    throw new UsageError([`--out: expected one recording, found ${source.recordings.length}; choose one with --id`]);
  }
  const store = new VolatilityStore(config.stateDir);
  const replayOptions = {
    identity: await readSoftwareIdentity(PACKAGE_ROOT),
    engines: openEngines(config, print, openRecalibration(config.stateDir, marketClock(config.clock))),
    limits: config.axon,
    loadState: store.load.bind(store),
  };
  let allIdentical = source.damage.length === 0;
  for (const damage of source.damage) print(describeDamage(damage));
  for (const recording of source.recordings) {
    const report = await replayRecording(recording, replayOptions);
    print(describeReplay(report));
    allIdentical &&= report.outcome === "identical";
    const { output, readmission } = report;
    if (asked.out === undefined) continue;
    if (output === null)
      throw new OperationalError("replay/no_answer", `--out: ${recording.id} has no answer to write`);
    const { receiver } = recording.exchange;
    await writeResponse(asked.out, responseJson(readmission, { receiver, fields: readmission.fields, output }));
  }
  return allIdentical ? EXIT.OK : EXIT.FAILURE;
}

async function replayRaw(
  { config, options: asked, print }: Context,
  { request }: Extract<ReplaySource, { kind: "raw" }>,
): Promise<number> {
  const receiver = receiverOf(request, asked.receiver);
  const readmission = await readmit(request, { receiver, receivedAtMs: null, limits: config.axon });
  print(`${describeReadmission(readmission)}\nnot checked: the nonce's age, the sender's registration and stake`);
  const fields = bodyFields(request);
  // Only the input decides about an answer: it is shown also where the axon would refuse.
  const parsed = parseSimulation(fields[INPUT_FIELD], receiver);
  if (!parsed.ok) {
    if (!Object.hasOwn(fields, INPUT_FIELD) && readmission.ok) return EXIT.OK;
    print(`answer: none, ${parsed.message}`);
    return EXIT.FAILURE;
  }
  const clock = marketClock(config.clock);
  const { maxStateAgeSeconds } = config.engines;
  const reader = new VolatilityReader(new VolatilityStore(config.stateDir), { maxStateAgeSeconds, clock });
  const rehearsal = await rehearse(parsed.request, {
    snapshot: reader.snapshot(parsed.request.asset, millisToSeconds(clock.nowMs())),
    engines: openEngines(config, print, openRecalibration(config.stateDir, clock)),
    clock,
  });
  print(describeRehearsal(rehearsal));
  if (asked.out !== undefined) {
    await writeResponse(asked.out, responseJson(readmission, { receiver, fields, output: rehearsal.output }));
  }
  return readmission.ok && rehearsal.verdict === CORRECT ? EXIT.OK : EXIT.FAILURE;
}

async function send(context: Context, source: ReplaySource, url: URL): Promise<number> {
  const { options: asked, config, print, signal } = context;
  const request = source.kind === "raw" ? source.request : onlyRecording(source).exchange;
  const parsedHeaders = parseSynapseHeaders(request.headers);
  if (!parsedHeaders.ok) {
    throw new OperationalError("replay/bad_headers", `The request's headers are not usable: ${parsedHeaders.message}`);
  }
  const keypair = await signingKey(context);
  const recorded = source.kind === "raw" ? undefined : onlyRecording(source).exchange.receiver;
  const report = await sendAfresh({
    url,
    keypair,
    receiver: receiverOf(request, asked.receiver ?? recorded),
    synapse: request.path.split("?", 1)[0]!.slice(1),
    fields: bodyFields(request),
    timeoutSeconds: Math.min(parsedHeaders.value.timeoutSeconds, config.axon.maxTimeoutSeconds),
    startTime: asked.start === undefined ? null : startTimeOf(asked.start, marketClock(config.clock).nowMs()),
    signal,
  });
  print(`signed by ${keypair.address}, sent to ${url.href}`);
  print(`${report.verdict}, status ${report.status}, ${report.seconds.toFixed(3)} s, ${report.bytes} bytes`);
  if (asked.out !== undefined) await writeResponse(asked.out, report.body);
  return report.verdict === CORRECT ? EXIT.OK : EXIT.FAILURE;
}

function onlyRecording(source: Extract<ReplaySource, { kind: "recordings" }>): Recording {
  const [recording] = source.recordings;
  if (recording !== undefined && source.recordings.length === 1) return recording;
  throw new UsageError([`--send: expected one recording, found ${source.recordings.length}; choose one with --id`]);
}

function signingKey({ options: asked, config, logger, signal }: Context): Promise<Keypair> {
  const sources = { logger, signal };
  return asked.keyFile === undefined ? loadHotkey(config.wallet, sources) : loadKeyfile(asked.keyFile, sources);
}

/** The hotkey that was told, else the one that the request names. Its value is checked: it becomes part of a seed. */
function receiverOf(request: RawRequest, told: string | undefined): Hotkey {
  const named = told ?? request.headers["bt_header_axon_hotkey"] ?? request.headers["x-bittensor-receiver"];
  if (named !== undefined && publicKeyOf(named) !== undefined) return hotkey(named);
  const found = named === undefined ? "none" : `"${named.slice(0, 64)}"`;
  throw new UsageError([`--receiver: expected a hotkey here or in the request's headers, found ${found}`]);
}

/** Empty where the body is not a JSON object; what follows from that is said by whoever reads the fields. */
function bodyFields(request: RawRequest): Readonly<Record<string, unknown>> {
  const body = parseJsonBody(request.body);
  return body.ok ? body.value : {};
}

async function writeResponse(path: string, json: Uint8Array | string): Promise<void> {
  try {
    await writeFile(path, json);
  } catch (error) {
    throw new OperationalError("replay/unwritable", `Cannot write --out: ${describeError(error)}`);
  }
}
