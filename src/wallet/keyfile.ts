import { mkdir, open } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { verifySignature, type SignatureScheme } from "../bittensor/signature.ts";
import { publicKeyOf } from "../bittensor/ss58.ts";
import { OperationalError } from "../errors.ts";
import { parseHex } from "./hex.ts";
import { checkWalletNames, hotkeyFile, hotkeyPaths, readKeyfile, type WalletLocation } from "./hotkey-location.ts";
import { keypairFromSecret, keypairFromSeed, type Keypair } from "./keypair.ts";
import { miniSecretOf } from "./mnemonic.ts";
import { terminalPrompt } from "./password-prompt.ts";
import { invalidKeyfile } from "./refusal.ts";
import { isSecretbox } from "./secretbox.ts";
import { unlockKeyfile, type PasswordSources } from "./unlock.ts";

/** A Bittensor hotkey file: JSON with optional fields (all versions of the SDK), or a bare mnemonic or hex seed. */

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

/**
 * The wallet's hotkey, decrypted if need be: with the password of its `BT_PW_…` variable, else of a person at the terminal.
 * Only `<path>/<name>/hotkeys/<hotkey>` is ever opened.
 * @throws OperationalError WALLET_NAME, WALLET_COLDKEY, WALLET_MISSING, WALLET_UNREADABLE, WALLET_ENCRYPTED,
 * WALLET_PASSWORD, WALLET_MEMORY, WALLET_INVALID, WALLET_MISMATCH
 */
export async function loadHotkey(wallet: WalletLocation, sources: Partial<PasswordSources> = {}): Promise<Keypair> {
  checkWalletNames(wallet);
  return loadKey(hotkeyFile(wallet), hotkeyPaths(wallet), sources);
}

/** A hotkey file anywhere else. Throws as loadHotkey does. */
export async function loadKeyfile(file: string, sources: Partial<PasswordSources> = {}): Promise<Keypair> {
  return loadKey(file, [file], sources);
}

async function loadKey(file: string, paths: readonly string[], sources: Partial<PasswordSources>): Promise<Keypair> {
  const content = await readKeyfile(file, sources.logger);
  if (!isSecretbox(content)) return parseKeyfile(textOf(content), file);
  const { env = process.env, prompt = terminalPrompt(), ...others } = sources;
  const { plaintext } = await unlockKeyfile({ file: resolve(file), paths, content }, { env, prompt, ...others });
  return parseKeyfile(textOf(plaintext), file);
}

function textOf(content: Uint8Array): string {
  return Buffer.from(content).toString("utf8");
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

/** Prompts for the old password and writes the file anew, as `$NACL` (tried with bittensor_wallet 4.1.1). */
function conversion(origin: string): string {
  const keyfile = `Keyfile(path='${resolve(origin)}', name='hotkey')`;
  return `python3 -c "from bittensor_wallet import Keyfile; ${keyfile}.check_and_update_encryption()"`;
}

const ENCRYPTED: readonly (readonly [string, (origin: string) => string])[] = [
  ["$NACL", () => "encrypted twice; decrypt it once with the Bittensor wallet tools"],
  ["$ANSIBLE_VAULT", (origin) => `encrypted with the old Ansible vault; convert it with \`${conversion(origin)}\``],
  ["gAAAAA", (origin) => `encrypted with the old Fernet format; convert it with \`${conversion(origin)}\``],
];

function refuseEncrypted(content: string, origin: string): void {
  const found = ENCRYPTED.find(([prefix]) => content.startsWith(prefix));
  if (found === undefined) return;
  throw new OperationalError("WALLET_ENCRYPTED", `Hotkey file ${origin} is ${found[1](origin)}`, {
    details: { file: origin },
  });
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
    throw invalidKeyfile(origin, "is not valid JSON"); // the parser's message would quote the content
  }
  const result = keyfileSchema.safeParse(json);
  if (result.success) return result.data;
  const names = result.error.issues.map((issue) => issue.path.join(".")).join(", ");
  throw invalidKeyfile(origin, `has fields of an unexpected type: ${names}`);
}

function schemeOf(fields: KeyfileFields, origin: string): SignatureScheme {
  const cryptoType = fields.cryptoType ?? 1;
  if (cryptoType === 1) return "sr25519";
  if (cryptoType === 0) return "ed25519";
  throw invalidKeyfile(origin, `has cryptoType ${cryptoType}; expected 1 (sr25519) or 0 (ed25519)`);
}

/** Load order of the SDK: phrase, seed, private key. */
function deriveKeypair(fields: KeyfileFields, scheme: SignatureScheme, origin: string): Keypair {
  if (isPresent(fields.secretPhrase)) return fromPhrase(fields.secretPhrase, scheme, origin);
  if (isPresent(fields.secretSeed)) {
    const seed = parseHex(fields.secretSeed, 32);
    if (seed !== undefined) return keypairFromSeed(seed, scheme);
    // bittensor_wallet 4 writes a garbled secretSeed for keys regenerated from hex, beside an intact privateKey.
    if (!isPresent(fields.privateKey)) throw invalidKeyfile(origin, "has a secretSeed that is not 32 bytes of hex");
  }
  if (isPresent(fields.privateKey)) return fromPrivateKey(fields, fields.privateKey, scheme, origin);
  throw invalidKeyfile(origin, "holds no secret: expected secretPhrase, secretSeed or privateKey");
}

function isPresent(value: string | null | undefined): value is string {
  return value !== undefined && value !== null && value !== "";
}

function fromPhrase(phrase: string, scheme: SignatureScheme, origin: string): Keypair {
  const seed = miniSecretOf(phrase.trim());
  if (seed === undefined) throw invalidKeyfile(origin, "holds neither a valid mnemonic nor a 32-byte hex seed");
  return keypairFromSeed(seed, scheme);
}

function fromPrivateKey(fields: KeyfileFields, text: string, scheme: SignatureScheme, origin: string): Keypair {
  const seed = scheme === "ed25519" ? parseHex(text, 32) : undefined;
  if (seed !== undefined) return keypairFromSeed(seed, scheme); // bittensor_wallet keeps the seed there
  const privateKey = parseHex(text, 64);
  if (privateKey === undefined) throw invalidKeyfile(origin, "has a privateKey of the wrong length");
  const publicKey = declaredPublicKey(fields);
  if (publicKey === undefined) throw invalidKeyfile(origin, "has a privateKey but no publicKey to check it against");
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
