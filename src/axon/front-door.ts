import type { RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Gate } from "./admission.ts";
import { ownerOf, peerIp } from "./sender-address.ts";
import { createStrangerRate } from "./stranger-rate.ts";

/** What a sender whom we do not know yet may ask at once: the prompts of several minutes. */
const BURST_SECONDS = 20;

/**
 * What becomes of a request by its socket alone, before Express sees it. Strangers who send one before the last one's answer
 * are cut: Node hands over all of them at once, so they would hold the event loop for as long as they like, and no
 * validator's client does that. Strangers who ask faster than they may are told so.
 */
export function atFrontDoor(
  { gate, config }: { gate: Gate; config: { readonly maxRequestsPerIp: number } },
  way: { enter: RequestListener; tooFast: (response: ServerResponse) => void },
): RequestListener {
  const perSecond = config.maxRequestsPerIp;
  const mayAsk = createStrangerRate({ perSecond, burst: perSecond * BURST_SECONDS }, gate.steadyClock);
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
