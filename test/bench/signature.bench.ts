/**
 * Milliseconds of one sr25519 check, of a good and of a forged signature: the axon's (schnorrkel as WebAssembly) and its peer
 * `@scure/sr25519`, in turn. Run: npm run bench:signatures
 */
import { verifySchnorrkel } from "../../src/bittensor/schnorrkel.ts";
import { verifySignature, type SignatureClaim } from "../../src/bittensor/signature.ts";
import { keypairFromSeed } from "../../src/wallet/keypair.ts";
import { machine, note, quantile } from "./load-run.ts";

const ROUNDS = 300;
const WARM_UP = 50;

const keypair = keypairFromSeed(new Uint8Array(32).fill(7));
const message = Buffer.from("1766000000000000000.5F.5G.8f0c.e3b0c44298fc1c149afbf4c8996fb924".repeat(2));
const good: SignatureClaim = {
  scheme: "sr25519",
  address: keypair.address,
  message,
  signature: keypair.sign(message),
};
const forged = { ...good, signature: keypairFromSeed(new Uint8Array(32).fill(8)).sign(message) };
const ways = {
  schnorrkel: (claim: SignatureClaim) => verifySignature(claim, verifySchnorrkel),
  scure: (claim: SignatureClaim) => verifySignature(claim),
};

note("machine", machine());
for (const [name, claim, valid] of [
  ["good", good, true],
  ["forged", forged, false],
] as const) {
  const times: Record<keyof typeof ways, number[]> = { schnorrkel: [], scure: [] };
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    for (const way of ["schnorrkel", "scure"] as const) {
      const startMs = performance.now();
      if (ways[way](claim) !== valid) throw new Error(`${way} is wrong about a ${name} signature`);
      if (round >= 0) times[way].push(performance.now() - startMs);
    }
  }
  const [own, peer] = [quantile(times.schnorrkel, 0.5), quantile(times.scure, 0.5)];
  const round = (ms: number): number => Math.round(ms * 1000) / 1000;
  note(`a ${name} signature, median ms`, { schnorrkel: round(own), scure: round(peer), ratio: round(own / peer) });
}
