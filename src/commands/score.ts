import { readFile, stat } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { z } from "zod";
import { EXIT, isErrno, OperationalError } from "../errors.ts";
import { COMPETITION_RULES } from "../scoring/intervals.ts";
import { scorePrompt, type PromptScore } from "../scoring/prompt-score.ts";
import { defineCommand } from "./command.ts";

/** JavaScript's longest string, in which JSON is parsed, holds a little more. */
const MAX_FILE_BYTES = 512_000_000;

/** Grids of 24 h in seconds have fewer points; a longer row is a mistake. */
const MAX_POINTS = 100_000;

/**
 * A row of prices, checked by a plain loop: a file holds millions. `null` in the realised row is a missing observation;
 * in a path it makes the prediction invalid, as any price that is no number does at the validators.
 */
const prices = z.custom<(number | null)[]>(
  (value) =>
    Array.isArray(value) &&
    value.length >= 1 &&
    value.length <= MAX_POINTS &&
    value.every((price) => price === null || typeof price === "number"),
  { error: `expected a list of 1 to ${MAX_POINTS} prices (numbers, or null where missing)` },
);

const expected = z.number().nullable().optional();
const expectedByName = z.record(z.string(), z.number().nullable()).optional();

const caseSchema = z
  .object({
    name: z.string(),
    competition: z.enum(["24h", "1h"]),
    time_increment: z.int().positive(),
    paths: z.array(prices).min(1),
    real: prices,
    total: expected,
    price_crps: expected,
    vol_crps: expected,
    price_crps_by_interval: expectedByName,
    vol_crps_by_block_unweighted: expectedByName,
  })
  .superRefine(({ competition, time_increment, paths, real }, context) => {
    const { intervals, volatilityBlocks } = COMPETITION_RULES[competition];
    const shortest = Math.min(...[...intervals, ...volatilityBlocks].map(({ seconds }) => seconds));
    if (time_increment > shortest) {
      const message = `expected at most ${shortest} s, the shortest interval of ${competition}, was ${time_increment}`;
      context.addIssue({ code: "custom", path: ["time_increment"], message });
    }
    const odd = paths.findIndex((path) => path.length !== real.length);
    if (odd >= 0) {
      const message = `expected ${real.length} prices as in "real", were ${paths[odd]!.length}`;
      context.addIssue({ code: "custom", path: ["paths", odd], message });
    }
  });

const fileSchema = z.object({ cases: z.array(caseSchema).min(1) });

type ScoreCase = z.infer<typeof caseSchema>;

async function readCases(file: string): Promise<ScoreCase[]> {
  let text: string;
  try {
    const { size } = await stat(file);
    if (size > MAX_FILE_BYTES) {
      const message = `${file}: expected at most ${MAX_FILE_BYTES / 1e6} MB, was ${Math.ceil(size / 1e6)} MB; split its cases`;
      throw new OperationalError("SCORE_FILE_TOO_LARGE", message);
    }
    text = await readFile(file, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) throw new OperationalError("SCORE_FILE_MISSING", `${file}: no such file`);
    if (error instanceof OperationalError) throw error;
    throw new OperationalError("SCORE_FILE_UNREADABLE", `${file}: cannot be read`, { cause: error });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new OperationalError("SCORE_FILE_NOT_JSON", `${file}: expected JSON`, { cause: error });
  }
  const parsed = fileSchema.safeParse(json);
  if (!parsed.success) throw new OperationalError("SCORE_FILE_FORMAT", `${file}: ${formatProblems(parsed.error)}`);
  return parsed.data.cases;
}

const MAX_PROBLEMS = 10;

function formatProblems(error: z.ZodError): string {
  const problems = error.issues.slice(0, MAX_PROBLEMS).map(({ path, message }) => `${path.join(".")}: ${message}`);
  const more = error.issues.length - problems.length;
  if (more > 0) problems.push(`and ${more} more`);
  const format =
    'expected {"cases": [{"name", "competition": "24h" or "1h", "time_increment": seconds, "paths": [[price, …], …], "real": [price or null, …]}, …]}';
  return `${format}; found\n  ${problems.join("\n  ")}`;
}

function scoreCase({ competition, time_increment, paths, real }: ScoreCase): PromptScore {
  const points = real.length;
  const matrix = new Float64Array(paths.length * points);
  for (const [row, path] of paths.entries()) matrix.set(toFloats(path), row * points);
  const prompt = { paths: matrix, pathCount: paths.length, realised: toFloats(real), stepSeconds: time_increment };
  return scorePrompt(prompt, COMPETITION_RULES[competition]);
}

function toFloats(row: readonly (number | null)[]): Float64Array {
  return Float64Array.from(row, (price) => price ?? NaN);
}

/** |found - expected| / |larger of both|: 0 where equal, 1 where only one is there and not zero. */
function relativeError(found: number, wanted: number): number {
  return found === wanted ? 0 : Math.abs(found - wanted) / Math.max(Math.abs(found), Math.abs(wanted));
}

/** Largest relative error over the expected values of the case; null where it has none. */
function maxRelativeError(score: PromptScore, wanted: ScoreCase): number | null {
  const pairs: [found: number, wanted: number | null | undefined][] = [
    [score.total, wanted.total],
    [score.priceCrps, wanted.price_crps],
    [score.volatilityCrps, wanted.vol_crps],
  ];
  for (const [name, value] of Object.entries(wanted.price_crps_by_interval ?? {})) {
    pairs.push([score.priceCrpsByInterval[name] ?? 0, value]);
  }
  for (const [name, value] of Object.entries(wanted.vol_crps_by_block_unweighted ?? {})) {
    pairs.push([score.volatilityCrpsByBlock[name] ?? 0, value]);
  }
  const errors = pairs.flatMap(([found, value]) => (typeof value === "number" ? [relativeError(found, value)] : []));
  return errors.length === 0 ? null : Math.max(...errors);
}

export const scoreCommand = defineCommand({
  name: "score",
  summary: "score predictions against what happened, exactly as the validators do",
  usage: "score FILE.json",
  options: z.object({}),
  positionals: ["file"],
  sections: [],
  async run(context) {
    for (const scored of await readCases(context.positionals[0]!)) {
      // Lets a signal in between two cases.
      await setImmediate();
      if (context.signal.aborted) return EXIT.FAILURE;
      const score = scoreCase(scored);
      const error = maxRelativeError(score, scored);
      context.print(
        JSON.stringify({
          name: scored.name,
          total: score.total,
          price_crps: score.priceCrps,
          vol_crps: score.volatilityCrps,
          price_crps_by_interval: score.priceCrpsByInterval,
          vol_crps_by_block_unweighted: score.volatilityCrpsByBlock,
          ...(score.rejection && { rejection: score.rejection }),
          ...(error !== null && { max_relative_error: error }),
        }),
      );
    }
    return EXIT.OK;
  },
});
