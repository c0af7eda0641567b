import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../units.ts";

export type HorizonClass = "1h" | "24h";

/** The prompts of the subnet are 1 h and 24 h; any other horizon goes with the one it is nearer to by ratio. */
const CLASS_BORDER_SECONDS = Math.sqrt(SECONDS_PER_HOUR * SECONDS_PER_DAY);

export function horizonClass(horizonSeconds: number): HorizonClass {
  return horizonSeconds < CLASS_BORDER_SECONDS ? "1h" : "24h";
}
