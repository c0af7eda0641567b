import { createHash } from "node:crypto";
import { screenBtauth, screenSynapse, verifyBtauth, verifySynapse, type Caller, type Gate } from "../axon/admission.ts";
import type { NonceBook } from "../axon/nonces.ts";
import { pingService } from "../axon/ping.ts";
import { refuse, type Refusal } from "../axon/refusal.ts";
import { parseJsonBody } from "../axon/request-body.ts";
import { createFairQueue } from "../axon/fair-queue.ts";
import { bodyHash } from "../bittensor/body-hash.ts";
import { parseBtauthHeaders, usesBtauth } from "../bittensor/btauth.ts";
import { verifySignature } from "../bittensor/signature.ts";
import { parseSynapseHeaders, type SynapseHeaders } from "../bittensor/synapse-headers.ts";
import { openMetagraph } from "../chain/metagraph.ts";
import type { Config } from "../config/schema.ts";
import type { ForecastRequest } from "../engines/engine.ts";
import { INPUT_FIELD, SIMULATION_SYNAPSE, parseSimulation } from "../subnets/synth/simulation.ts";
import { type Hotkey, type UnixMillis, unixMillis } from "../units.ts";
import type { RawRequest } from "./raw-request.ts";

/** The step that refused; `passed` where none did. In the axon's order. */
export type AdmissionStep =
  "route" | "headers" | "sender, receiver and nonce" | "signature" | "body" | "simulation input";

export type Readmission = {
  readonly synapse: string;
  readonly headers: SynapseHeaders | null;
  /** Fields of the body; empty where it was not read. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Proven by the signature. */
  readonly sender: string | null;
} & (
  | { readonly ok: true; readonly request: ForecastRequest | null }
  | { readonly ok: false; readonly step: AdmissionStep; readonly refusal: Refusal }
);

export interface ReadmissionOptions {
  /** The hotkey that the signature must name. */
  readonly receiver: Hotkey;
  /** When the request came; null takes the nonce's own time, where the arrival is not known. */
  readonly receivedAtMs: UnixMillis | null;
  readonly limits: Pick<Config["axon"], "maxTimeoutSeconds" | "nonceFutureSeconds">;
}

/**
 * The axon's own checks of a request, in its order and words, as far as the request alone decides them: the metagraph
 * and the nonces of its day are not at hand, so every hotkey counts as registered and every nonce as new.
 */
export async function readmit(request: RawRequest, options: ReadmissionOptions): Promise<Readmission> {
  const name = request.path.split("?", 1)[0]!.slice(1);
  const seen = { synapse: name, headers: null, fields: {}, sender: null } as const;
  if (name !== SIMULATION_SYNAPSE && name !== pingService.name) {
    return {
      ...seen,
      ok: false,
      step: "route",
      refusal: refuse(404, "unknown_synapse", `Synapse name '${name}' not found`),
    };
  }
  const proof = usesBtauth(request.headers)
    ? await proveBtauth(request, options)
    : await proveSynapse(request, options);
  if (!proof.ok) return { ...seen, ...proof };
  const proven = { ...seen, headers: proof.headers, sender: proof.sender };
  const body = readBody(request, proof.scheme === "synapse" ? proof.headers.computedBodyHash : null);
  if (!body.ok) return { ...proven, ok: false, step: "body", refusal: body };
  const read = { ...proven, fields: body.value };
  if (name === pingService.name) return { ...read, ok: true, request: null };
  const parsed = parseSimulation(body.value[INPUT_FIELD], options.receiver);
  if (parsed.ok) return { ...read, ok: true, request: parsed.request };
  return { ...read, ok: false, step: "simulation input", refusal: refuse(400, parsed.code, parsed.message) };
}

type Proof =
  | {
      readonly ok: true;
      readonly scheme: "synapse" | "btauth";
      readonly headers: SynapseHeaders;
      readonly sender: string;
    }
  | { readonly ok: false; readonly step: AdmissionStep; readonly refusal: Refusal };

/** Nobody hangs up in a recording. */
const RECORDED: Caller = { ip: "", signal: new AbortController().signal };

