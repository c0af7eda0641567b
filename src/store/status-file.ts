import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { describeError, isErrno } from "../errors.ts";
import { ASSET_SYMBOLS } from "../market/assets.ts";
import { writeFileAtomic } from "./atomic-file.ts";

/** Version of the heartbeat's shape. */
export const UPDATER_STATUS_SCHEMA = 1;

const instant = z.iso.datetime();

const assetStatus = z.strictObject({
  /** How the last finished update ended; `no_new_candles`: the source answered, but with nothing newer. */
  outcome: z.enum(["pending", "advanced", "up_to_date", "no_new_candles", "failed"]),
  /** Why it was not advanced; null when it was. */
  reason: z.string().nullable(),
  lastAdvancedAt: instant.nullable(),
  newestCandleAt: instant.nullable(),
  source: z.enum(["binance", "hyperliquid", "pyth"]).nullable(),
  /** Where the warm-up began, and how much of its length is in state, 0 to 1. */
  warmFrom: instant.nullable(),
  warmupProgress: z.number().min(0).max(1),
  /** Runs of missing minutes since `warmFrom`. */
  gapCount: z.int().min(0),
  consecutiveFailures: z.int().min(0),
  /** The last failure, also after a recovery. */
  lastError: z.strictObject({ at: instant, code: z.string(), message: z.string() }).nullable(),
  /** Answers that did not come from the preferred source, since the start, and why the last one did not. */
  fallbackCount: z.int().min(0),
  lastFallback: z.string().nullable(),
  /** The last (re)start of the warm-up, and why. */
  lastRestart: z.strictObject({ at: instant, why: z.string() }).nullable(),
  /** Set while an update runs or waits for its turn; cycles that came meanwhile were skipped. */
  updatingSince: instant.nullable(),
  skippedCycles: z.int().min(0),
});

/** The updater's heartbeat. All instants are of the market clock. */
const updaterStatusSchema = z.strictObject({
  schema: z.literal(UPDATER_STATUS_SCHEMA),
  pid: z.int(),
  running: z.boolean(),
  startedAt: instant,
  writtenAt: instant,
  cycles: z.int().min(0),
  assets: z.partialRecord(z.enum(ASSET_SYMBOLS), assetStatus),
});

export type AssetStatus = z.infer<typeof assetStatus>;
export type UpdaterStatus = z.infer<typeof updaterStatusSchema>;

export function updaterStatusPath(stateDir: string): string {
  return join(stateDir, "status", "updater.json");
}

export async function writeUpdaterStatus(stateDir: string, status: UpdaterStatus): Promise<void> {
  await writeFileAtomic(updaterStatusPath(stateDir), `${JSON.stringify(status, null, 2)}\n`);
}

export type LoadedUpdaterStatus =
  | { readonly status: "ok"; readonly updater: UpdaterStatus }
  | { readonly status: "missing" }
  | { readonly status: "corrupt"; readonly reason: string };

export function readUpdaterStatus(stateDir: string): LoadedUpdaterStatus {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(updaterStatusPath(stateDir), "utf8"));
  } catch (error) {
    return isErrno(error, "ENOENT") ? { status: "missing" } : { status: "corrupt", reason: describeError(error) };
  }
  const parsed = updaterStatusSchema.safeParse(json);
  if (parsed.success) return { status: "ok", updater: parsed.data };
  return { status: "corrupt", reason: z.prettifyError(parsed.error) };
}
