import type { EngineName, HandOver } from "./engine.ts";

/** An engine whose model has not been trained yet: it has its rows in the route and hands every request over. */
export function untrainedEngine(name: EngineName): { prepare(): { readonly ok: false; readonly handOver: HandOver } } {
  const message = `no trained model under models/${name}`;
  return { prepare: () => ({ ok: false, handOver: { engine: name, code: "model/not_installed", message } }) };
}
