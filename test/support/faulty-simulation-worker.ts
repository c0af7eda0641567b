import { tryForecast, type ForecastOutcome } from "../../src/engines/forecast.ts";
import type { ForecastTask } from "../../src/engines/task.ts";

/** A simulation thread in which the engines that the seed names ("hang patchtst ewma"; "all": each) do what it begins with. */
export async function simulate(task: ForecastTask): Promise<ForecastOutcome> {
  const { seed } = task.request;
  const [input] = task.inputs;
  if (seed.endsWith("all") || seed.includes(input!.engine)) {
    if (seed.startsWith("hang")) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    if (seed.startsWith("exit")) process.exit(3);
    if (seed.startsWith("throw")) throw new Error("broken engine");
    if (seed.startsWith("out of memory")) {
      // Small pieces: V8 ends the thread at its limit, but the process when one large piece leaps over it.
      let hoard: unknown = null;
      for (;;) hoard = { hoard };
    }
  }
  return await tryForecast(task);
}
