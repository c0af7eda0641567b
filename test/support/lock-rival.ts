/** Child process: tries for the lock at argv[2] and says how it went; holds it until it is killed. */
import { OperationalError } from "../../src/errors.ts";
import { acquireLock } from "../../src/updater/process-lock.ts";

try {
  await acquireLock(process.argv[2]!);
  process.send?.("held");
  setInterval(() => undefined, 60_000);
} catch (error) {
  process.send?.(error instanceof OperationalError ? error.code : String(error));
  process.disconnect();
}
