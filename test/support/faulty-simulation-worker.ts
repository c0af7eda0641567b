import { runForecast } from "../../src/engines/forecast.ts";
import type { ForecastResult, ForecastTask } from "../../src/engines/task.ts";

/** A simulation thread whose EWMA engine does what the seed says; its baseline is sound unless the seed says "all". */
export async function simulate(task: ForecastTask): Promise<ForecastResult> {
  const { seed } = task.request;
  if (task.inputs[0]?.engine === "ewma" || seed.endsWith("all")) {
    if (seed.startsWith("hang")) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    if (seed.startsWith("exit")) process.exit(3);
    if (seed.startsWith("throw")) throw new Error("broken engine");
    if (seed.startsWith("out of memory")) {
      // Small pieces: V8 ends the thread at its limit, but the process when one large piece leaps over it.
      let hoard: unknown = null;
      for (;;) hoard = { hoard };
    }
  }
  return await runForecast(task);
}
