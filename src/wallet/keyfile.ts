import { mkdir, open, readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { verifySignature, type SignatureScheme } from "../bittensor/signature.ts";
import { publicKeyOf } from "../bittensor/ss58.ts";
import { isErrno, OperationalError } from "../errors.ts";
import { parseHex } from "./hex.ts";
import { keypairFromSecret, keypairFromSeed, type Keypair } from "./keypair.ts";
import { miniSecretOf } from "./mnemonic.ts";

/** A Bittensor hotkey file: JSON with optional fields (all versions of the SDK), or a bare mnemonic or hex seed. */

const MAX_KEYFILE_BYTES = 65_536;

const optionalText = z.string().nullish();
const keyfileSchema = z.object({
  accountId: optionalText,
  publicKey: optionalText,
  privateKey: optionalText,
  secretPhrase: optionalText,
  secretSeed: optionalText,
  ss58Address: optionalText,
  /** Written so by early versions of the SDK. */
  " ss58Address": optionalText,
  cryptoType: z.int().nullish(),
});
type KeyfileFields = z.infer<typeof keyfileSchema>;

export interface WalletLocation {
  /** Folder of the wallets; `~` is the home folder. */
  readonly path: string;
  readonly name: string;
  readonly hotkey: string;
}

export function hotkeyFile(wallet: WalletLocation): string {
  const path = wallet.path === "~" || wallet.path.startsWith("~/") ? homedir() + wallet.path.slice(1) : wallet.path;
  return join(path, wallet.name, "hotkeys", wallet.hotkey);
}

/** Throws OperationalError: WALLET_MISSING, WALLET_UNREADABLE, WALLET_ENCRYPTED, WALLET_INVALID, WALLET_MISMATCH. */
export async function loadHotkey(wallet: WalletLocation): Promise<Keypair> {
  const file = hotkeyFile(wallet);
  return parseKeyfile(await readKeyfile(file), file);
}

async function readKeyfile(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > MAX_KEYFILE_BYTES) throw invalid(file, `is larger than ${MAX_KEYFILE_BYTES} bytes`);
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof OperationalError) throw error;
    if (!isErrno(error, "ENOENT") && !isErrno(error, "ENOTDIR")) {
      throw new OperationalError("WALLET_UNREADABLE", `Hotkey file ${file} cannot be read`, { cause: error });
    }
    throw new OperationalError(
      "WALLET_MISSING",
      `No hotkey file at ${file}: create one with \`btcli wallet new_hotkey\`, or set --wallet.name, --wallet.hotkey and --wallet.path`,
      { details: { file } },
    );
  }
}

/** `origin` names the file in messages. No message ever quotes its content. */
export function parseKeyfile(content: string, origin: string): Keypair {
  refuseEncrypted(content, origin);
  const text = content.trim();
  if (!text.startsWith("{")) return bareKey(text, origin);
  const fields = parseFields(text, origin);
  const keypair = deriveKeypair(fields, schemeOf(fields, origin), origin);
  const expected = fields.ss58Address ?? fields[" ss58Address"];
  if (expected !== undefined && expected !== null && expected.trim() !== keypair.address) {
    throw new OperationalError(
      "WALLET_MISMATCH",
      `Hotkey file ${origin}: its secret belongs to ${keypair.address}, its ss58Address says otherwise; restore the file from a backup`,
      { details: { file: origin, derived: keypair.address } },
    );
  }
  return keypair;
}

const ENCRYPTED: readonly (readonly [string, string])[] = [
  [
    "$NACL",
    "an encrypted key (NaCl); decrypt it with the Bittensor wallet tools and point --wallet.hotkey at the result",
  ],
  [
    "$ANSIBLE_VAULT",
    "encrypted with the old Ansible vault; convert it with `btcli wallet update`, then decrypt the hotkey with the Bittensor wallet tools",
  ],
  [
    "gAAAAA",
    "encrypted with the old Fernet format; convert it with `btcli wallet update`, then decrypt the hotkey with the Bittensor wallet tools",
  ],
];

function refuseEncrypted(content: string, origin: string): void {
  const found = ENCRYPTED.find(([prefix]) => content.startsWith(prefix));
  if (found === undefined) return;
  throw new OperationalError("WALLET_ENCRYPTED", `Hotkey file ${origin} is ${found[1]}`, { details: { file: origin } });
}

function bareKey(text: string, origin: string): Keypair {
  const seed = parseHex(text, 32);
  if (seed !== undefined) return keypairFromSeed(seed);
  return fromPhrase(text, "sr25519", origin);
}

function parseFields(text: string, origin: string): KeyfileFields {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw invalid(origin, "is not valid JSON"); // the parser's message would quote the content
  }
  const result = keyfileSchema.safeParse(json);
  if (result.success) return result.data;
  const names = result.error.issues.map((issue) => issue.path.join(".")).join(", ");
  throw invalid(origin, `has fields of an unexpected type: ${names}`);
}

