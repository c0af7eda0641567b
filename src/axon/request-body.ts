import type { IncomingMessage, ServerResponse } from "node:http";
import { refuse, type Refusal } from "./refusal.ts";

/** Real synapses nest three deep; far above that, and far below what recursive readers of the value can take. */
const MAX_DEPTH = 64;

/** Of a chunked body, which may come in as many pieces as its sender likes, and costs by the piece: real ones have a few. */
const MAX_PIECES = 64;
/** Large bodies may have more: a packet brings more than this. */
const MIN_PIECE_BYTES = 1024;

/** What is not read of a refused request's body; with more to come the connection ends with the refusal. */
const MAX_UNREAD_BYTES = 65_536;

export function isChunked(request: IncomingMessage): boolean {
  return request.headers["transfer-encoding"] !== undefined;
}

/** Calls `crumbled` once, and drops what comes, when a chunked body comes in crumbs; also where nobody reads it. */
export function boundPieces(request: IncomingMessage, crumbled: () => void): void {
  if (!isChunked(request)) return;
  request.read(0); // or Node would stop handing over, but not parsing, once the response has left
  const push = request.push.bind(request);
  let [pieces, bytes, isWhole] = [0, 0, true];
  request.push = (piece: Buffer | null, encoding) => {
    if (!isWhole) return false;
    if (piece === null) return push(null);
    pieces += 1;
    bytes += piece.length;
    if (pieces <= MAX_PIECES + bytes / MIN_PIECE_BYTES) return push(piece, encoding);
    isWhole = false;
    crumbled();
    return false;
  };
}

/** Whether a refused request has a body to come that would cost more than a new connection. */
export function isLongUnread(request: IncomingMessage): boolean {
  const length = Number(request.headers["content-length"] ?? 0);
  return !request.complete && (isChunked(request) || length > MAX_UNREAD_BYTES);
}

/** What a body's headers already give away. */
export function screenBody(request: IncomingMessage, maxBytes: number): Refusal | undefined {
  const length = Number(request.headers["content-length"] ?? 0);
  if (length > maxBytes) return tooLarge(maxBytes);
  const encoding = request.headers["content-encoding"];
  if (encoding === undefined || encoding.toLowerCase() === "identity") return undefined;
  return refuse(415, "content_encoding", "Request bodies must not be compressed");
}

export type BodyRead = { readonly ok: true; readonly bytes: Uint8Array } | Refusal;

/** Reads at most `maxBytes` within `timeoutMs`. Always settles, also when the client goes away. */
export function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  limits: { maxBytes: number; timeoutMs: number },
): Promise<BodyRead> {
  const { promise, resolve } = Promise.withResolvers<BodyRead>();
  const chunks: Buffer[] = [];
  let size = 0;
  const settle = (result: BodyRead): void => {
    clearTimeout(timer);
    request.off("data", onData);
    request.resume(); // what is left is discarded as it comes; the server's request timeout bounds it
    resolve(result);
  };
  const onData = (chunk: Buffer): void => {
    size += chunk.length;
    if (size > limits.maxBytes) settle(tooLarge(limits.maxBytes));
    else chunks.push(chunk);
  };
  const gone = (): void => {
    settle({ ...refuse(400, "body_incomplete", "The request body ended early"), closes: true });
  };
  const timer = setTimeout(() => {
    const message = `The request body did not arrive within ${limits.timeoutMs} ms`;
    settle({ ...refuse(408, "slow_body", message), closes: true });
  }, limits.timeoutMs);
  request.on("data", onData);
  request.once("end", () => {
    settle({ ok: true, bytes: Buffer.concat(chunks) });
  });
  request.once("error", gone);
  request.once("close", gone);
  if (request.destroyed) gone();
  if (/\b100-continue\b/i.test(request.headers.expect ?? "")) response.writeContinue();
  return promise;
}

function tooLarge(maxBytes: number): Refusal {
  return { ...refuse(413, "body_too_large", `The request body is larger than ${maxBytes} bytes`), closes: true };
}

export type JsonBody =
  { readonly ok: true; readonly text: string; readonly value: Readonly<Record<string, unknown>> } | Refusal;

/** A JSON object from hostile bytes. */
export function parseJsonBody(bytes: Uint8Array): JsonBody {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return refuse(400, "body_not_utf8", "The request body is not UTF-8");
  }
  if (deeperThan(text, MAX_DEPTH)) {
    return refuse(400, "body_too_deep", `The request body is nested deeper than ${MAX_DEPTH} levels`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refuse(400, "body_not_json", "The request body is not valid JSON");
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return { ok: true, text, value: value as Record<string, unknown> };
  }
  return refuse(400, "body_not_object", "The request body is not a JSON object");
}

/** Brackets outside strings; for text that is no JSON any answer will do. */
function deeperThan(text: string, limit: number): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index++) {
    const character = text[index];
    if (inString) {
      if (character === "\\") index += 1;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === "{" || character === "[") {
      depth += 1;
      if (depth > limit) return true;
    } else if (character === "}" || character === "]") depth -= 1;
  }
  return false;
}
