import { Piscina } from "piscina";
import { verifySchnorrkel } from "../bittensor/schnorrkel.ts";
import { signMessage, verifySignature, type SecretPair, type SignatureClaim } from "../bittensor/signature.ts";

/** Runs in the signature threads: a check costs a third of a millisecond, a signature a whole one. */

const pair = Piscina.workerData as SecretPair;

export function verify(claim: SignatureClaim): boolean {
  return verifySignature(claim, verifySchnorrkel);
}

export function sign(message: Uint8Array): Uint8Array {
  return signMessage(pair, message);
}
