import { isIP } from "node:net";
import { publicKeyOf } from "../bittensor/ss58.ts";
import type { SubnetAnswer } from "./link.ts";
import type { StoredMetagraph } from "./stored-metagraph.ts";

/** Whether an answer may replace the last metagraph. One endpoint may lie, lag or be broken; all of them rarely do. */

/** An answer with fewer than this share of the neurons, or of the validators' stake, that there were is doubted. */
const COLLAPSE_SHARE = 0.5;

/** An honest node may be this many blocks (of 12 s) behind another one. */
const LAG_BLOCKS = 5;

/** Doubts that are dropped when every endpoint says the same for long enough. */
export type Doubt = "collapsed" | "no_validators" | "stake_collapsed" | "behind" | "unregistered";

export type Judgement =
  | { readonly verdict: "plausible" }
  /** May be true, if others say so too. */
  | { readonly verdict: "doubtful"; readonly doubts: readonly Doubt[] }
  /** Never true. */
  | { readonly verdict: "impossible"; readonly reason: string };

export function judgeSubnet(
  answer: SubnetAnswer,
  context: { previous: StoredMetagraph | null; ownHotkey: string; endpoints: number },
): Judgement {
  const reason = impossibility(answer);
  if (reason !== undefined) return { verdict: "impossible", reason };
  const { previous, ownHotkey, endpoints } = context;
  const doubts: Doubt[] = [];
  const isRegistered = (neurons: readonly { hotkey: string }[]): boolean =>
    neurons.some((neuron) => neuron.hotkey === ownHotkey);
  if (previous !== null) {
    const validators = answer.neurons.filter((neuron) => neuron.validatorPermit);
    const hadValidators = previous.neurons.filter((neuron) => neuron.validator_permit);
    if (answer.neurons.length < previous.neurons.length * COLLAPSE_SHARE) doubts.push("collapsed");
    if (validators.length === 0 && hadValidators.length > 0) doubts.push("no_validators");
    else if (stakeOf(validators) < stakeOf(hadValidators) * COLLAPSE_SHARE) doubts.push("stake_collapsed");
    if (answer.block < previous.block - LAG_BLOCKS) doubts.push("behind");
  }
  if (!isRegistered(answer.neurons) && (endpoints > 1 || (previous !== null && isRegistered(previous.neurons)))) {
    doubts.push("unregistered");
  }
  return doubts.length === 0 ? { verdict: "plausible" } : { verdict: "doubtful", doubts };
}

function stakeOf(neurons: readonly { readonly stake: number }[]): number {
  return neurons.reduce((sum, { stake }) => sum + stake, 0);
}

function impossibility(answer: SubnetAnswer): string | undefined {
  const { neurons } = answer;
  if (neurons.length === 0) return "it has no neurons";
  const hotkeys = new Set(neurons.map(({ hotkey }) => hotkey));
  if (hotkeys.size !== neurons.length) return "it lists a hotkey twice";
  if (new Set(neurons.map(({ uid }) => uid)).size !== neurons.length) return "it lists a uid twice";
  const odd = neurons.find(({ hotkey }) => publicKeyOf(hotkey) === undefined);
  if (odd) return `${JSON.stringify(odd.hotkey.slice(0, 64))} is no ss58 address of prefix 42`;
  const wrong = neurons.find(({ stake, ip }) => !(stake >= 0) || (ip !== null && isIP(ip) === 0));
  return wrong && `the stake or IP of uid ${wrong.uid} is none`;
}

/** How often each endpoint must repeat a doubtful answer before it is believed. */
const REPETITIONS = 2;

/**
 * Counts doubtful answers by endpoint. Believed when every endpoint that answers has given one REPETITIONS times in a row
 * (once, where the only doubt is that we are unregistered and nothing kept says otherwise). An endpoint that failed since abstains.
 */
export class DoubtLedger {
  readonly #urls: readonly string[];
  readonly #votes = new Map<string, number>();
  readonly #abstained = new Set<string>();

  constructor(urls: readonly string[]) {
    this.#urls = urls;
  }

  /** Whether this answer is to be believed all the same. */
  doubt(url: string, context: { doubts: readonly Doubt[]; wasRegistered: boolean }): boolean {
    const { doubts, wasRegistered } = context;
    this.#abstained.delete(url);
    this.#votes.set(url, (this.#votes.get(url) ?? 0) + 1);
    const needed = !wasRegistered && doubts.every((doubt) => doubt === "unregistered") ? 1 : REPETITIONS;
    return this.#urls.every((each) => this.#abstained.has(each) || (this.#votes.get(each) ?? 0) >= needed);
  }

  /** The endpoint could not be asked, or said what cannot be. */
  failed(url: string): void {
    if (this.#votes.size > 0) this.#abstained.add(url);
  }

  clear(): void {
    this.#votes.clear();
    this.#abstained.clear();
  }
}