function schemeOf(fields: KeyfileFields, origin: string): SignatureScheme {
  const cryptoType = fields.cryptoType ?? 1;
  if (cryptoType === 1) return "sr25519";
  if (cryptoType === 0) return "ed25519";
  throw invalid(origin, `has cryptoType ${cryptoType}; expected 1 (sr25519) or 0 (ed25519)`);
}

/** Load order of the SDK: phrase, seed, private key. */
function deriveKeypair(fields: KeyfileFields, scheme: SignatureScheme, origin: string): Keypair {
  if (isPresent(fields.secretPhrase)) return fromPhrase(fields.secretPhrase, scheme, origin);
  if (isPresent(fields.secretSeed)) {
    const seed = parseHex(fields.secretSeed, 32);
    if (seed !== undefined) return keypairFromSeed(seed, scheme);
    // bittensor_wallet 4 writes a garbled secretSeed for keys regenerated from hex, beside an intact privateKey.
    if (!isPresent(fields.privateKey)) throw invalid(origin, "has a secretSeed that is not 32 bytes of hex");
  }
  if (isPresent(fields.privateKey)) return fromPrivateKey(fields, fields.privateKey, scheme, origin);
  throw invalid(origin, "holds no secret: expected secretPhrase, secretSeed or privateKey");
}

function isPresent(value: string | null | undefined): value is string {
  return value !== undefined && value !== null && value !== "";
}

function fromPhrase(phrase: string, scheme: SignatureScheme, origin: string): Keypair {
  const seed = miniSecretOf(phrase.trim());
  if (seed === undefined) throw invalid(origin, "holds neither a valid mnemonic nor a 32-byte hex seed");
  return keypairFromSeed(seed, scheme);
}

function fromPrivateKey(fields: KeyfileFields, text: string, scheme: SignatureScheme, origin: string): Keypair {
  const seed = scheme === "ed25519" ? parseHex(text, 32) : undefined;
  if (seed !== undefined) return keypairFromSeed(seed, scheme); // bittensor_wallet keeps the seed there
  const privateKey = parseHex(text, 64);
  if (privateKey === undefined) throw invalid(origin, "has a privateKey of the wrong length");
  const publicKey = declaredPublicKey(fields);
  if (publicKey === undefined) throw invalid(origin, "has a privateKey but no publicKey to check it against");
  const secretKey = scheme === "sr25519" ? scalarTimesEight(privateKey) : privateKey;
  const keypair = keypairFromSecret({ scheme, publicKey, secretKey });
  const message = new TextEncoder().encode("hotkey file self-check");
  let valid = false;
  try {
    valid = verifySignature({ scheme, address: keypair.address, message, signature: keypair.sign(message) });
  } catch {
    // not a usable scalar: the same as a wrong one
  }
  if (valid) return keypair;
  throw new OperationalError(
    "WALLET_MISMATCH",
    `Hotkey file ${origin}: its privateKey does not belong to its publicKey`,
    {
      details: { file: origin },
    },
  );
}

function declaredPublicKey(fields: KeyfileFields): Uint8Array | undefined {
  const hex = fields.publicKey ?? fields.accountId;
  if (isPresent(hex)) return parseHex(hex, 32);
  return publicKeyOf((fields.ss58Address ?? fields[" ss58Address"] ?? "").trim());
}

/** Key files hold the scalar as schnorrkel does; polkadot-js wants it multiplied by the cofactor 8, little-endian. */
function scalarTimesEight(privateKey: Uint8Array): Uint8Array {
  const shifted = Uint8Array.from(privateKey);
  let carry = 0;
  for (let index = 0; index < 32; index++) {
    const value = (privateKey[index]! << 3) | carry;
    shifted[index] = value & 0xff;
    carry = value >> 8;
  }
  return shifted;
}

/**
 * Writes a plain key file (0600) for a throwaway key, refusing to replace one. `seed`: 32 bytes. Returns its path.
 */
export async function writeHotkeyFile(wallet: WalletLocation, seed: Uint8Array): Promise<string> {
  const file = hotkeyFile(wallet);
  const { address, publicKey } = keypairFromSeed(seed);
  const publicHex = `0x${Buffer.from(publicKey).toString("hex")}`;
  const content = {
    accountId: publicHex,
    publicKey: publicHex,
    secretPhrase: null,
    secretSeed: `0x${Buffer.from(seed).toString("hex")}`,
    ss58Address: address,
    cryptoType: 1,
  };
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  try {
    const handle = await open(file, "wx", 0o600);
    try {
      await handle.writeFile(JSON.stringify(content));
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new OperationalError("WALLET_UNWRITABLE", `Hotkey file ${file} cannot be created`, { cause: error });
  }
  return file;
}

function invalid(origin: string, problem: string): OperationalError {
  return new OperationalError("WALLET_INVALID", `Hotkey file ${origin} ${problem}`, { details: { file: origin } });
}
