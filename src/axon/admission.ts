import {
  btauthMessage,
  BTAUTH_AHEAD_NS,
  BTAUTH_BACK_NS,
  refuseBtauth,
  type BtauthHeaders,
} from "../bittensor/btauth.ts";
import { parseSignature, type SignatureClaim } from "../bittensor/signature.ts";
import { requestMessage } from "../bittensor/signed-message.ts";
import { publicKeyOf } from "../bittensor/ss58.ts";
import type { SynapseHeaders } from "../bittensor/synapse-headers.ts";
import type { Metagraph, Neuron } from "../chain/metagraph.ts";
import type { Clock } from "../clock.ts";
import type { Config } from "../config/schema.ts";
import { hotkey, millisToNanos, type Hotkey } from "../units.ts";
import type { NonceBook, NonceClaim, NonceRefusal } from "./nonces.ts";
import { notVerified, refuse, type Refusal } from "./refusal.ts";
import type { SignaturePool } from "./signatures.ts";
import type { FairQueue } from "./fair-queue.ts";
import type { KnownAddresses } from "./known-addresses.ts";
import { ownerOf } from "./sender-address.ts";
import type { Sender } from "./synapse-service.ts";

/** How old a nonce may be at the first sight of its pair, beyond the request's own timeout. */
export const NONCE_SLACK_SECONDS = 4;
/**
 * A wall clock that was stepped forward may be wrong now or have been wrong before: up to so far apart, the time that has truly
 * passed since our start counts too. Beyond, it says nothing (a machine that slept).
 */
export const MAX_CLOCK_STEP_SECONDS = 120;

export interface Gate {
  readonly ownHotkey: Hotkey;
  readonly blacklist: Config["blacklist"];
  readonly maxTimeoutSeconds: number;
  readonly nonceFutureSeconds: number;
  readonly metagraph: Metagraph;
  readonly nonces: NonceBook;
  readonly signatures: SignaturePool;
  /** Signature checks, in turn by source address. */
  readonly verifications: FairQueue;
  /** Where validators ask from: their checks go before those of strangers. */
  readonly known: KnownAddresses;
  /** Wall clock. */
  readonly clock: Clock;
  /** Of deadlines and timings: a step of the wall clock must not refuse what waits. */
  readonly steadyClock: Clock;
}

/** Where a request comes from, and whether it is still waited for. */
export interface Caller {
  readonly ip: string;
  readonly signal: AbortSignal;
}

export type Admitted = { readonly ok: true; readonly sender: Sender } | Refusal;

/** Checks of a synapse request that need neither its body nor a signature check, cheapest first. */
export function screenSynapse(gate: Gate, headers: SynapseHeaders): Admitted {
  const { hotkey: claimed, signature, nonce, uuid } = headers.dendrite;
  if (claimed === undefined) return blacklisted("missing_hotkey", "Missing dendrite or hotkey");
  if (signature === undefined) return blacklisted("missing_signature", "Missing signature");
  const known = screenHotkey(gate, claimed);
  if (!known.ok) return known;
  const receiver = headers.axon.hotkey;
  if (receiver !== undefined && receiver !== gate.ownHotkey) {
    return notVerified("wrong_receiver", `Wrong receiver: this axon is ${gate.ownHotkey}`);
  }
  if (nonce === undefined) return notVerified("missing_nonce", "Missing Nonce");
  if (uuid === undefined) return notVerified("missing_uuid", "Missing uuid");
  const refused = gate.nonces.check(synapseClaim(gate, headers));
  return refused === undefined ? known : staleNonce(refused);
}

/** The signature of a screened request; remembers its nonce once it proved valid. */
export async function verifySynapse(gate: Gate, headers: SynapseHeaders, caller: Caller): Promise<Refusal | undefined> {
  const { hotkey: address = "", nonce = 0n, uuid = "", signature: text = "" } = headers.dendrite;
  const signature = parseSignature(text);
  if (signature === undefined) return signatureMismatch();
  const message = requestMessage({
    nonce,
    dendriteHotkey: address,
    axonHotkey: gate.ownHotkey,
    uuid,
    computedBodyHash: headers.computedBodyHash,
  });
  const invalid = await checkSignature(gate, { scheme: "sr25519", address, message, signature }, caller);
  if (invalid !== undefined) return invalid;
  const refused = gate.nonces.claim(synapseClaim(gate, headers));
  if (refused !== undefined) return staleNonce(refused);
  gate.known.add(caller.ip); // only now: a copy of a validator's request must not make its sender known
  return undefined;
}

export function screenBtauth(gate: Gate, headers: BtauthHeaders): Admitted {
  const known = screenHotkey(gate, headers.sender);
  if (!known.ok) return known;
  const why = refuseBtauth(headers, { ownHotkey: gate.ownHotkey, nowNs: millisToNanos(gate.clock.nowMs()) });
  return why === undefined ? known : notVerified("btauth", why);
}

