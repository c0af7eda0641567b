import { DEV_PHRASE } from "@polkadot/keyring";
import { keyExtractSuri, keyFromPath, mnemonicToMiniSecret } from "@polkadot/util-crypto";
import { pairFromSeed, type SignatureScheme } from "../bittensor/signature.ts";
import { OperationalError } from "../errors.ts";
import { parseHex } from "./hex.ts";
import { keypairFromSecret, type Keypair } from "./keypair.ts";

/**
 * A key as substrate writes it for development: `//Alice`, a mnemonic or a `0x` seed of 32 bytes, each with an optional
 * derivation path and password (`phrase//hard/soft///password`). For tests and local validators: real hotkeys come from
 * files, and importing this takes 200 MB for the derivation code of @polkadot.
 */
export function keypairFromUri(uri: string, scheme: SignatureScheme = "sr25519"): Keypair {
  try {
    const { phrase, password, path } = keyExtractSuri(uri.startsWith("//") ? DEV_PHRASE + uri : uri);
    const seed = parseHex(phrase, 32) ?? mnemonicToMiniSecret(phrase, password);
    const pair = keyFromPath(pairFromSeed(seed, scheme), path, scheme);
    return keypairFromSecret({ scheme, publicKey: pair.publicKey, secretKey: pair.secretKey });
  } catch {
    // The library's message may quote the phrase, so it is not passed on.
    throw new OperationalError("KEY_INVALID", "Expected a valid mnemonic, a 0x seed of 32 bytes or a //Name");
  }
}
