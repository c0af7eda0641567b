import { isIP } from "node:net";
import type { Clock } from "../clock.ts";
import { describeError, OperationalError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Keypair } from "../wallet/keypair.ts";
import type { ExternalAddress } from "./external-address.ts";
import type { AxonAnswer, ChainLink, ServeAxonCall, SignPayload } from "./link.ts";
import {
  decideServing,
  explainRefusal,
  ipOfInteger,
  isServed,
  serveAxonCall,
  type ServeRefusal,
} from "./serve-axon.ts";
import { checkPayload } from "./signing.ts";

export type ServingState =
  "unknown" | "no_address" | "not_registered" | "identical" | "served" | "waiting" | "dry_run" | "refused" | "failed";

export interface ServingStats {
  readonly state: ServingState;
  /** `ip:port` that the chain is to announce. */
  readonly wanted: string | null;
  /** Why the chain does not announce it, in words. */
  readonly reason: string | null;
  readonly submitted: number;
}

export interface PublisherOptions {
  readonly netuid: number;
  readonly keypair: Keypair;
  readonly address: ExternalAddress;
  readonly port: number;
  readonly version: number;
  readonly dryRun: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where a dry run shows the extrinsic. */
  readonly print: (text: string) => void;
}

const SOON_BASE_MS = 12_000;
const SOON_CAP_MS = 600_000;
/** What cannot help as long as nothing changes is tried again after this all the same. */
const HOLD_MS = 3_600_000;
/** Wait after a rate-limit refusal where our own arithmetic saw no limit. */
const RATE_LIMIT_BLOCKS = 5;

