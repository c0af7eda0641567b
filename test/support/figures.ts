import { z } from "zod";

/** A measured figure or a verdict of a hostile check: one line of JSON that `npm run hostile` collects into its table. */
export const figureSchema = z.looseObject({
  name: z.string(),
  pass: z.boolean(),
  figure: z.number().optional(),
  atMost: z.number().optional(),
  atLeast: z.number().optional(),
  cases: z.number().optional(),
});

export type Figure = z.infer<typeof figureSchema>;

/** Prints the figure, its unit being in its name; true when it is within its bound. */
export function figure(name: string, value: number, bound: { atMost: number } | { atLeast: number }): boolean {
  const pass = "atMost" in bound ? value <= bound.atMost : value >= bound.atLeast;
  const line: Figure = { name, figure: Math.round(value * 1000) / 1000, ...bound, pass };
  process.stdout.write(`${JSON.stringify(line)}\n`);
  return pass;
}
