import { existsSync, rmSync } from "node:fs";
import path from "node:path";
import type { SignatureClaim } from "../../src/bittensor/signature.ts";

/**
 * A signature thread that misbehaves once for every file of that name in its own folder, so it is copied to one: "load" throws
 * while loading, "hang" and "exit" in a task. A message "throw" is one that no thread can do.
 */
function takes(fault: string): boolean {
  const file = path.join(import.meta.dirname, fault);
  if (!existsSync(file)) return false;
  rmSync(file);
  return true;
}

if (takes("load")) throw new Error("broken while loading");

export function verify({ message }: SignatureClaim): boolean {
  if (new TextDecoder().decode(message) === "throw") throw new Error("broken claim");
  if (takes("hang")) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  if (takes("exit")) process.exit(3);
  return true;
}

export function sign(message: Uint8Array): Uint8Array {
  return message;
}
