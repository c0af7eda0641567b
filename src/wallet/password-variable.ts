import path from "node:path";

/**
 * The environment variable in which the Bittensor tools keep the password of an encrypted key file: `BT_PW_` and the
 * file's path with `/` and `.` turned into `_`, upper-cased. Its value is base64(password XOR name, repeating): it keeps
 * the password from a glance, and from nothing else.
 */

const BASE64_PATTERN = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const SHELL_NAME_PATTERN = /^[A-Z_][A-Z0-9_]*$/;

export function passwordVariable(file: string): string {
  return `BT_PW_${file.replaceAll(/[/.]/g, "_").toUpperCase()}`;
}

/**
 * The same for a path with a hyphen or a space in it: shells cannot export the documented name, and sh, through which npm
 * starts us, drops it. Ours alone; the Bittensor tools do not know it.
 */
export function exportableVariable(file: string): string {
  return passwordVariable(file).replaceAll(/[^A-Z0-9_]/g, "_");
}

export function isExportable(name: string): boolean {
  return SHELL_NAME_PATTERN.test(name);
}

/**
 * Every name that may hold the password of a file known under these paths, the one to recommend first: the absolute path's,
 * then those of the paths as given (the tools resolve nothing), each also in its exportable form.
 */
export function passwordVariables(paths: readonly string[]): readonly string[] {
  const known = [...paths.slice(0, 1).map((file) => path.resolve(file)), ...paths];
  return [...new Set(known.flatMap((file) => [passwordVariable(file), exportableVariable(file)]))];
}

/** The value of the variable `name` for this password. */
export function obscurePassword(password: Uint8Array, name: string): string {
  return Buffer.from(xorWithName(password, name)).toString("base64");
}

/** The password's bytes; undefined for a value that is not base64. */
export function revealPassword(value: string, name: string): Uint8Array | undefined {
  const text = value.trim();
  if (text === "" || !BASE64_PATTERN.test(text)) return undefined;
  return xorWithName(Buffer.from(text, "base64"), name);
}

function xorWithName(bytes: Uint8Array, name: string): Uint8Array {
  const key = Buffer.from(name);
  return Uint8Array.from(bytes, (byte, index) => byte ^ key[index % key.length]!);
}
