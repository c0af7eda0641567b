import type { ApiPromise } from "@polkadot/api";
import type { SubmittableExtrinsic } from "@polkadot/api/types";
import type { ISubmittableResult, SignerPayloadJSON } from "@polkadot/types/types";
import { u8aToHex } from "@polkadot/util";
import { OperationalError } from "../errors.ts";
import type { Inclusion, ServeAxonCall, SignPayload, Submission } from "./link.ts";
import { explainRefusal, poolRefusal, type ServeRefusal } from "./serve-axon.ts";

type Extrinsic = SubmittableExtrinsic<"promise">;

/** Blocks (of 12 s) for which a submitted transaction may still be included; the node rounds up to a power of two. */
const ERA_BLOCKS = 32;

export function serveAxonExtrinsic(api: ApiPromise, call: ServeAxonCall): Extrinsic {
  const { netuid, version, ip, port, ipType, protocol, placeholder1, placeholder2 } = call;
  const create = api.tx["subtensorModule"]?.["serveAxon"];
  if (!create) throw new OperationalError("CHAIN_ANSWER", "This runtime has no SubtensorModule.serve_axon");
  return create(netuid, version, ip, port, ipType, protocol, placeholder1, placeholder2);
}

/**
 * Signs a mortal transaction, submits it and waits for its block. Throws OperationalError CHAIN_REFUSED with the refusal
 * in its details, whichever of its two forms it had.
 */
export async function submitServeAxon(api: ApiPromise, task: Submission & { sign: SignPayload }): Promise<Inclusion> {
  const { call, hotkey, sign } = task;
  const extrinsic = serveAxonExtrinsic(api, call);
  const nonce = await api.rpc.system.accountNextIndex(hotkey.address);
  const signPayload = async (payload: SignerPayloadJSON): Promise<{ id: number; signature: `0x${string}` }> => {
    const bytes = api.registry.createType("ExtrinsicPayload", payload, { version: payload.version });
    const signature = await sign(bytes.toU8a({ method: true }), call);
    // MultiSignature: 0 is ed25519, 1 is sr25519.
    return { id: 1, signature: u8aToHex(Uint8Array.of(hotkey.scheme === "sr25519" ? 1 : 0, ...signature)) };
  };
  await extrinsic.signAsync(hotkey.address, { signer: { signPayload }, nonce, era: ERA_BLOCKS });
  return untilIncluded(api, extrinsic);
}

async function untilIncluded(api: ApiPromise, extrinsic: Extrinsic): Promise<Inclusion> {
  const settled = Promise.withResolvers<Inclusion>();
  let unsubscribe: (() => void) | undefined;
  try {
    unsubscribe = await extrinsic.send((result) => {
      const end = outcomeOf(api, result);
      if (end instanceof OperationalError) settled.reject(end);
      else if (end) settled.resolve({ ...end, extrinsicHash: extrinsic.hash.toHex() });
    });
    return await settled.promise;
  } catch (error) {
    throw refusedByPool(error) ?? error;
  } finally {
    settled.promise.catch(() => undefined);
    unsubscribe?.();
  }
}

function outcomeOf(api: ApiPromise, result: ISubmittableResult): { blockHash: string } | OperationalError | undefined {
  const { status, dispatchError } = result;
  if (status.isInBlock || status.isFinalized) {
    if (dispatchError) {
      const name = dispatchError.isModule
        ? api.registry.findMetaError(dispatchError.asModule).name
        : dispatchError.toString();
      return refused({ form: "dispatch", name });
    }
    return { blockHash: (status.isInBlock ? status.asInBlock : status.asFinalized).toHex() };
  }
  if (result.isError) return refused({ form: "pool", name: "Dropped" });
  return undefined;
}

function refusedByPool(error: unknown): OperationalError | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "number") return undefined;
  const data = "data" in error && typeof error.data === "string" ? error.data : "";
  const refusal = poolRefusal({ code: error.code, message: error.message, data });
  return refusal && refused(refusal);
}

function refused(refusal: ServeRefusal): OperationalError {
  return new OperationalError("CHAIN_REFUSED", `serve_axon was ${explainRefusal(refusal).words}`, {
    details: { refusal },
  });
}
