import { createRequire } from "node:module";
import * as sr25519 from "@scure/sr25519";
import type * as WasmCrypto from "@polkadot/wasm-crypto";
import type { VerifySr25519 } from "./signature.ts";

/**
 * The reference implementation of sr25519 (Rust's schnorrkel, which validators' own tools sign with) as WebAssembly: checks a
 * signature in a sixth of the time that `@scure/sr25519` takes. Takes 30 MB and a tenth of a second to load, so only the
 * axon's signature threads do. Asked for as CommonJS: its ES modules take twice the memory.
 */
const wasm = createRequire(import.meta.url)("@polkadot/wasm-crypto") as typeof WasmCrypto;
const isReady = await wasm.waitReady();
if (!isReady) process.emitWarning("WebAssembly cannot be had: signatures are checked by scure, six times as slowly");

/**
 * False for whatever is no signature or no key, and for the key of all zeros (the chain's placeholder), under which anybody
 * can sign: schnorrkel takes that one. Where WebAssembly cannot be had (an address-space limit), scure serves.
 */
export const verifySchnorrkel: VerifySr25519 = isReady
  ? (message, signature, publicKey) =>
      publicKey.some((byte) => byte !== 0) && wasm.sr25519Verify(signature, message, publicKey)
  : sr25519.verify;
