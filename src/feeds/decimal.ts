import { z } from "zod";

/** A number as exchanges spell it: a decimal in a string, or a JSON number. `Number("")` being 0 must not make a price. */
export const decimal = z.union([
  z.number(),
  z
    .string()
    .regex(/^-?\d{1,20}(\.\d{1,30})?(e[+-]?\d{1,3})?$/i)
    .transform(Number),
]);