async function proveSynapse(request: RawRequest, options: ReadmissionOptions): Promise<Proof> {
  const parsed = parseSynapseHeaders(request.headers);
  if (!parsed.ok) return refusedAt("headers", badHeaders(parsed.message));
  const gate = replayGate(options, parsed.value.dendrite.nonce);
  const screened = screenSynapse(gate, parsed.value);
  if (!screened.ok) return refusedAt("sender, receiver and nonce", screened);
  const refusal = await verifySynapse(gate, parsed.value, RECORDED);
  if (refusal !== undefined) return refusedAt("signature", refusal);
  return { ok: true, scheme: "synapse", headers: parsed.value, sender: screened.sender.hotkey };
}

async function proveBtauth(request: RawRequest, options: ReadmissionOptions): Promise<Proof> {
  const [parsed, carrier] = [parseBtauthHeaders(request.headers), parseSynapseHeaders(request.headers)];
  if (!parsed.ok) return refusedAt("headers", badHeaders(parsed.message));
  if (!carrier.ok) return refusedAt("headers", badHeaders(carrier.message));
  const { sender, nonce, signatureText } = parsed.value;
  const gate = replayGate(options, nonce);
  const screened = screenBtauth(gate, parsed.value);
  if (!screened.ok) return refusedAt("sender, receiver and nonce", screened);
  const bodySha256 = createHash("sha256").update(request.body).digest("hex");
  const signed = { ...RECORDED, method: request.method, target: request.path, bodySha256 };
  const refusal = await verifyBtauth(gate, parsed.value, signed);
  if (refusal !== undefined) return refusedAt("signature", refusal);
  const headers = { ...carrier.value, axon: {}, dendrite: { hotkey: sender, nonce, signature: signatureText } };
  return { ok: true, scheme: "btauth", headers, sender };
}

function refusedAt(step: AdmissionStep, refusal: Refusal): Proof {
  return { ok: false, step, refusal };
}

function badHeaders(message: string): Refusal {
  return refuse(400, "headers", `Improperly formatted request headers. ${message}`);
}

/** An empty body of a GET is a ping; the hash is checked for synapse requests only (`btauth/1` signs the body). */
function readBody(request: RawRequest, claimedHash: string | null): ReturnType<typeof parseJsonBody> {
  const isBare = request.method === "GET" && request.body.length === 0;
  const body = parseJsonBody(isBare ? Buffer.from("{}") : request.body);
  if (!body.ok || claimedHash === null) return body;
  // Neither Simulation nor the ping has required hash fields.
  const expected = bodyHash(body.text, []);
  if (expected === claimedHash) return body;
  const message = `Hash mismatch between header body hash ${claimedHash} and parsed body hash ${expected}`;
  return refuse(400, "body_hash", message);
}

/** The axon's gate at the time of the request, with signatures checked in this thread. */
function replayGate(options: ReadmissionOptions, nonce: bigint | undefined): Gate {
  const nowMs = options.receivedAtMs ?? unixMillis(Number((nonce ?? 0n) / 1_000_000n));
  const clock = { nowMs: () => nowMs, sleep: () => Promise.resolve() };
  return {
    ownHotkey: options.receiver,
    blacklist: { forceValidatorPermit: false, validatorMinStake: 0, allowNonRegistered: true },
    ...options.limits,
    metagraph: openMetagraph(),
    nonces: unusedNonces,
    signatures: {
      verify: (claim) => Promise.resolve(verifySignature(claim)),
      sign: () => Promise.reject(new Error("a replay signs nothing")),
      close: () => Promise.resolve(),
    },
    known: { add: () => undefined, has: () => false, close: () => Promise.resolve() },
    verifications: createFairQueue({ concurrency: 1, total: 1, perOwner: 1 }),
    clock,
    steadyClock: clock,
  };
}

const freshness: NonceBook["check"] = ({ nonce, notBeforeNs, notAfterNs }) => {
  if (nonce > notAfterNs) return "too far in the future";
  return nonce > notBeforeNs ? undefined : "too old";
};

const unusedNonces: NonceBook = { check: freshness, claim: freshness, size: () => 0, close: () => undefined };
