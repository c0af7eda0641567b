import type { Hotkey, UnixMillis } from "../units.ts";

/** Who asked, as proven by the admission. */
export interface Sender {
  readonly hotkey: Hotkey;
  /** Metagraph S; 0 for senders the metagraph does not know (open mode). */
  readonly stake: number;
}

export interface CallContext {
  readonly sender: Sender;
  readonly receivedAtMs: UnixMillis;
  /** When the answer must have left, by the steady clock. */
  readonly deadlineMs: UnixMillis;
  readonly signal: AbortSignal;
}

export type Accepted<Work> =
  | {
      readonly ok: true;
      readonly work: Work;
      /** Size of the work in any unit; the axon learns milliseconds per unit to foresee missed deadlines. */
      readonly cost: number;
    }
  | { readonly ok: false; readonly status: 400; readonly code: string; readonly message: string };

export type Answer =
  | {
      readonly ok: true;
      /** Fields of the synapse to set in the response, as JSON text. */
      readonly fields: Readonly<Record<string, Uint8Array>>;
      /** Whatever reproduces the answer; recorded, never sent. */
      readonly evidence: unknown;
    }
  | { readonly ok: false; readonly status: 400 | 500 | 503; readonly code: string; readonly message: string };

/**
 * One synapse that an axon serves. A further subnet implements this and nothing else of the axon. `accept` is cheap and
 * treats every value of the body as hostile; `gather` waits for the network; `run` starts when the request's turn has come. Neither throws for bad input.
 */
export interface SynapseService<Work = unknown> {
  /** Route and `name` header, e.g. `Simulation`. */
  readonly name: string;
  /** Body fields whose hashes make up `computed_body_hash`, in order. Empty for Simulation. */
  readonly requiredHashFields: readonly string[];
  /** Fields of the request's synapse that the response repeats or fills, with their value when the request lacks them. */
  readonly responseFields: readonly string[];
  accept(body: Readonly<Record<string, unknown>>, sender: Sender): Accepted<Work>;
  /** Fetches what `run` needs from elsewhere, before the request queues for its turn: waiting takes no worker's time. */
  gather?(work: Work, context: CallContext): Promise<Work>;
  run(work: Work, context: CallContext): Promise<Answer>;
}

/** One admitted request from first byte to last: what the recording log keeps. */
export interface Exchange {
  readonly receivedAtMs: UnixMillis;
  readonly remoteIp: string;
  readonly method: string;
  readonly path: string;
  /** Request headers as received, names lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** As received; of a refused request at most the first 64 KiB. */
  readonly body: Uint8Array;
  readonly synapse: string;
  readonly scheme: "synapse" | "btauth";
  readonly sender: Sender;
  /** Our own hotkey, the receiver that the signature names. */
  readonly receiver: Hotkey;
  readonly status: number;
  readonly message: string;
  /** Hex SHA-256 of each answered field's JSON text. */
  readonly fieldDigests: Readonly<Record<string, string>>;
  /** Of the body as it left, compressed or not. */
  readonly responseBytes: number;
  readonly evidence: unknown;
  readonly timings: {
    readonly admissionMs: number;
    readonly queueMs: number;
    readonly runMs: number;
    readonly totalMs: number;
  };
}
