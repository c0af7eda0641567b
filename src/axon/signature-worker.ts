import { Piscina } from "piscina";
import { signMessage, verifySignature, type SecretPair, type SignatureClaim } from "../bittensor/signature.ts";

/** Runs in the signature threads: one check or signature costs milliseconds of pure computation. */

const pair = Piscina.workerData as SecretPair;

export function verify(claim: SignatureClaim): boolean {
  return verifySignature(claim);
}

export function sign(message: Uint8Array): Uint8Array {
  return signMessage(pair, message);
}
