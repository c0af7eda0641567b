import { readRecordings } from "../store/recording-reader.ts";
import { simulationEvidence } from "../subnets/synth/evidence.ts";

/** `<asset>/<horizon in seconds>` → the engine that answered last, from an axon's own recordings. */
export async function recordedEngines(dir: string): Promise<ReadonlyMap<string, string>> {
  const engines = new Map<string, string>();
  for await (const entry of readRecordings(dir)) {
    if (entry.kind !== "recording") continue;
    const evidence = simulationEvidence.safeParse(entry.recording.exchange.evidence);
    if (!evidence.success) continue;
    const { asset, horizonSeconds } = evidence.data.task.request;
    engines.set(`${asset}/${horizonSeconds}`, evidence.data.engine);
  }
  return engines;
}
