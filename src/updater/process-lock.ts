import { readFileSync } from "node:fs";
import { link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { OperationalError, describeError, isErrno } from "../errors.ts";
import { isAlive } from "../store/atomic-file.ts";

const holderSchema = z.object({ pid: z.int().positive(), startToken: z.string() });

/** Rivals that take over the same stale lock at once: somebody wins every round. */
const MAX_ATTEMPTS = 10;

export interface ProcessLock {
  release(): Promise<void>;
}

/**
 * When a process started, in the kernel's ticks (field 22 of /proc/<pid>/stat); empty where that is not told. Together
 * with the pid it survives pids being dealt anew, after a reboot or in a restarted container.
 */
function startTokenOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

/** The live process that wrote this lock file; null when it is dead or the file is not a lock. */
function liveHolder(text: string): number | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  const parsed = holderSchema.safeParse(json);
  if (!parsed.success) return null;
  const { pid, startToken } = parsed.data;
  if (!isAlive(pid)) return null;
  const actual = startTokenOf(pid);
  const same = startToken === "" || actual === "" ? pid !== process.pid : startToken === actual;
  return same ? pid : null;
}

/**
 * Makes this process the only holder of the lock file at `path`, taking over from a dead one. Throws OperationalError
 * `updater/locked` while another live process holds it.
 */
export async function acquireLock(path: string): Promise<ProcessLock> {
  const own = `${JSON.stringify({ pid: process.pid, startToken: startTokenOf(process.pid) })}\n`;
  const temp = tempPath(path, 1);
  try {
    await mkdir(dirname(path), { recursive: true });
    // Written in full first: a link appears with its content or not at all.
    await writeFile(temp, own);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      if (await tryLink(temp, path)) return { release: () => release(path, own) };
      await clearStale(path);
    }
    throw new OperationalError("updater/locked", `${path} is contended: other updaters start at the same time`);
  } catch (cause) {
    if (cause instanceof OperationalError) throw cause;
    const message = `Cannot lock ${path}: ${describeError(cause)}`;
    throw new OperationalError("updater/lock_failed", message, { details: { path }, cause });
  } finally {
    await rm(temp, { force: true });
  }
}

/** Named as the temp files of atomic-file.ts are, so that what a killed process left is cleared away with those. */
function tempPath(path: string, number: number): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}-${number}.tmp`);
}

async function tryLink(existing: string, path: string): Promise<boolean> {
  try {
    await link(existing, path);
    return true;
  } catch (error) {
    if (isErrno(error, "EEXIST")) return false;
    throw error;
  }
}

async function readOptional(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return null;
    throw error;
  }
}

/** Removes the lock of a dead process; throws `updater/locked` when its holder lives. */
async function clearStale(path: string): Promise<void> {
  const judged = await readOptional(path);
  if (judged === null) return;
  const pid = liveHolder(judged);
  if (pid !== null) {
    throw new OperationalError(
      "updater/locked",
      `Another updater (process ${pid}) writes this state folder; stop it first, or use another --state-dir`,
      { details: { path, pid } },
    );
  }
  const aside = tempPath(path, 2);
  try {
    await rename(path, aside);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return;
    throw error;
  }
  // A rival may have taken over between our reading and our renaming: then its lock goes back where it was.
  if ((await readOptional(aside)) !== judged) await tryLink(aside, path);
  await rm(aside, { force: true });
}

async function release(path: string, own: string): Promise<void> {
  if ((await readOptional(path)) === own) await rm(path, { force: true });
}
