import { spawnSync } from "node:child_process";
import { mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/** A file system of its own that can be full or read-only. */
export interface SmallDisk {
  readonly folder: string;
  /** Leaves no free byte. */
  fill(): Promise<void>;
  free(): Promise<void>;
  readOnly(on: boolean): void;
}

function mount(...args: readonly string[]): boolean {
  return spawnSync("mount", args, { stdio: "ignore" }).status === 0;
}

/** Why tests with a disk of their own cannot run here; false: they can. */
export function smallDiskSkip(): string | false {
  if (process.platform !== "linux") return "needs Linux's tmpfs";
  return process.getuid?.() === 0 ? false : "needs root, to mount a tmpfs of a few megabytes";
}

/** Null (and the test is skipped) in a container that may not mount. */
export async function openSmallDisk(test: TestContext, megabytes: number): Promise<SmallDisk | null> {
  const folder = await mkdtemp(join(tmpdir(), "synth-disk-"));
  if (!mount("-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", folder)) {
    await rm(folder, { recursive: true });
    test.skip("this machine does not let root mount a tmpfs");
    return null;
  }
  test.after(async () => {
    spawnSync("umount", ["--lazy", folder]); // lazy: what the test left open does not hold it
    await rm(folder, { recursive: true });
  });
  const filler = join(folder, "filler");
  return {
    folder,
    fill: async () => {
      const { bavail, bsize } = await statfs(folder);
      await writeFile(filler, Buffer.alloc(bavail * bsize));
    },
    free: () => rm(filler, { force: true }),
    readOnly: (on) => {
      if (!mount("-o", `remount,${on ? "ro" : "rw"}`, folder)) throw new Error(`cannot remount ${folder}`);
    },
  };
}