/** Keeps `Axons(netuid, hotkey)` what it should be. */
export class AxonPublisher {
  readonly #options: PublisherOptions;
  #stats: ServingStats = { state: "unknown", wanted: null, reason: null, submitted: 0 };
  #due = { block: Number.POSITIVE_INFINITY, ms: Number.POSITIVE_INFINITY };
  /** In a row. */
  #refusals = 0;
  #held: { readonly key: string; readonly untilMs: number } | undefined;
  #printed: string | undefined;
  #said: string | undefined;
  /** What `sign` may sign: set only while this very call is being submitted. */
  #submitting: { readonly call: ServeAxonCall; readonly genesis: string } | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  stats(): ServingStats {
    return this.#stats;
  }

  /** Whether there is something to do before the next metagraph refresh. */
  isDue(block: number): boolean {
    return block >= this.#due.block || this.#options.clock.nowMs() >= this.#due.ms;
  }

  /** When `isDue` may turn true without a new block. */
  dueMs(): number {
    return this.#due.ms;
  }

  /** Throws OperationalError CHAIN_PAYLOAD unless these are the bytes of what is being submitted at this moment. */
  sign: SignPayload = (payload) => {
    if (!this.#submitting) throw new OperationalError("CHAIN_PAYLOAD", "Not signed: no serve_axon is being submitted");
    checkPayload(payload, this.#submitting);
    return this.#options.keypair.sign(payload);
  };

  /** Looks at the chain and does what is needed. Rejects when the link fails; then call again on another. */
  async check(link: ChainLink, genesis: string): Promise<void> {
    const { netuid, keypair, port, version, dryRun, clock } = this.#options;
    this.#due = { block: Number.POSITIVE_INFINITY, ms: Number.POSITIVE_INFINITY };
    const ip = await this.#findAddress();
    if (ip === null) return;
    const call = serveAxonCall({ netuid, version, address: { ip, port } });
    const answer = await link.readAxon({ netuid, hotkey: keypair.address });
    const decision = decideServing({ ...answer, call, registered: answer.uid !== null });
    this.#stats = { ...this.#stats, wanted: isIP(ip) === 6 ? `[${ip}]:${port}` : `${ip}:${port}` };
    if (decision.action === "none") {
      this.#held = undefined;
      if (decision.why === "not_registered") this.#enter("not_registered", "the hotkey is not registered");
      else this.#enter(this.#stats.state === "served" ? "served" : "identical", null);
    } else if (dryRun) {
      await this.#showInstead(link, call, answer);
    } else if (decision.action === "wait") {
      this.#due.block = decision.untilBlock;
      this.#enter("waiting", `for block ${decision.untilBlock}, when the rate limit lets the next serve pass`);
    } else if (this.#held?.key !== keyOf(call) || clock.nowMs() >= this.#held.untilMs) {
      this.#submitting = { call, genesis };
      try {
        await this.#submit(link, call, answer);
      } finally {
        this.#submitting = undefined;
      }
    }
  }

  async #findAddress(): Promise<string | null> {
    const { address, logger } = this.#options;
    try {
      await address.refresh();
    } catch (error) {
      const reason = describeError(error);
      if (address.ip === null) this.#enter("no_address", reason);
      else logger.warn({ reason, ip: address.ip }, "External address could not be looked up again; keeping the last");
    }
    this.#due.ms = Math.min(this.#due.ms, address.nextLookMs);
    return address.ip;
  }

  async #submit(link: ChainLink, call: ServeAxonCall, answer: AxonAnswer): Promise<void> {
    const { netuid, keypair, clock, logger } = this.#options;
    const { scheme, address } = keypair;
    this.#stats = { ...this.#stats, submitted: this.#stats.submitted + 1 };
    try {
      const included = await link.serveAxon({ call, hotkey: { scheme, address } });
      logger.info({ ...included, wanted: this.#stats.wanted }, "serve_axon is in a block");
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal) {
        this.#onRefusal(refusal, call, answer);
        return;
      }
      // Perhaps it was executed: the next link's chain says so before anything is sent again.
      this.#enter("failed", describeError(error));
      this.#due.ms = clock.nowMs();
      throw error;
    }
    const { axon } = await link.readAxon({ netuid, hotkey: address });
    this.#refusals = 0;
    if (isServed(call, axon)) {
      this.#enter("served", null);
    } else {
      this.#due.ms = clock.nowMs() + SOON_BASE_MS;
      this.#enter("failed", "serve_axon was included, but the chain's storage does not show it");
    }
  }

  #onRefusal(refusal: ServeRefusal, call: ServeAxonCall, answer: AxonAnswer): void {
    const nowMs = this.#options.clock.nowMs();
    const { words, retry } = explainRefusal(refusal);
    switch (retry) {
      case "rate_limit":
        this.#due.block = answer.block + RATE_LIMIT_BLOCKS;
        break;
      case "soon":
        this.#due.ms = nowMs + Math.min(SOON_CAP_MS, SOON_BASE_MS * 2 ** this.#refusals);
        break;
      case "changed":
        this.#held = { key: keyOf(call), untilMs: nowMs + HOLD_MS };
        break;
    }
    this.#refusals += 1;
    this.#enter("refused", words);
  }

  async #showInstead(link: ChainLink, call: ServeAxonCall, answer: AxonAnswer): Promise<void> {
    const { print, keypair } = this.#options;
    const data = await link.encodeServeAxon(call);
    if (data !== this.#printed) print(dryRunText({ call, data, hotkey: keypair.address, answer }));
    this.#printed = data;
    this.#enter("dry_run", null);
  }

  /** Says it once, when it changes. */
  #enter(state: ServingState, reason: string | null): void {
    const { netuid, keypair, logger } = this.#options;
    const { wanted } = this.#stats;
    const said = JSON.stringify([state, reason, wanted]);
    this.#stats = { ...this.#stats, state, reason };
    if (said === this.#said) return;
    this.#said = said;
    const facts = { netuid, hotkey: keypair.address, wanted, reason };
    if (state === "identical" || state === "served") logger.info(facts, "The chain announces this axon");
    else if (state === "dry_run") logger.info(facts, "Dry run: serve_axon is printed, not sent");
    else if (state === "waiting") logger.info(facts, "serve_axon waits");
    else logger.error(facts, "The chain does not announce this axon as it should");
  }
}

function keyOf(call: ServeAxonCall): string {
  return [call.ip, call.port, call.version].join("/");
}

function refusalOf(error: unknown): ServeRefusal | undefined {
  if (!(error instanceof OperationalError) || error.code !== "CHAIN_REFUSED") return undefined;
  return error.details["refusal"] as ServeRefusal;
}

function dryRunText(shown: { call: ServeAxonCall; data: string; hotkey: string; answer: AxonAnswer }): string {
  const { call, data, hotkey, answer } = shown;
  const before = answer.axon && ipOfInteger(answer.axon.ip, answer.axon.ipType);
  return [
    "Dry run: this extrinsic is not sent",
    `  SubtensorModule.serve_axon, signed by hotkey ${hotkey}, without a fee`,
    `  netuid ${call.netuid}, version ${call.version}, ip ${String(call.ip)} (${String(ipOfInteger(call.ip, call.ipType))}), port ${call.port}`,
    `  ip_type ${call.ipType}, protocol ${call.protocol}, placeholder1 ${call.placeholder1}, placeholder2 ${call.placeholder2}`,
    `  call data ${data}`,
    `  the chain announces at present: ${before === null ? "nothing" : `${before}:${String(answer.axon?.port)}`}`,
  ].join("\n");
}
