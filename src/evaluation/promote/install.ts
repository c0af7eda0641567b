import { constants } from "node:fs";
import { access, readdir, rm, stat, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "../../clock.ts";
import { besideManifest, readVerified, type ModelManifest, type ModelName } from "../../engines/models/manifest.ts";
import { isErrno, OperationalError } from "../../errors.ts";
import { removeDeadTempFiles, writeFileAtomic } from "../../store/atomic-file.ts";
import { SECONDS_PER_DAY } from "../../units.ts";
import { ADDRESSED, filesOf, manifestText, readOptionalManifest, type Snapshot } from "./model-files.ts";

/** Servers, and whoever looks into what an answer was made of, may still want a replaced model for this long. */
export const KEPT_SECONDS = 2 * SECONDS_PER_DAY;

export interface Installation {
  readonly name: ModelName;
  readonly snapshot: Snapshot;
  /** Absolute. */
  readonly manifestFile: string;
  /** What the manifest said when the model was compared with it; null: it was not there. */
  readonly comparedWith: string | null;
  readonly clock: Clock;
  /** Replaces a file as a whole; tests let it fail. */
  readonly write?: typeof writeFileAtomic | undefined;
}

/**
 * Puts the model's files beside those in use, under names of their content, then replaces the manifest: a process that ends
 * anywhere in between has changed nothing that a server reads. Throws OperationalError `promote/manifest_changed`,
 * `model/…`, and the system's error.
 */
export async function install(options: Installation): Promise<void> {
  const { name, snapshot, manifestFile, comparedWith, clock, write = writeFileAtomic } = options;
  for (const { file, sha256 } of filesOf(snapshot.entry)) {
    const content = readVerified(besideManifest(snapshot.manifestFile, file), sha256);
    await write(besideManifest(manifestFile, file), content);
  }
  const now = readOptionalManifest(manifestFile);
  if ((now?.text ?? null) !== comparedWith) {
    throw new OperationalError(
      "promote/manifest_changed",
      `${manifestFile} is another one than ${name} was compared with`,
    );
  }
  const before = now?.manifest ?? { schema: 1, models: {} };
  // From now on they are old, and kept for KEPT_SECONDS.
  const nowSeconds = clock.nowMs() / 1000;
  for (const { file } of filesOf(before.models[name])) await touch(besideManifest(manifestFile, file), nowSeconds);
  const next: ModelManifest = { ...before, models: { ...before.models, [name]: snapshot.entry } };
  await write(manifestFile, manifestText(next));
}

async function touch(path: string, seconds: number): Promise<void> {
  try {
    await utimes(path, seconds, seconds);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

/**
 * Deletes what earlier promotions put beside the manifest, that it no longer names, once it is two days old: replaced models, and
 * files of promotions that did not end. Names that no promotion gives are left alone. Returns the deleted paths.
 */
export async function removeReplaced(manifestFile: string, clock: Clock): Promise<string[]> {
  const current = readOptionalManifest(manifestFile);
  // Without a manifest nobody knows what is in use.
  if (current === null) return [];
  const named = new Set(filesOf(current.manifest).map(({ file }) => besideManifest(manifestFile, file)));
  const folders = new Set([...named].map((path) => dirname(path)));
  const removed: string[] = [];
  for (const folder of folders) {
    if (!(await exists(folder))) continue;
    await removeDeadTempFiles(folder);
    for (const entry of await readdir(folder)) {
      const path = join(folder, entry);
      if (!ADDRESSED.test(entry) || named.has(path)) continue;
      const { mtimeMs } = await stat(path);
      if (clock.nowMs() - mtimeMs < KEPT_SECONDS * 1000) continue;
      await rm(path, { force: true });
      removed.push(path);
    }
  }
  return removed;
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path, constants.F_OK);
    return true;
  } catch {
    return false;
  }
}
