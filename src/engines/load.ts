import { isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Config } from "../config/schema.ts";
import { describeError } from "../errors.ts";
import { readEwmaCalibration, type EwmaCalibration } from "./ewma/calibration.ts";
import { coverageWarnings, readEvents, type ScheduledEvent } from "../market/events.ts";
import type { RecalibrationSource } from "./recalibration.ts";
import type { UnixSeconds } from "../units.ts";
import { createEngines, type Engines } from "./route.ts";

const PACKAGE_ROOT = fileURLToPath(new URL("../..", import.meta.url));

export const EVENTS_FILE = "config/events.json";

export interface EngineFiles {
  readonly calibration: EwmaCalibration | null;
  readonly events: readonly ScheduledEvent[];
  /** Files that could not be used, and why; what needs them falls back. */
  readonly problems: readonly string[];
}

/** What was learned offline, read once. A relative path is one of the package's. Never throws: a miner answers without. */
export function readEngineFiles({ calibration: path }: Pick<Config["engines"], "calibration">): EngineFiles {
  const problems: string[] = [];
  const read = <T>(reader: (path: string) => T, file: string, consequence: string): T | null => {
    try {
      return reader(isAbsolute(file) ? file : join(PACKAGE_ROOT, file));
    } catch (error) {
      problems.push(`${describeError(error)}; ${consequence}`);
      return null;
    }
  };
  return {
    calibration: path === null ? null : read(readEwmaCalibration, path, "the plain EWMA answers"),
    events: read(readEvents, EVENTS_FILE, "no scheduled event is looked at") ?? [],
    problems,
  };
}

/** What the operator should know of the table of events: that it cannot be read, or before it ends. */
export function eventWarnings(now: UnixSeconds): readonly string[] {
  const { events, problems } = readEngineFiles({ calibration: null });
  return problems.length > 0 ? problems : coverageWarnings(events, now);
}

/** The engines of a configuration; `onProblem` hears of every file that could not be used. */
export function openEngines(
  config: { readonly engines: Pick<Config["engines"], "ewma" | "calibration" | "rankMatching"> },
  onProblem: (problem: string) => void,
  recalibration: RecalibrationSource | null = null,
): Engines {
  const { calibration, events, problems } = readEngineFiles(config.engines);
  problems.forEach(onProblem);
  return createEngines({
    choices: config.engines.ewma,
    calibration,
    events,
    recalibration,
    rankMatching: config.engines.rankMatching,
  });
}
