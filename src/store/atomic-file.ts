import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isErrno } from "../errors.ts";

/** `.BTC.msgpack.4711-8.tmp`: written by process 4711, its eighth. Hidden from whoever lists the folder. */
const TEMP_NAME = /^\..+\.(\d+)-\d+\.tmp$/;
let written = 0;

/**
 * Replaces the file at `path` as a whole, also across power loss: temp file beside it → fsync → rename → fsync of the
 * folder. Readers see the old bytes or the new ones. Creates the folder; throws the system's error. `mode`: what the umask
 * leaves of it.
 */
export async function writeFileAtomic(path: string, content: Uint8Array | string, mode = 0o666): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  written += 1;
  const temp = join(folder, `.${basename(path)}.${process.pid}-${written}.tmp`);
  try {
    const file = await open(temp, "wx", mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temp, path);
  } catch (error) {
    await rm(temp, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Deletes temp files that dead processes left in `folder`, and returns how many. Call it before this process writes
 * there: a file with our own process id is from a former life (in a container, every life has the same id).
 */
export async function removeDeadTempFiles(folder: string): Promise<number> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  });
  const dead = names.filter((name) => {
    const pid = TEMP_NAME.exec(name)?.[1];
    return pid !== undefined && (Number(pid) === process.pid || !isAlive(Number(pid)));
  });
  for (const name of dead) await rm(join(folder, name), { force: true });
  return dead.length;
}

/** Whether a process with this id runs here, ours or not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isErrno(error, "ESRCH");
  }
}
