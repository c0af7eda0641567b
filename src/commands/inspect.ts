import Table from "cli-table3";
import { z } from "zod";
import { marketClock } from "../config/clock.ts";
import { eventWarnings } from "../engines/load.ts";
import { EXIT, UsageError } from "../errors.ts";
import { summariseRecalibration } from "../evaluation/recalibrate/summary.ts";
import { summarise, type RecordingSummary } from "../evaluation/recording-summary.ts";
import { describeDamage } from "../evaluation/replay-report.ts";
import { summariseState } from "../evaluation/state-summary.ts";
import { ASSET_SYMBOLS } from "../market/assets.ts";
import type { Damage } from "../store/recording-format.ts";
import { listRecordingFolders, readRecordings } from "../store/recording-reader.ts";
import { readUpdaterStatus, updaterStatusPath } from "../store/status-file.ts";
import { VolatilityStore } from "../store/volatility-store.ts";
import { millisToSeconds, SECONDS_PER_HOUR } from "../units.ts";
import { defineCommand, type CommandContext } from "./command.ts";

const SECTIONS = ["recordings", "state", "status", "recalibration"] as const;
const NOTHING = "-";

const options = z.object({
  limit: z.int().positive().max(1_000_000).default(20).describe("newest recordings shown"),
  asset: z.enum(ASSET_SYMBOLS).optional().describe("only this asset"),
  json: z.boolean().default(false).describe("JSON lines instead of tables"),
});

type Context = CommandContext<z.infer<typeof options>>;

export const inspectCommand = defineCommand({
  name: "inspect",
  summary: "list recordings, volatility state, the updater's heartbeat and the recalibration factors",
  usage: "inspect [recordings|state|status|recalibration] [--limit N] [--asset BTC] [--json] [--state-dir DIR]",
  options,
  positionals: ["section?"],
  sections: ["stateDir", "engines", "clock"],
  async run(context) {
    const [section] = context.positionals;
    const wanted = section === undefined ? SECTIONS : SECTIONS.filter((name) => name === section);
    if (wanted.length === 0) {
      throw new UsageError([`"${section ?? ""}": expected ${SECTIONS.join(", ")} or nothing for all`]);
    }
    if (wanted.includes("recordings")) await inspectRecordings(context);
    if (wanted.includes("state")) inspectState(context);
    if (wanted.includes("status")) inspectStatus(context);
    if (wanted.includes("recalibration")) inspectRecalibration(context);
    if (wanted.includes("status")) inspectEvents(context);
    return EXIT.OK;
  },
});

function inspectEvents({ config, options: { json }, print }: Context): void {
  const warnings = eventWarnings(millisToSeconds(marketClock(config.clock).nowMs()));
  for (const warning of warnings) print(json ? JSON.stringify({ kind: "events", warning }) : warning);
}

async function inspectRecordings({ config, options: { limit, asset, json }, print }: Context): Promise<void> {
  const summaries: RecordingSummary[] = [];
  const damages: Damage[] = [];
  for (const folder of await listRecordingFolders(config.stateDir)) {
    let found = 0;
    for await (const entry of readRecordings(folder, { newestFirst: true })) {
      if (entry.kind === "damage") damages.push(entry);
      else {
        const summary = summarise(entry.recording);
        if (asset !== undefined && summary.asset !== asset) continue;
        summaries.push(summary);
        found += 1;
      }
      if (found === limit) break;
    }
  }
  const newest = summaries.sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, limit);
  if (json) {
    for (const summary of newest) print(JSON.stringify({ kind: "recording", ...summary }));
    for (const damage of damages) print(JSON.stringify(damage));
    return;
  }
  print(`Recordings, newest first (${newest.length} shown, --limit ${limit})`);
  if (newest.length > 0) print(recordingTable(newest));
  else print(`  none under ${config.stateDir}/recordings`);
  for (const damage of damages) print(describeDamage(damage));
}

function recordingTable(summaries: readonly RecordingSummary[]): string {
  const head = ["id", "time", "sender", "axon", "asset", "horizon", "engine", "status", "ms", "bytes", "anchor"];
  const rows = summaries.map((summary) => [
    summary.id,
    summary.receivedAt.slice(0, 19).replace("T", " "),
    shorten(summary.sender),
    shorten(summary.receiver),
    summary.asset ?? summary.synapse,
    summary.horizonSeconds === null ? NOTHING : describeSeconds(summary.horizonSeconds),
    summary.engine ?? NOTHING,
    summary.status === 200 ? "200" : `${summary.status} ${summary.message.slice(0, 60)}`,
    String(Math.round(summary.totalMs)),
    String(summary.responseBytes),
    summary.anchorSource ?? NOTHING,
  ]);
  return tableOf(head, rows);
}

