import { destination, pino, type Logger } from "pino";

export type { Logger } from "pino";

/** Keys that may hold secrets anywhere in a log object; their values never leave the process. */
const SECRET_KEYS = [
  "secretPhrase",
  "secretSeed",
  "privateKey",
  "password",
  "apiKey",
  "authorization",
  "Authorization",
];

export type LogLevel = "trace" | "debug" | "info" | "warn" | "silent";

/** JSON lines on stderr, so that a command's stdout stays for its result. */
export function createLogger(level: LogLevel): Logger {
  const paths = SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]);
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths, censor: "[redacted]" },
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(options, destination({ fd: 2, sync: true }));
}

export const silentLogger: Logger = pino({ level: "silent" });
