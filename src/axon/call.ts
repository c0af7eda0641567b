import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { bodyHash } from "../bittensor/body-hash.ts";
import { parseBtauthHeaders, usesBtauth } from "../bittensor/btauth.ts";
import { formatSignature } from "../bittensor/signature.ts";
import { PROTOCOL_VERSION, responseMessage } from "../bittensor/signed-message.ts";
import { parseSynapseHeaders, UNREAD_HEADERS, type SynapseHeaders } from "../bittensor/synapse-headers.ts";
import type { Config } from "../config/schema.ts";
import { millisToNanos, unixMillis, type UnixMillis } from "../units.ts";
import {
  clientGone,
  screenBtauth,
  screenSynapse,
  verifyBtauth,
  verifySynapse,
  type Caller,
  type Gate,
} from "./admission.ts";
import type { FairShares } from "./fair-share.ts";
import type { WorkQueue } from "./priority-queue.ts";
import { refuse, type Refusal } from "./refusal.ts";
import { parseJsonBody, readBody, screenBody } from "./request-body.ts";
import {
  answerResponse,
  byteLength,
  digests,
  fieldTexts,
  gzipped,
  refusalResponse,
  type Outgoing,
} from "./response.ts";
import type { Strangers } from "./strangers.ts";
import type { Accepted, Answer, Exchange, Sender, SynapseService } from "./synapse-service.ts";
import type { UnreadAnswers } from "./unread-answers.ts";

export interface AxonContext {
  readonly config: Config["axon"];
  readonly gate: Gate;
  readonly strangers: Strangers;
  readonly queue: WorkQueue;
  /** Of the queue, between senders by their stake. */
  readonly shares: FairShares;
  /** This axon as clients reach it. */
  readonly publicAddress: { readonly ip: string; readonly port: number };
  readonly unread: UnreadAnswers;
  /** One per process start, as the SDK has it. */
  readonly uuid: string;
}

export type AbortReason = "client" | "deadline" | "shutdown";

/** One request on its way through the axon. */
export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly service: SynapseService;
  readonly ip: string;
  /** By the wall clock. */
  readonly receivedAtMs: UnixMillis;
  /** The same moment by the steady clock. */
  readonly startedMs: UnixMillis;
  readonly abort: AbortController;
}

/** What became of a call; `exchange` only if it was admitted. */
export interface Settled {
  readonly outgoing: Outgoing;
  readonly code: string;
  readonly closes: boolean;
  /** Admitted. */
  readonly sender: Sender | undefined;
  /** What goes on record before the response leaves. */
  readonly exchange: (() => Exchange) | undefined;
  /** Until when the client waits, by the steady clock. */
  readonly deadlineMs: UnixMillis;
}

/** Facts that are gathered on the way, for the response and the recording. */
interface Progress {
  synapse: SynapseHeaders;
  scheme: "synapse" | "btauth";
  sender?: Sender;
  /** By the steady clock. */
  admittedAtMs?: UnixMillis;
  body: Uint8Array;
  answered: Readonly<Record<string, Uint8Array>>;
  evidence: unknown;
  queueMs: number;
  runMs: number;
}

type Ready = { readonly ok: true; readonly work: unknown; readonly cost: number; readonly value: Body } | Refusal;
type Body = Readonly<Record<string, unknown>>;

/** Real prompts are below 2 KiB: what a sender of junk may put into the recordings. */
const MAX_REFUSED_BODY_BYTES = 65_536;

/**
 * A btauth/1 body is read before its signature can be checked. Of an address that no validator asked from it may be no
 * larger: as many as there are connections must fit into memory.
 */
const MAX_UNPROVEN_BODY_BYTES = 65_536;