function inspectState({ config, options: { asset, json }, print }: Context): void {
  const store = new VolatilityStore(config.stateDir);
  const stateOptions = { maxStateAgeSeconds: config.engines.maxStateAgeSeconds, clock: marketClock(config.clock) };
  const rows = (asset === undefined ? ASSET_SYMBOLS : [asset]).map((name) => summariseState(store, name, stateOptions));
  if (json) {
    for (const row of rows) print(JSON.stringify({ kind: "state", ...row }));
    return;
  }
  const head = ["asset", "status", "source", "newest candle", "age", "σ/h 1m", "σ/h 5m", "candles", "gaps", "bytes"];
  print(`Volatility state in ${config.stateDir}/volatility`);
  const texts = rows.map((row) => [
    row.asset,
    row.reason === null ? row.status : `${row.status}: ${row.reason.slice(0, 60)}`,
    row.source ?? NOTHING,
    row.newestCandleAt ?? NOTHING,
    row.ageSeconds === null ? NOTHING : describeSeconds(row.ageSeconds),
    percentOf(row.sigmaPerHourMinute),
    percentOf(row.sigmaPerHourFiveMinute),
    String(row.candles ?? NOTHING),
    String(row.gaps ?? NOTHING),
    String(row.fileBytes ?? NOTHING),
  ]);
  print(tableOf(head, texts));
}

function inspectStatus({ config, options: { asset, json }, print }: Context): void {
  const loaded = readUpdaterStatus(config.stateDir);
  if (loaded.status !== "ok") {
    const reason = loaded.status === "corrupt" ? loaded.reason : null;
    if (json) print(JSON.stringify({ kind: "updater", status: loaded.status, reason }));
    else
      print(
        `Updater: heartbeat ${updaterStatusPath(config.stateDir)} is ${loaded.status}${reason ? `: ${reason}` : ""}`,
      );
    return;
  }
  const { assets, ...updater } = loaded.updater;
  const rows = ASSET_SYMBOLS.flatMap((name) => {
    const status = asset === undefined || asset === name ? assets[name] : undefined;
    return status === undefined ? [] : [{ asset: name, ...status }];
  });
  if (json) {
    print(JSON.stringify({ kind: "updater", status: "ok", ...updater }));
    for (const row of rows) print(JSON.stringify({ kind: "updater_asset", ...row }));
    return;
  }
  const { pid, running, startedAt, writtenAt, cycles } = updater;
  const state = running ? "running" : "stopped";
  print(`Updater: ${state}, process ${pid}, started ${startedAt}, ${cycles} cycles, heartbeat of ${writtenAt}`);
  const head = [
    "asset",
    "outcome",
    "last advanced",
    "newest candle",
    "source",
    "warm-up",
    "gaps",
    "failures",
    "why not",
  ];
  const texts = rows.map((row) => [
    row.asset,
    row.outcome,
    row.lastAdvancedAt ?? NOTHING,
    row.newestCandleAt ?? NOTHING,
    row.source ?? NOTHING,
    `${Math.floor(row.warmupProgress * 100)} %`,
    String(row.gapCount),
    String(row.consecutiveFailures),
    row.reason ?? NOTHING,
  ]);
  print(tableOf(head, texts));
}

function inspectRecalibration({ config, options: { asset, json }, print }: Context): void {
  const summary = summariseRecalibration(config.stateDir, marketClock(config.clock));
  if (summary.status !== "ok") {
    if (json) print(JSON.stringify({ kind: "recalibration", ...summary }));
    else print(`Recalibration: ${summary.path} is ${summary.status}${summary.reason ? `: ${summary.reason}` : ""}`);
    return;
  }
  const rows = summary.rows.filter((row) => asset === undefined || row.asset === asset);
  if (json) {
    for (const row of rows) print(JSON.stringify({ kind: "recalibration", status: "ok", ...row }));
    return;
  }
  print(`Recalibration in ${summary.path}, written ${summary.writtenAt}`);
  const head = [
    "asset",
    "horizon",
    "engine",
    "over",
    "factor",
    "basis",
    "raw",
    "effective blocks",
    "prompts",
    "age",
    "calibration",
  ];
  const texts = rows.map((row) => [
    row.asset,
    row.horizon,
    `${row.engine} ${row.engineVersion}`,
    describeSeconds(row.seconds),
    row.factor?.toFixed(4) ?? NOTHING,
    row.basis,
    row.raw?.toFixed(4) ?? NOTHING,
    String(Math.round(row.effectiveBlocks)),
    String(row.prompts),
    describeSeconds(row.ageSeconds),
    row.calibration ?? NOTHING,
  ]);
  if (rows.length === 0) {
    print("  no answers scored yet");
    return;
  }
  print(tableOf(head, texts));
  print("  120 s has no factor of its own, for it does not divide 300 s: it follows from 60 s and 300 s");
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const table = new Table({ head: [...head], style: { head: [], border: [], compact: true } });
  table.push(...rows.map((row) => row.map(printable)));
  return table.toString();
}

/** Messages may quote hostile text: nothing of it reaches the terminal but visible characters. */
function printable(text: string): string {
  return text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, "?");
}

function shorten(address: string): string {
  return address.length <= 12 ? address : `${address.slice(0, 6)}…${address.slice(-4)}`;
}

function percentOf(sigma: number | null): string {
  return sigma === null ? NOTHING : `${(sigma * 100).toFixed(3)} %`;
}

function describeSeconds(seconds: number): string {
  if (seconds % SECONDS_PER_HOUR === 0 && seconds !== 0) return `${seconds / SECONDS_PER_HOUR} h`;
  if (Math.abs(seconds) < 2 * SECONDS_PER_HOUR) return `${Math.round(seconds)} s`;
  return `${(seconds / SECONDS_PER_HOUR).toFixed(1)} h`;
}
