import type { RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Gate } from "./admission.ts";
import { ownerOf, peerIp } from "./sender-address.ts";
import { createStrangerRate } from "./stranger-rate.ts";

/** The prompts of several minutes at once. */
const BURST_SECONDS = 20;
/** A flood from more addresses gets no more requests read than one from so many. */
const FULL_RATES = 100;
const NEWCOMER = { perSecond: 0.1, burst: 20 };

/**
 * What becomes of a request by its socket alone, before Express sees it. Strangers who send one before the last one's answer
 * are cut: Node hands over all of them at once, so they would hold the event loop for as long as they like, and no
 * validator's client does that. Strangers who ask faster than they may are told so.
 */
export function atFrontDoor(
  { gate, config }: { gate: Gate; config: { readonly maxRequestsPerIp: number } },
  way: { enter: RequestListener; tooFast: (response: ServerResponse) => void },
): RequestListener {
  const each = { perSecond: config.maxRequestsPerIp, burst: config.maxRequestsPerIp * BURST_SECONDS };
  const all = { perSecond: each.perSecond * FULL_RATES, burst: each.burst * FULL_RATES };
  const mayAsk = createStrangerRate({ each, all, newcomer: NEWCOMER }, gate.steadyClock);
  const busy = new WeakSet<Socket>();
  return (request, response) => {
    const { socket } = request;
    const ip = peerIp(socket);
    const isKnown = gate.known.has(ip);
    if (busy.has(socket) && !isKnown) socket.destroy();
    if (socket.destroyed) return;
    busy.add(socket);
    response.once("close", () => busy.delete(socket));
    if (isKnown || mayAsk(ownerOf(ip, gate.known))) way.enter(request, response);
    else way.tooFast(response);
  };
}
