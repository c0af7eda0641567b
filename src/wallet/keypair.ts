import {
  pairFromSeed,
  signMessage,
  type SecretPair,
  type SignatureScheme,
  type Signer,
} from "../bittensor/signature.ts";
import { addressOf } from "../bittensor/ss58.ts";
import { hotkey, type Hotkey } from "../units.ts";

/** A hotkey with its secret. The secret stays inside closures, where no log line or error can reach it. */
export interface Keypair extends Signer {
  readonly address: Hotkey;
  readonly publicKey: Uint8Array;
  /** The secret itself, for a signing thread. */
  revealSecret(): SecretPair;
}

export function keypairFromSecret(pair: SecretPair): Keypair {
  return {
    scheme: pair.scheme,
    address: hotkey(addressOf(pair.publicKey)),
    publicKey: pair.publicKey,
    sign: (message) => signMessage(pair, message),
    revealSecret: () => pair,
  };
}

/** `seed`: 32 bytes. */
export function keypairFromSeed(seed: Uint8Array, scheme: SignatureScheme = "sr25519"): Keypair {
  return keypairFromSecret(pairFromSeed(seed, scheme));
}
