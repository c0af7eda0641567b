import type { Clock } from "../clock.ts";
import { hotkey } from "../units.ts";
import type { Metagraph, Neuron } from "./metagraph.ts";
import type { StoredMetagraph } from "./stored-metagraph.ts";

/** The chain's metagraph as the admission sees it: the last accepted one, for as long as it may be used. */
export interface LiveMetagraph extends Metagraph {
  /** Null: none yet. */
  current: () => StoredMetagraph | null;
  replace: (metagraph: StoredMetagraph) => void;
}

const NO_VALIDATORS: readonly Neuron[] = [];

/** `maxAgeSeconds`: from then on nobody is known any more, and `voidReason` says why. */
export function createLiveMetagraph(options: {
  stored: StoredMetagraph | null;
  maxAgeSeconds: number;
  clock: Clock;
}): LiveMetagraph {
  const { maxAgeSeconds, clock } = options;
  let current: StoredMetagraph | null = null;
  let updatedAtMs = Number.NEGATIVE_INFINITY;
  let byHotkey: ReadonlyMap<string, Neuron> = new Map();
  let validators = NO_VALIDATORS;

  const replace = (metagraph: StoredMetagraph): void => {
    const neurons = metagraph.neurons.map((neuron) => ({
      hotkey: hotkey(neuron.hotkey),
      uid: neuron.uid,
      stake: neuron.stake,
      validatorPermit: neuron.validator_permit,
      ip: neuron.ip,
    }));
    current = metagraph;
    updatedAtMs = Date.parse(metagraph.updatedAt);
    byHotkey = new Map(neurons.map((neuron) => [neuron.hotkey, neuron]));
    validators = neurons.filter(({ validatorPermit }) => validatorPermit);
  };
  if (options.stored) replace(options.stored);

  /** A clock that was set back must not make it younger than new. */
  const ageSeconds = (): number => Math.max(0, (clock.nowMs() - updatedAtMs) / 1000);
  const isVoid = (): boolean => ageSeconds() > maxAgeSeconds;

  return {
    open: false,
    neuron: (address) => (isVoid() ? undefined : byHotkey.get(address)),
    validators: () => (isVoid() ? NO_VALIDATORS : validators),
    ageSeconds,
    voidReason: () => {
      if (!isVoid()) return null;
      if (current === null) return "No metagraph yet: the chain has not been reached";
      return `Metagraph is ${Math.floor(ageSeconds() / 3600)} h old and no longer trusted: the chain cannot be reached`;
    },
    current: () => current,
    replace,
  };
}
