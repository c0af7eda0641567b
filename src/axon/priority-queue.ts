import PQueue from "p-queue";
import type { Clock } from "../clock.ts";
import type { UnixMillis } from "../units.ts";
import type { Answer } from "./synapse-service.ts";

export interface Job {
  /** Higher goes first, equals in order of arrival. */
  readonly priority: number;
  /** Jobs of one kind share a unit of cost and a learned speed: the synapse's name. */
  readonly kind: string;
  /** In the kind's unit of work; 0 for work that takes no time. */
  readonly cost: number;
  /** By the queue's clock. */
  readonly deadlineMs: UnixMillis;
  /** Ends the wait, or the run, when the answer is no longer wanted. */
  readonly signal: AbortSignal;
  run(): Promise<Answer>;
}

export type JobResult =
  | { readonly kind: "answered"; readonly answer: Answer; readonly queueMs: number; readonly runMs: number }
  /** `full`: no place left, or displaced by a higher priority. `hopeless`: cannot be ready in time. */
  | { readonly kind: "full" | "hopeless" | "aborted" };

export interface WorkQueue {
  /** Rejects only with what `run` throws. */
  submit(job: Job): Promise<JobResult>;
  stats(): { queued: number; running: number; millisPerCost: Readonly<Record<string, number>> };
}

/** Weight of the newest run in the learned speed: a handful of runs set it, one odd run does not. */
const LEARNING_WEIGHT = 0.2;
/** Without new runs to confirm it, trust in a slow speed halves in this time: a stall must not refuse for ever. */
const TRUST_HALF_LIFE_MS = 30_000;

interface Speeds {
  expectedMs(job: Job): number;
  learn(job: Job, runMs: number): void;
  millisPerCost(): Record<string, number>;
}

function createSpeeds(clock: Clock): Speeds {
  const speeds = new Map<string, { millisPerCost: number; atMs: number }>();
  const current = (kind: string): number => {
    const speed = speeds.get(kind);
    if (speed === undefined) return 0;
    return speed.millisPerCost * 0.5 ** (Math.max(0, clock.nowMs() - speed.atMs) / TRUST_HALF_LIFE_MS);
  };
  return {
    expectedMs: (job) => job.cost * current(job.kind),
    learn: ({ kind, cost }, runMs) => {
      if (cost <= 0) return;
      const sample = runMs / cost;
      const known = speeds.get(kind)?.millisPerCost ?? sample;
      speeds.set(kind, { millisPerCost: known + LEARNING_WEIGHT * (sample - known), atMs: clock.nowMs() });
    },
    millisPerCost: () => Object.fromEntries([...speeds.keys()].map((kind) => [kind, current(kind)])),
  };
}

function isAborted(job: Job): boolean {
  return job.signal.aborted;
}

/**
 * At most `threads` jobs run, at most `maxQueue` wait. A job is refused as soon as the work ahead of it, at the learned
 * milliseconds per cost, leaves no time for it before its deadline.
 */
export function createWorkQueue(options: { threads: number; maxQueue: number; clock: Clock }): WorkQueue {
  const { threads, maxQueue, clock } = options;
  const queue = new PQueue({ concurrency: threads });
  const waiting = new Map<Job, AbortController>();
  const running = new Set<Job>();
  const speeds = createSpeeds(clock);
  const expectedMs = (job: Job): number => speeds.expectedMs(job);
  const inTime = (job: Job, msAhead: number): boolean =>
    clock.nowMs() + msAhead / threads + expectedMs(job) < job.deadlineMs;
  const msAhead = (job: Job): number => {
    let sum = 0;
    for (const other of running) sum += expectedMs(other);
    for (const other of waiting.keys()) if (other.priority >= job.priority) sum += expectedMs(other);
    return sum;
  };
  /** Frees a place for a higher priority, taking the lowest and latest. */
  const displaceFor = (job: Job): boolean => {
    let lowest: Job | undefined;
    for (const other of waiting.keys()) if (lowest === undefined || other.priority <= lowest.priority) lowest = other;
    if (lowest === undefined || lowest.priority >= job.priority) return false;
    waiting.get(lowest)?.abort();
    waiting.delete(lowest);
    return true;
  };

  const execute = async (job: Job, submittedAtMs: number): Promise<JobResult> => {
    waiting.delete(job);
    if (!inTime(job, 0)) return { kind: "hopeless" };
    const startedAtMs = clock.nowMs();
    running.add(job);
    try {
      const answer = await job.run();
      const runMs = clock.nowMs() - startedAtMs;
      if (answer.ok) speeds.learn(job, runMs);
      return { kind: "answered", answer, queueMs: startedAtMs - submittedAtMs, runMs };
    } finally {
      running.delete(job);
      // A run cut short by its deadline was at least this slow.
      const elapsedMs = clock.nowMs() - startedAtMs;
      if (isAborted(job) && elapsedMs > expectedMs(job)) speeds.learn(job, elapsedMs);
    }
  };

  return {
    submit: async (job) => {
      if (isAborted(job)) return { kind: "aborted" };
      if (!inTime(job, msAhead(job))) return { kind: "hopeless" };
      const waits = running.size + waiting.size >= threads;
      if (waits && waiting.size >= maxQueue && !displaceFor(job)) return { kind: "full" };
      const displaced = new AbortController();
      waiting.set(job, displaced);
      try {
        const signal = AbortSignal.any([job.signal, displaced.signal]);
        const submittedAtMs = clock.nowMs();
        return await queue.add(() => execute(job, submittedAtMs), { priority: job.priority, signal });
      } catch (error) {
        if (displaced.signal.aborted) return { kind: "full" };
        if (isAborted(job)) return { kind: "aborted" };
        throw error;
      } finally {
        waiting.delete(job);
      }
    },
    stats: () => ({
      queued: waiting.size,
      running: running.size,
      millisPerCost: speeds.millisPerCost(),
    }),
  };
}