/** `btauth/1` signs the raw body, so this follows its reading. */
export async function verifyBtauth(
  gate: Gate,
  headers: BtauthHeaders,
  request: Caller & { method: string; target: string; bodySha256: string },
): Promise<Refusal | undefined> {
  const { scheme, sender, signature } = headers;
  const message = btauthMessage({ ...headers, ...request });
  const invalid = await checkSignature(gate, { scheme, address: sender, message, signature }, request);
  if (invalid !== undefined) return invalid;
  const nowNs = millisToNanos(gate.clock.nowMs());
  const refused = gate.nonces.claim({
    key: `btauth:${sender}:${headers.nonce.toString()}`,
    nonce: headers.nonce,
    notBeforeNs: nowNs - BTAUTH_BACK_NS - 1n,
    notAfterNs: nowNs + BTAUTH_AHEAD_NS,
  });
  if (refused !== undefined) return staleNonce(refused);
  gate.known.add(request.ip);
  return undefined;
}

/** In turn by address. What a client no longer waits for gives up its place: hanging up must not cost us a thread's time. */
async function checkSignature(gate: Gate, claim: SignatureClaim, caller: Caller): Promise<Refusal | undefined> {
  const { ip, signal } = caller;
  const check = (): Promise<boolean> => gate.signatures.verify(claim);
  const valid = await gate.verifications.run(ownerOf(ip, gate.known), check, { first: gate.known.has(ip), signal });
  if (signal.aborted) return clientGone();
  if (valid === undefined) return tooManyRequests();
  if (!valid) return signatureMismatch();
  return undefined;
}

/** The subnet's blacklist, its order and its words. */
function screenHotkey(gate: Gate, claimed: string): Admitted {
  const { blacklist, metagraph } = gate;
  const neuron = metagraph.neuron(claimed);
  if (neuron === undefined) {
    const welcome = (metagraph.open || blacklist.allowNonRegistered) && publicKeyOf(claimed) !== undefined;
    if (!welcome) {
      const reason = metagraph.voidReason();
      if (reason !== null) return blacklisted("metagraph_void", reason);
      return blacklisted("unrecognized_hotkey", "Unrecognized hotkey");
    }
    return { ok: true, sender: { hotkey: hotkey(claimed), stake: 0 } };
  }
  return refuseNeuron(blacklist, neuron) ?? { ok: true, sender: { hotkey: neuron.hotkey, stake: neuron.stake } };
}

/** Why the blacklist does not answer a registered neuron. */
export function refuseNeuron(blacklist: Config["blacklist"], neuron: Neuron): Refusal | undefined {
  if (neuron.stake < blacklist.validatorMinStake) return blacklisted("low_stake", "Stake below minimum threshold");
  if (blacklist.forceValidatorPermit && !neuron.validatorPermit)
    return blacklisted("no_permit", "Non-validator hotkey");
  return undefined;
}

function synapseClaim(gate: Gate, headers: SynapseHeaders): NonceClaim {
  const { hotkey: address = "", nonce = 0n, uuid = "" } = headers.dendrite;
  const [nowMs, steadyMs] = [gate.clock.nowMs(), gate.steadyClock.nowMs()];
  const isStepped = steadyMs < nowMs && nowMs - steadyMs <= MAX_CLOCK_STEP_SECONDS * 1000;
  const timeoutSeconds = Math.min(headers.timeoutSeconds, gate.maxTimeoutSeconds);
  return {
    key: `${address}:${uuid}`,
    nonce,
    notBeforeNs: millisToNanos(isStepped ? steadyMs : nowMs) - secondsToNanos(NONCE_SLACK_SECONDS + timeoutSeconds),
    notAfterNs: millisToNanos(nowMs) + secondsToNanos(gate.nonceFutureSeconds),
  };
}

function secondsToNanos(seconds: number): bigint {
  return BigInt(Math.round(seconds * 1e6)) * 1000n;
}

function blacklisted(code: string, reason: string): Refusal {
  return refuse(403, code, `Forbidden. Key is blacklisted: ${reason}.`);
}

function staleNonce(refused: NonceRefusal): Refusal {
  switch (refused) {
    case "too old":
      return notVerified("nonce_old", "Nonce is too old");
    case "a newer one was last processed":
      return notVerified("nonce_replayed", "Nonce is too old, a newer one was last processed");
    case "too far in the future":
      return notVerified("nonce_future", "Nonce is too far in the future");
  }
}

function signatureMismatch(): Refusal {
  return notVerified("signature", "Signature mismatch");
}

export function clientGone(): Refusal {
  return refuse(499, "client_gone", "The client closed the connection");
}

export function tooManyRequests(): Refusal {
  const message = "Too many unverified requests from this address, try again";
  return { ...refuse(429, "too_many_unverified", message), retryAfterSeconds: 1 };
}