/** Takes a call from its headers to a response. Throws only for our own bugs. */
export async function handleCall(context: AxonContext, call: Call): Promise<Settled> {
  const progress: Progress = {
    synapse: UNREAD_HEADERS,
    scheme: usesBtauth(call.request.headers) ? "btauth" : "synapse",
    body: new Uint8Array(),
    answered: {},
    evidence: null,
    queueMs: 0,
    runMs: 0,
  };
  const admitted = progress.scheme === "btauth" ? admitBtauth : admitSynapse;
  let refusal = await admitted(context, call, progress);
  let outgoing: Outgoing | undefined;
  if (refusal === undefined) {
    const result = await answer(context, call, progress);
    if ("outgoing" in result) outgoing = result.outgoing;
    else refusal = result;
  }
  outgoing ??= refusalFor(context, call, progress, refusal!);
  return {
    outgoing,
    code: refusal?.code ?? "ok",
    closes: refusal?.closes ?? false,
    sender: progress.sender,
    exchange: exchangeOf(context, call, progress, { outgoing, message: refusal?.message ?? "Success" }),
    deadlineMs: deadlineOf(context, call, progress),
  };
}

/** A refusal of a call that got no further than its address or route. */
export function refuseEarly(
  context: AxonContext,
  call: Omit<Call, "service">,
  name: string,
  refusal: Refusal,
): Outgoing {
  const synapse = withTerminals(context, call, UNREAD_HEADERS, { code: refusal.status, message: refusal.message });
  return refusalResponse(name, synapse, refusal);
}

async function admitSynapse(context: AxonContext, call: Call, progress: Progress): Promise<Refusal | undefined> {
  const parsed = parseSynapseHeaders(call.request.headers);
  if (!parsed.ok) return refuse(400, "headers", `Improperly formatted request headers. ${parsed.message}`);
  progress.synapse = parsed.value;
  const screened = screenSynapse(context.gate, parsed.value);
  if (!screened.ok) return screened;
  const tooMuch = screenBody(call.request, context.config.maxBodyBytes);
  if (tooMuch !== undefined) return tooMuch;
  const refused = await verifySynapse(context.gate, parsed.value, callerOf(call));
  if (refused !== undefined) return refused;
  admit(context, progress, screened.sender);
  const body = await readBody(call.request, call.response, bodyLimits(context));
  if (!body.ok) return body;
  progress.body = body.bytes;
  return undefined;
}

async function admitBtauth(context: AxonContext, call: Call, progress: Progress): Promise<Refusal | undefined> {
  const parsed = parseBtauthHeaders(call.request.headers);
  const carrier = parseSynapseHeaders(call.request.headers); // the timeout header may come along
  if (!parsed.ok) return refuse(400, "headers", `Improperly formatted request headers. ${parsed.message}`);
  if (!carrier.ok) return refuse(400, "headers", `Improperly formatted request headers. ${carrier.message}`);
  const { sender, nonce, signatureText } = parsed.value;
  progress.synapse = { ...carrier.value, axon: {}, dendrite: { hotkey: sender, nonce, signature: signatureText } };
  const screened = screenBtauth(context.gate, parsed.value);
  if (!screened.ok) return screened;
  const limits = unprovenBodyLimits(context, call);
  const tooMuch = screenBody(call.request, limits.maxBytes);
  if (tooMuch !== undefined) return tooMuch;
  const body = await readBody(call.request, call.response, limits);
  if (!body.ok) return body;
  const refused = await verifyBtauth(context.gate, parsed.value, {
    ...callerOf(call),
    method: call.request.method ?? "",
    target: call.request.url ?? "",
    bodySha256: createHash("sha256").update(body.bytes).digest("hex"),
  });
  if (refused !== undefined) return refused;
  progress.body = body.bytes;
  admit(context, progress, screened.sender);
  return undefined;
}

function admit(context: AxonContext, progress: Progress, sender: Sender): void {
  progress.sender = sender;
  progress.admittedAtMs = context.gate.steadyClock.nowMs();
}

function callerOf({ ip, abort }: Call): Caller {
  return { ip, signal: abort.signal };
}

