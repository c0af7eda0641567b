import { formatSignature, parseSignature, type SignatureScheme, type Signer } from "./signature.ts";
import { publicKeyOf } from "./ss58.ts";
import type { HeaderBag, Parsed } from "./synapse-headers.ts";

/** Signed HTTP `btauth/1` of the Bittensor SDK 11: a request is authenticated by headers alone. */

const PROTOCOL = "btauth/1";
const encoder = new TextEncoder();

const NANOS_PER_SECOND = 1_000_000_000n;
export const BTAUTH_BACK_NS = 10n * NANOS_PER_SECOND;
export const BTAUTH_AHEAD_NS = 2n * NANOS_PER_SECOND;

export interface BtauthHeaders {
  readonly scheme: SignatureScheme;
  readonly sender: string;
  /** Absent when the sender signed for any receiver (`-`). */
  readonly receiver: string | undefined;
  /** Unix nanoseconds. */
  readonly nonce: bigint;
  readonly signature: Uint8Array;
  readonly signatureText: string;
}

export function usesBtauth(headers: HeaderBag): boolean {
  const names = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  return names.has("x-bittensor-version") || names.has("x-bittensor-signature");
}

/** The first check, of shape; headers in any case. Never throws. */
export function parseBtauthHeaders(headers: HeaderBag): Parsed<BtauthHeaders> {
  const byName = new Map<string, string>();
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === "string") byName.set(name.toLowerCase(), value.trim());
  }
  const field = (name: string): string => byName.get(`x-bittensor-${name}`) ?? "";
  const fail = (name: string, expected: string): Parsed<BtauthHeaders> => ({
    ok: false,
    message: `X-Bittensor-${name}: expected ${expected}`,
  });

  if (field("version") !== "1") return fail("Version", "1");
  const scheme = byName.get("x-bittensor-crypto") ?? "sr25519";
  if (scheme !== "sr25519" && scheme !== "ed25519") return fail("Crypto", "sr25519 or ed25519");
  if (publicKeyOf(field("hotkey")) === undefined) return fail("Hotkey", "an ss58 address");
  const receiver = byName.get("x-bittensor-receiver");
  if (receiver !== undefined && publicKeyOf(receiver) === undefined) return fail("Receiver", "an ss58 address");
  if (!/^\d{1,20}$/.test(field("nonce"))) return fail("Nonce", "unix nanoseconds");
  const signature = parseSignature(field("signature"));
  if (signature === undefined) return fail("Signature", "0x and 128 hex digits");
  const nonce = BigInt(field("nonce"));
  const signatureText = field("signature");
  return { ok: true, value: { scheme, sender: field("hotkey"), receiver, nonce, signature, signatureText } };
}

export interface BtauthRequest {
  readonly scheme: SignatureScheme;
  readonly method: string;
  /** Request target with its query, as on the request line. */
  readonly target: string;
  /** Lower-case hex SHA-256 of the raw body. */
  readonly bodySha256: string;
  readonly nonce: bigint;
  readonly sender: string;
  readonly receiver: string | undefined;
}

export function btauthMessage(request: BtauthRequest): Uint8Array {
  const { scheme, method, target, bodySha256, nonce, sender, receiver } = request;
  const lines = [PROTOCOL, scheme, method.toUpperCase(), target, bodySha256, nonce.toString(), sender, receiver ?? "-"];
  return encoder.encode(lines.join("\n"));
}

/** The second and third check: that we are the receiver, then freshness. Signature and replay follow. */
export function refuseBtauth(
  request: Pick<BtauthHeaders, "receiver" | "nonce">,
  context: { ownHotkey: string; nowNs: bigint },
): string | undefined {
  if (request.receiver !== context.ownHotkey) return "Receiver is not this hotkey";
  if (request.nonce < context.nowNs - BTAUTH_BACK_NS) return "Nonce is too old";
  if (request.nonce > context.nowNs + BTAUTH_AHEAD_NS) return "Nonce is too far in the future";
  return undefined;
}

/** Headers that sign a request. */
export function btauthHeaders(
  signer: Signer,
  request: Omit<BtauthRequest, "scheme" | "sender">,
): Record<string, string> {
  const message = btauthMessage({ ...request, scheme: signer.scheme, sender: signer.address });
  return {
    "X-Bittensor-Version": "1",
    "X-Bittensor-Hotkey": signer.address,
    ...(request.receiver === undefined ? {} : { "X-Bittensor-Receiver": request.receiver }),
    "X-Bittensor-Nonce": request.nonce.toString(),
    "X-Bittensor-Signature": formatSignature(signer.sign(message)),
    ...(signer.scheme === "sr25519" ? {} : { "X-Bittensor-Crypto": signer.scheme }),
  };
}
