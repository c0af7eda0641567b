import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { describeError, isErrno, OperationalError } from "../errors.ts";
import { writeFileAtomic } from "../store/atomic-file.ts";
import { SECONDS_PER_DAY } from "../units.ts";
import type { LgbmModel, TrainedModel } from "./train/training-set.ts";

/** Dates of one training, YYYY-MM-DD: candles up to `to` alone, so that later ones can judge the model. */
export interface TrainingDates {
  readonly validation: string;
  readonly test: string;
  readonly to: string;
}

/** Of the validation and of the test part of held-out training: a season each. */
const PART_DAYS = 90;

/** `newestSeconds`: close of the newest candle. */
export function trainingDates(newestSeconds: number, holdoutDays: number): TrainingDates {
  const daysBack = (days: number): string =>
    new Date((newestSeconds - days * SECONDS_PER_DAY) * 1000).toISOString().slice(0, 10);
  return {
    validation: daysBack(holdoutDays + 2 * PART_DAYS),
    test: daysBack(holdoutDays + PART_DAYS),
    to: daysBack(holdoutDays),
  };
}

/** The Python with scripts/train/requirements.txt. Throws OperationalError `train/no_python`. */
export function trainingPython(root: string, configured: string | undefined): string {
  const path = configured ?? join(root, ".venv-train/bin/python");
  if (existsSync(path)) return path;
  const message = `no Python for training at ${path}; python3 -m venv .venv-train && .venv-train/bin/pip install -r scripts/train/requirements.txt, or set SYNTH_TRAIN_PYTHON`;
  throw new OperationalError("train/no_python", message);
}

/** A script of scripts/train that writes into a staging folder, and its flags. */
export interface Training {
  /** For messages: the model or group of models. */
  readonly name: string;
  readonly script: string;
  readonly flags: readonly string[];
}

interface TrainingPlace {
  readonly dirs: readonly string[];
  /** Folder of the staged manifest. */
  readonly out: string;
  /** Of what may be deleted afterwards; a training that is cut off goes on from there. */
  readonly work: string;
}

/** One of the shared networks. */
export function networkTraining(
  model: TrainedModel,
  dates: TrainingDates,
  { dirs, out, work }: TrainingPlace,
): Training {
  const flags = { model, data: dirs.join(","), out, work, ...dates };
  const names = ["model", "data", "out", "work", "validation", "test", "to"] as const;
  return { name: model, script: "train.py", flags: names.flatMap((name) => [`--${name}`, flags[name]]) };
}

/** Boosters of one frequency. Throws OperationalError `train/one_folder`. */
export function boosterTraining(
  models: readonly LgbmModel[],
  { to }: Pick<TrainingDates, "to">,
  { dirs, out, work }: TrainingPlace,
): Training {
  const [data, ...others] = dirs;
  if (data === undefined || others.length > 0) {
    const message = `boosters train on one folder of candles, found ${dirs.length}: ${dirs.join(", ")}`;
    throw new OperationalError("train/one_folder", message);
  }
  const frequency = models[0]!.slice(0, 2);
  return {
    name: models.join(", "),
    script: "lgbm.py",
    flags: [
      ...[`--${frequency.toLowerCase()}-only`, "--asset", ...models.map((model) => model.slice(3))],
      ...[
        "--data",
        data,
        "--model-dir",
        out,
        "--work",
        work,
        "--until",
        to,
        "--out-log",
        join(out, "lgbm/scores.jsonl"),
      ],
    ],
  };
}

/** Runs a script of scripts/train, whose words go to the terminal. Throws OperationalError `train/failed`. */
export async function train(
  { name, script, flags }: Training,
  { python, root, signal }: { readonly python: string; readonly root: string; readonly signal: AbortSignal },
): Promise<void> {
  const args = [join(root, "scripts/train", script), ...flags];
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const fail = (how: string, cause?: unknown): void => {
    reject(new OperationalError("train/failed", `training of ${name} ended with ${how}`, { cause }));
  };
  // A group of its own: the commands that the script runs end with it.
  const child = spawn(python, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"], detached: true });
  const stop = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGTERM");
  };
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  child.once("error", (error) => {
    fail(describeError(error), error);
  });
  child.once("exit", (code, signalName) => {
    if (code === 0) resolve(undefined);
    else fail(signalName ?? `exit code ${String(code)}`);
  });
  try {
    await promise;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Deletes what other trainings than these left in the folder of works. */
export async function removeOtherWorks(folder: string, own: ReadonlySet<string>): Promise<void> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return;
    throw error;
  }
  // Only what is named as ours: the folder is train.py's default too.
  for (const name of names) {
    if (!own.has(name) && /^\d{4}-\d{2}-\d{2}$/.test(name))
      await rm(join(folder, name), { recursive: true, force: true });
  }
}

const stampSchema = z.object({ startedAt: z.iso.datetime() });

/**
 * Whether the last start lies this long back; if so the stamp is now. Without one it is set, and nothing is due: cron programs of pm2
 * also start with pm2, and a first training should not fall on a miner's first minutes.
 */
export async function isDue(stampFile: string, everyDays: number, nowMs: number): Promise<boolean> {
  const last = readStamp(stampFile);
  if (last !== null && nowMs - last < everyDays * SECONDS_PER_DAY * 1000) return false;
  await writeFileAtomic(stampFile, `${JSON.stringify({ startedAt: new Date(nowMs).toISOString() })}\n`);
  return last !== null;
}

/** Null: there is none, or nothing that can be read. */
function readStamp(path: string): number | null {
  try {
    const found = stampSchema.safeParse(JSON.parse(readFileSync(path, "utf8")));
    return found.success ? Date.parse(found.data.startedAt) : null;
  } catch (error) {
    if (error instanceof SyntaxError || isErrno(error, "ENOENT")) return null;
    throw error;
  }
}
