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

/** Lines that wait for a disk with room; those beyond are lost. */
const MAX_WAITING_BYTES = 1024 * 1024;

/**
 * JSON lines on stderr, so that a command's stdout stays for its result. Never throws: a full disk or a terminal that is
 * gone must cost no answer. What could not be written comes before the next line that can.
 */
export function createLogger(level: LogLevel, fd = 2): Logger {
  const paths = SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]);
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths, censor: "[redacted]" },
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const stream = destination({ fd, sync: true, maxLength: MAX_WAITING_BYTES });
  stream.on("error", () => undefined);
  // A full queue is not tried again by itself: it would stay full when the disk has room.
  stream.on("drop", () => stream.write(""));
  // No flushSync, which pino calls after a fatal line: it would wait for room on the disk, for ever.
  return pino(options, { write: (line) => stream.write(line) });
}

export const silentLogger: Logger = pino({ level: "silent" });
