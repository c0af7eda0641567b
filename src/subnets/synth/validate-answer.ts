import type { ForecastRequest } from "../../engines/engine.ts";

export const CORRECT = "CORRECT";

const MAX_DIGITS = 8;

/** Python's str() of a float: the shortest digits that read back, an exponent below 1e-4 and from 1e16 on. */
export function pythonFloatText(value: number): string {
  const [mantissa, exponentText] = value.toExponential().split("e") as [string, string];
  const exponent = Number(exponentText);
  if (value !== 0 && (exponent < -4 || exponent >= 16)) {
    const digits = String(Math.abs(exponent)).padStart(2, "0");
    return `${mantissa}e${exponent < 0 ? "-" : "+"}${digits}`;
  }
  const decimals = Math.max(mantissa.replace("-", "").replace(".", "").length - 1 - exponent, 1);
  return value.toFixed(decimals);
}

/** Why a validator would refuse the price, or null. Both digit rules: the one since July 2026 and the one before. */
function priceProblem(price: unknown): string | null {
  if (typeof price !== "number") return `Price format is incorrect: expected int or float, got ${typeof price}`;
  if (!Number.isFinite(price)) return `Price format is incorrect: non-finite value ${price}`;
  if (!Number.isFinite(Math.fround(price))) return `Price format is incorrect: exceeds float32 range ${price}`;
  if (price <= 0) return `Price is incorrect: expected a positive price, got ${price}`;
  if (Math.fround(price) === 0) return `Price format is incorrect: underflows float32 ${price}`;
  if (Number(price.toExponential(MAX_DIGITS - 1)) !== price) {
    return `Price format is incorrect: too many digits ${price}`;
  }
  const text = pythonFloatText(price);
  if (text.replace(".", "").length > MAX_DIGITS) return `Price format is incorrect: too many digits ${text} (old rule)`;
  return null;
}

function pathProblem(path: unknown, points: number): string | null {
  if (!Array.isArray(path)) return `Path format is incorrect: expected list, got ${typeof path}`;
  if (path.length !== points) {
    return `Number of time points is incorrect: expected ${points}, got ${path.length}`;
  }
  for (const price of path) {
    const problem = priceProblem(price);
    if (problem !== null) return problem;
  }
  return null;
}

/**
 * The validator's own check of a `simulation_output`: `CORRECT`, or the first fault in its words. Stricter than the
 * validator in what its scoring would punish: prices must be positive, and both digit rules hold.
 */
export function validateAnswer(output: unknown, request: Omit<ForecastRequest, "seed">): string {
  if (output === null || output === undefined) return "Response is empty";
  if (!Array.isArray(output)) return `Response format is incorrect: expected tuple or list, got ${typeof output}`;
  if (output.length === 0) return "Response is empty";
  const [start, increment, ...paths] = output as unknown[];
  if (!Number.isInteger(start)) return `Start time format is incorrect: expected int, got ${typeof start}`;
  if (!Number.isInteger(increment)) return `Time increment format is incorrect: expected int, got ${typeof increment}`;
  if (start !== request.startTime) {
    return `Start time timestamp is incorrect: expected ${request.startTime}, got ${String(start)}`;
  }
  if (increment !== request.stepSeconds) {
    return `Time increment is incorrect: expected ${request.stepSeconds}, got ${String(increment)}`;
  }
  if (paths.length !== request.numSimulations) {
    return `Number of paths is incorrect: expected ${request.numSimulations}, got ${paths.length}`;
  }
  const points = Math.floor(request.horizonSeconds / request.stepSeconds) + 1;
  for (const path of paths) {
    const problem = pathProblem(path, points);
    if (problem !== null) return problem;
  }
  return CORRECT;
}
