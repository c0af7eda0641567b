import type { RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { AxonContext } from "./call.ts";
import { boundPieces, isChunked } from "./request-body.ts";
import { ownerOf, peerIp } from "./sender-address.ts";

/**
 * What becomes of a request by its socket alone, before Express sees it. Strangers who ask faster than they may are told so.
 * Those of them who send a request before the last one's answer, or a body in chunks, are cut and not heard for a while, as
 * is who sends crumbs: Node parses and hands over all at once that a socket holds, so they would hold the event loop for as
 * long as they like.
 */
export function atFrontDoor(
  { gate: { known }, strangers }: Pick<AxonContext, "gate" | "strangers">,
  way: { enter: RequestListener; tooFast: (response: ServerResponse) => void },
): RequestListener {
  const busy = new WeakSet<Socket>();
  const cut = (socket: Socket, ip: string): void => {
    if (!known.has(ip)) strangers.shun(ownerOf(ip, known));
    socket.destroy();
  };
  return (request, response) => {
    const { socket } = request;
    if (socket.destroyed) return;
    const ip = peerIp(socket);
    boundPieces(request, () => {
      cut(socket, ip);
    });
    const pipelines = busy.has(socket);
    busy.add(socket);
    response.once("close", () => busy.delete(socket));
    if (known.has(ip) || strangers.mayAsk(ownerOf(ip, known))) way.enter(request, response);
    else if (pipelines || isChunked(request)) cut(socket, ip);
    else way.tooFast(response);
  };
}
