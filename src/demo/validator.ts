import { randomUUID } from "node:crypto";
import axios from "axios";
import { parseSynapseResponse, signedRequest } from "../bittensor/dendrite.ts";
import type { Clock } from "../clock.ts";
import { describeError } from "../errors.ts";
import type { AssetSymbol } from "../market/assets.ts";
import { validateAnswer } from "../subnets/synth/validate-answer.ts";
import { millisToNanos, unixSeconds } from "../units.ts";
import type { Keypair } from "../wallet/keypair.ts";

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

/** Far above the largest answer we give (4 MB). */
const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

/** Asks as a validator does (signed, with its timeout) and judges the answer by the subnet's rules. Never throws. */
export async function askAxon(
  axon: AxonAddress,
  prompt: Prompt,
  context: { keypair: Keypair; timeoutSeconds: number; clock: Clock },
): Promise<Verdict> {
  const { keypair, timeoutSeconds, clock } = context;
  const startedMs = clock.nowMs();
  const request = signedRequest({
    keypair,
    receiverHotkey: axon.hotkey,
    synapse: "Simulation",
    body: {
      simulation_input: {
        asset: prompt.asset,
        start_time: new Date(prompt.startTimeSeconds * 1000).toISOString().replace(".000Z", "+00:00"),
        time_increment: prompt.stepSeconds,
        time_length: prompt.horizonSeconds,
        num_simulations: prompt.numSimulations,
      },
      simulation_output: null,
    },
    timeoutSeconds,
    nonce: millisToNanos(startedMs),
    uuid: randomUUID(),
  });
  let answeredMs = startedMs;
  const judge = (verdict: string, received: { bytes: number; signed: boolean }): Verdict => {
    return { prompt, verdict, seconds: (answeredMs - startedMs) / 1000, ...received };
  };
  try {
    const { status, headers, data } = await axios.post<string>(`${axon.url}${request.path}`, request.body, {
      headers: request.headers,
      responseType: "text",
      transformResponse: (text: string) => text,
      validateStatus: () => true,
      timeout: timeoutSeconds * 1000,
      maxContentLength: MAX_RESPONSE_BYTES,
      proxy: false,
    });
    answeredMs = clock.nowMs();
    const bytes = Buffer.byteLength(data);
    const hotkeys = { dendriteHotkey: keypair.address, axonHotkey: axon.hotkey };
    const response = parseSynapseResponse({ status, headers: plainHeaders(headers), body: data }, hotkeys);
    const received = { bytes, signed: response.signatureValid };
    if (response.status !== 200) return judge(`${response.status} ${response.message}`, received);
    const expected = { ...prompt, startTime: unixSeconds(prompt.startTimeSeconds) };
    return judge(validateAnswer(response.json?.["simulation_output"], expected), received);
  } catch (error) {
    answeredMs = clock.nowMs();
    return judge(describeError(error), { bytes: 0, signed: false });
  }
}

function plainHeaders(headers: object): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]));
}
