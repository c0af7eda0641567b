import type { RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { AxonContext } from "./call.ts";
import { ownerOf, peerIp } from "./sender-address.ts";

/**
 * What becomes of a request by its socket alone, before Express sees it. Strangers who ask faster than they may are told so.
 * Those who send a request before the last one's answer are cut and not heard for a while: Node parses and hands over all
 * of them at once, so they would hold the event loop for as long as they like, and no validator's client does that.
 */
export function atFrontDoor(
  { gate: { known }, strangers }: Pick<AxonContext, "gate" | "strangers">,
  way: { enter: RequestListener; tooFast: (response: ServerResponse) => void },
): RequestListener {
  const busy = new WeakSet<Socket>();
  return (request, response) => {
    const { socket } = request;
    if (socket.destroyed) return;
    const ip = peerIp(socket);
    const isKnown = known.has(ip);
    if (busy.has(socket) && !isKnown) {
      strangers.shun(ownerOf(ip, known));
      socket.destroy();
      return;
    }
    busy.add(socket);
    response.once("close", () => busy.delete(socket));
    if (isKnown || strangers.mayAsk(ownerOf(ip, known))) way.enter(request, response);
    else way.tooFast(response);
  };
}