function bodyLimits({ config }: AxonContext): { maxBytes: number; timeoutMs: number } {
  return { maxBytes: config.maxBodyBytes, timeoutMs: config.bodyTimeoutMs };
}

function unprovenBodyLimits(context: AxonContext, call: Call): ReturnType<typeof bodyLimits> {
  const limits = bodyLimits(context);
  if (context.gate.known.has(call.ip)) return limits;
  return { ...limits, maxBytes: Math.min(limits.maxBytes, MAX_UNPROVEN_BODY_BYTES) };
}

const UNREAD_ANSWERS = {
  ok: false,
  status: 503,
  code: "unread_answers",
  message: "Too many answers are waiting to be read",
  retryAfterSeconds: 1,
} as const;

/** An admitted call with its body: parse, accept, queue, run. */
async function answer(
  context: AxonContext,
  call: Call,
  progress: Progress,
): Promise<{ readonly outgoing: Outgoing } | Refusal> {
  const ready = prepare(call, progress);
  if (!ready.ok) return ready;
  const sender = progress.sender!;
  if (!context.unread.mayGrow(sender.hotkey)) return UNREAD_ANSWERS;
  const deadlineMs = deadlineOf(context, call, progress);
  const { service, abort } = call;
  const deadline = setTimeout(
    () => {
      abort.abort("deadline" satisfies AbortReason);
    },
    Math.max(0, deadlineMs - context.gate.steadyClock.nowMs()),
  );
  const callContext = { sender, receivedAtMs: call.receivedAtMs, deadlineMs, signal: abort.signal };
  try {
    const work = service.gather ? await service.gather(ready.work, callContext) : ready.work;
    const turn = context.shares.turn(sender.hotkey, { weight: sender.stake, cost: ready.cost });
    const result = await context.queue.submit({
      kind: service.name,
      priority: turn.priority,
      cost: ready.cost,
      deadlineMs,
      signal: abort.signal,
      run: () => {
        turn.begin();
        // Those that waited in the queue with it have grown meanwhile.
        return context.unread.mayGrow(sender.hotkey) ? service.run(work, callContext) : Promise.resolve(UNREAD_ANSWERS);
      },
    });
    if (result.kind !== "answered") {
      turn.giveBack();
      return unanswered(result.kind, abort.signal);
    }
    progress.queueMs = result.queueMs;
    progress.runMs = result.runMs;
    return await finish(context, call, progress, { answer: result.answer, body: ready.value });
  } finally {
    clearTimeout(deadline);
  }
}

function deadlineOf(context: AxonContext, call: Call, progress: Progress): UnixMillis {
  const seconds = Math.min(progress.synapse.timeoutSeconds, context.config.maxTimeoutSeconds);
  return unixMillis(call.startedMs + seconds * 1000);
}

function prepare(call: Call, progress: Progress): Ready {
  const { service, request } = call;
  // A ping by GET has no body; for every other request an empty body is not JSON.
  const bytes = request.method === "GET" && progress.body.length === 0 ? Buffer.from("{}") : progress.body;
  const body = parseJsonBody(bytes);
  if (!body.ok) return body;
  if (progress.scheme === "synapse") {
    const expected = bodyHash(body.text, service.requiredHashFields);
    const claimed = progress.synapse.computedBodyHash;
    if (expected !== claimed) {
      return refuse(
        400,
        "body_hash",
        `Hash mismatch between header body hash ${claimed} and parsed body hash ${expected}`,
      );
    }
  }
  const accepted: Accepted<unknown> = service.accept(body.value, progress.sender!);
  if (!accepted.ok) return accepted;
  return { ok: true, work: accepted.work, cost: accepted.cost, value: body.value };
}

function unanswered(kind: "full" | "hopeless" | "aborted", signal: AbortSignal): Refusal {
  if (kind === "full") return { ...refuse(503, "queue_full", "Too many requests are waiting"), retryAfterSeconds: 1 };
  if (kind === "hopeless") return refuse(503, "hopeless", "The answer cannot be ready before the request's timeout");
  const reason = signal.reason as AbortReason;
  switch (reason) {
    case "client":
      return clientGone();
    case "deadline":
      return refuse(503, "deadline", "The answer was not ready before the request's timeout");
    case "shutdown":
      return { ...refuse(503, "shutdown", "The axon is shutting down"), closes: true };
  }
}

