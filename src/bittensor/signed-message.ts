const encoder = new TextEncoder();

/** A version as the protocol's integer: major*10^6 + minor*10^3 + patch. */
export function versionNumber(major: number, minor: number, patch: number): number {
  return major * 1_000_000 + minor * 1_000 + patch;
}

/** The SDK whose wire behaviour this axon and dendrite have. */
export const PROTOCOL_VERSION = versionNumber(10, 0, 1);

/** What a dendrite signs. `axonHotkey` is the receiver's own, whatever the headers claim. */
export function requestMessage(parts: {
  nonce: bigint;
  dendriteHotkey: string;
  axonHotkey: string;
  uuid: string;
  computedBodyHash: string;
}): Uint8Array {
  const { nonce, dendriteHotkey, axonHotkey, uuid, computedBodyHash } = parts;
  return encoder.encode(`${nonce.toString()}.${dendriteHotkey}.${axonHotkey}.${uuid}.${computedBodyHash}`);
}

/** What an axon signs in its response; nonce and uuid are the axon's. */
export function responseMessage(parts: {
  nonce: bigint;
  dendriteHotkey: string;
  axonHotkey: string;
  uuid: string;
}): Uint8Array {
  const { nonce, dendriteHotkey, axonHotkey, uuid } = parts;
  return encoder.encode(`${nonce.toString()}.${dendriteHotkey}.${axonHotkey}.${uuid}`);
}
