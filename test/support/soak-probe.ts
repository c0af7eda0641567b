/**
 * Imported into a process under test (NODE_OPTIONS): at SIGUSR2 it collects its garbage and appends what it still holds to
 * the file that SOAK_PROBE_FILE names, one line of JSON.
 */
import { appendFileSync, readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";

const file = process.env["SOAK_PROBE_FILE"];
if (isMainThread && file !== undefined) {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  process.on("SIGUSR2", () => {
    collect();
    collect();
    const { heapUsed, external, rss } = process.memoryUsage();
    const resources = process.getActiveResourcesInfo().length;
    const descriptors = readdirSync("/proc/self/fd").length;
    appendFileSync(file, `${JSON.stringify({ heapUsed, external, rss, resources, descriptors })}\n`);
  });
}