async function finish(
  context: AxonContext,
  call: Call,
  progress: Progress,
  result: { answer: Answer; body: Body },
): Promise<{ readonly outgoing: Outgoing } | Refusal> {
  if (!result.answer.ok) return result.answer;
  progress.answered = result.answer.fields;
  progress.evidence = result.answer.evidence;
  const { name, responseFields } = call.service;
  const { gate, uuid } = context;
  const nonce = millisToNanos(gate.clock.nowMs());
  const dendriteHotkey = progress.sender!.hotkey;
  const message = responseMessage({ nonce, dendriteHotkey, axonHotkey: gate.ownHotkey, uuid });
  const signature = formatSignature(await gate.signatures.sign(message));
  const synapse = withTerminals(context, call, progress.synapse, { code: 200, message: "Success", nonce, signature });
  const outgoing = answerResponse(name, synapse, fieldTexts(responseFields, result.answer.fields, result.body));
  return { outgoing: await gzipped(outgoing, call.request.headers["accept-encoding"]) };
}

function refusalFor(context: AxonContext, call: Call, progress: Progress, refusal: Refusal): Outgoing {
  const status = { code: refusal.status, message: refusal.message };
  return refusalResponse(call.service.name, withTerminals(context, call, progress.synapse, status), refusal);
}

/** The sender's terminal as received plus its connection; ours with the status. */
function withTerminals(
  context: AxonContext,
  call: Omit<Call, "service">,
  synapse: SynapseHeaders,
  status: { code: number; message: string; nonce?: bigint; signature?: string },
): SynapseHeaders {
  const { clock, ownHotkey } = context.gate;
  return {
    ...synapse,
    dendrite: { ...synapse.dendrite, ip: call.ip, port: call.request.socket.remotePort },
    axon: {
      statusCode: status.code,
      statusMessage: status.message,
      processTimeSeconds: (context.gate.steadyClock.nowMs() - call.startedMs) / 1000,
      ip: synapse.axon.ip ?? context.publicAddress.ip,
      port: synapse.axon.port ?? context.publicAddress.port,
      version: PROTOCOL_VERSION,
      nonce: status.nonce ?? millisToNanos(clock.nowMs()),
      uuid: context.uuid,
      hotkey: ownHotkey,
      signature: status.signature,
    },
  };
}

function exchangeOf(
  context: AxonContext,
  call: Call,
  progress: Progress,
  end: { outgoing: Outgoing; message: string },
): (() => Exchange) | undefined {
  const { sender, admittedAtMs } = progress;
  if (sender === undefined || admittedAtMs === undefined) return undefined;
  return () => ({
    receivedAtMs: call.receivedAtMs,
    remoteIp: call.ip,
    method: call.request.method ?? "",
    path: call.request.url ?? "",
    headers: plainHeaders(call.request),
    body: end.outgoing.status === 200 ? progress.body : progress.body.subarray(0, MAX_REFUSED_BODY_BYTES),
    synapse: call.service.name,
    scheme: progress.scheme,
    sender,
    receiver: context.gate.ownHotkey,
    status: end.outgoing.status,
    message: end.message,
    fieldDigests: digests(progress.answered),
    responseBytes: byteLength(end.outgoing),
    evidence: progress.evidence,
    timings: {
      admissionMs: admittedAtMs - call.startedMs,
      queueMs: progress.queueMs,
      runMs: progress.runMs,
      totalMs: context.gate.steadyClock.nowMs() - call.startedMs,
    },
  });
}

function plainHeaders(request: IncomingMessage): Record<string, string> {
  const entries = Object.entries(request.headers).filter((entry) => entry[1] !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : value!]));
}
