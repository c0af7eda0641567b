/**
 * Preloaded into a process that a benchmark watches (NODE_OPTIONS=--import): writes what only the process itself can know
 * to the file in SYNTH_PROBE, one JSON line a second.
 */
import { appendFileSync, openSync, readSync } from "node:fs";
import { createHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";

/** The histogram's values are the gaps between two ticks of a timer, which are this long without any delay. */
const RESOLUTION_MS = 10;
const PERIOD_MS = 1000;

export interface ProbeLine {
  readonly atMs: number;
  readonly pid: number;
  /** Within the last period: how late the event loop came to a timer that was due. */
  readonly delayMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** The same without the time in which the thread wanted to run and the kernel gave its core to others. */
  readonly ownDelayMs: { readonly p99: number; readonly max: number };
  readonly rssBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly handles: number;
}

/** Nanoseconds that the main thread has waited for a core (Documentation/scheduler/sched-stats.rst, second field). */
function waitedForCore(): () => number {
  const descriptor = openSync(`/proc/self/task/${process.pid}/schedstat`, "r");
  const buffer = Buffer.alloc(128);
  return () => Number(buffer.toString("latin1", 0, readSync(descriptor, buffer, 0, buffer.length, 0)).split(" ")[1]);
}

const file = process.env["SYNTH_PROBE"];
if (file !== undefined && isMainThread && process.argv[2] === "serve") {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  const own = createHistogram();
  const ms = (nanos: number): number => Math.max(0, nanos / 1e6 - RESOLUTION_MS);
  const waited = waitedForCore();
  let last = { tick: process.hrtime.bigint(), waited: waited() };
  setInterval(() => {
    const now = { tick: process.hrtime.bigint(), waited: waited() };
    own.record(Math.max(1, Number(now.tick - last.tick) - (now.waited - last.waited)));
    last = now;
  }, RESOLUTION_MS).unref();
  setInterval(() => {
    const { rss, heapUsed, external } = process.memoryUsage();
    const line: ProbeLine = {
      atMs: Date.now(),
      pid: process.pid,
      delayMs: { p50: ms(histogram.percentile(50)), p99: ms(histogram.percentile(99)), max: ms(histogram.max) },
      ownDelayMs: { p99: ms(own.percentile(99)), max: ms(own.max) },
      rssBytes: rss,
      heapBytes: heapUsed,
      externalBytes: external,
      handles: process.getActiveResourcesInfo().length,
    };
    histogram.reset();
    own.reset();
    appendFileSync(file, `${JSON.stringify(line)}\n`);
  }, PERIOD_MS).unref();
}
