import { describeError, OperationalError } from "../errors.ts";
import type { LinkMethod, ServeAxonCall } from "./link.ts";

/** What the axon's thread and the chain's thread say to each other (structured clones). */

export type ToWorker =
  | { readonly kind: "call"; readonly id: number; readonly method: LinkMethod; readonly params: unknown }
  | { readonly kind: "signed"; readonly id: number; readonly outcome: Outcome };

export type FromWorker =
  | { readonly kind: "answer"; readonly id: number; readonly outcome: Outcome }
  | { readonly kind: "sign"; readonly id: number; readonly payload: Uint8Array; readonly call: ServeAxonCall }
  | { readonly kind: "head"; readonly block: number }
  | { readonly kind: "lost"; readonly reason: string }
  | { readonly kind: "upgrade"; readonly specVersion: number }
  | { readonly kind: "fault"; readonly reason: string };

export type Outcome =
  | { readonly ok: true; readonly value: unknown }
  | {
      readonly ok: false;
      readonly code: string;
      readonly message: string;
      readonly details: Readonly<Record<string, unknown>>;
    };

/** How it ended, as a value that crosses threads. */
export async function outcomeOf(work: () => unknown): Promise<Outcome> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    const message = describeError(error);
    if (!(error instanceof OperationalError)) return { ok: false, code: "CHAIN_RPC", message, details: {} };
    return { ok: false, code: error.code, message: message.replace(`${error.code}: `, ""), details: error.details };
  }
}

/** The value, or the error thrown again on this side. */
export function valueOf(outcome: Outcome): unknown {
  if (outcome.ok) return outcome.value;
  throw new OperationalError(outcome.code, outcome.message, { details: outcome.details });
}
