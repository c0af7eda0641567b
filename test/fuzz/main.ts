/**
 * 100,000 hostile requests against a running axon, a quarter of them well signed with a hostile body, and as many header
 * bags and bodies against the parsers alone. One JSON line per figure; a failure throws with its smallest case and seed.
 *
 *   npm run fuzz -- [--cases 100000] [--seed 7]
 */
import type { TestContext } from "node:test";
import { parseArgs } from "node:util";
import { openAxon } from "../support/dendrite-axon.ts";
import { fireMany, fuzzedService, parseMany } from "./axon.ts";

const SIGNED_SHARE = 0.25;
/** A body that never comes whole must not make the run wait. */
const BODY_TIMEOUT_MS = 100;

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "100000" },
    seed: { type: "string", default: String(Date.now() % 1e9) },
  },
});
const [cases, seed] = [Number(values.cases), Number(values.seed)];

function say(name: string, startedMs: number, figures: Readonly<Record<string, unknown>>): void {
  const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
  process.stdout.write(`${JSON.stringify({ name, seed, ...figures, seconds, pass: true })}\n`);
}

async function fuzz(kind: "signed" | "stranger", count: number): Promise<void> {
  const closers: (() => unknown)[] = [];
  const context = { after: (close: () => unknown) => closers.push(close) } as unknown as TestContext;
  const startedMs = performance.now();
  try {
    const axon = await openAxon(context, { services: [fuzzedService()], config: { bodyTimeoutMs: BODY_TIMEOUT_MS } });
    const statuses = await fireMany(axon, { kind, count, seed });
    say(`fuzz ${kind}`, startedMs, { cases: count, statuses });
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

const startedMs = performance.now();
parseMany({ count: cases, seed });
say("fuzz parsers", startedMs, { cases });
await fuzz("signed", Math.round(cases * SIGNED_SHARE));
await fuzz("stranger", Math.round(cases * (1 - SIGNED_SHARE)));
