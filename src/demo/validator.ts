import type { Signer } from "../bittensor/signature.ts";
import { describeError } from "../errors.ts";
import { callAxon, judgeReply, type AxonCall, type AxonReply } from "../evaluation/call-axon.ts";
import type { AssetSymbol } from "../market/assets.ts";
import { INPUT_FIELD, OUTPUT_FIELD, SIMULATION_SYNAPSE } from "../subnets/synth/simulation.ts";

/** One question of a validator, in the field's own terms. */
export interface Prompt {
  readonly asset: AssetSymbol;
  readonly startTimeSeconds: number;
  readonly stepSeconds: number;
  readonly horizonSeconds: number;
  readonly numSimulations: number;
}

export interface Verdict {
  readonly prompt: Prompt;
  /** `CORRECT`, or what a validator would say. */
  readonly verdict: string;
  /** Whether the axon signed its answer correctly; validators do not ask for it, we do. */
  readonly signed: boolean;
  readonly seconds: number;
  readonly bytes: number;
}

export interface AxonAddress {
  readonly url: string;
  readonly hotkey: string;
}

export interface Asker {
  readonly keypair: Signer;
  readonly timeoutSeconds: number;
}

/** The call a validator makes for this prompt. */
export function promptCall(axon: AxonAddress, prompt: Prompt, asker: Asker): AxonCall {
  const simulationInput = {
    asset: prompt.asset,
    start_time: new Date(prompt.startTimeSeconds * 1000).toISOString().replace(".000Z", "+00:00"),
    time_increment: prompt.stepSeconds,
    time_length: prompt.horizonSeconds,
    num_simulations: prompt.numSimulations,
  };
  const fields = { [INPUT_FIELD]: simulationInput, [OUTPUT_FIELD]: null };
  return { ...asker, url: new URL(axon.url), receiver: axon.hotkey, synapse: SIMULATION_SYNAPSE, fields };
}

/** Asks as a validator does and judges the answer by the subnet's rules. Never throws. */
export async function askAxon(axon: AxonAddress, prompt: Prompt, asker: Asker): Promise<Verdict> {
  const call = promptCall(axon, prompt, asker);
  let reply: AxonReply;
  try {
    reply = await callAxon(call);
  } catch (error) {
    return { prompt, verdict: describeError(error), signed: false, seconds: 0, bytes: 0 };
  }
  const { response, seconds, body } = reply;
  const verdict = judgeReply(call, reply);
  return { prompt, verdict, signed: response.signatureValid, seconds, bytes: Buffer.byteLength(body) };
}
