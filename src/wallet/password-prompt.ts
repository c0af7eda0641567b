import { StringDecoder } from "node:string_decoder";
import { OperationalError } from "../errors.ts";

/** Asks a person for one line that nobody sees. Rejects when the person or `signal` gives up. */
export type PasswordPrompt = (question: string, signal?: AbortSignal) => Promise<string>;

/** What a terminal offers; node:tty's ReadStream and any fake of it. */
export interface Keyboard extends NodeJS.EventEmitter {
  readonly isTTY?: boolean;
  setRawMode(raw: boolean): unknown;
  resume(): unknown;
  pause(): unknown;
}

export interface Terminal {
  readonly keyboard: Keyboard;
  readonly screen: { write: (text: string) => unknown };
  /** What Ctrl-C does in a program that reads lines: raw mode takes that from the terminal. */
  readonly interrupt: () => void;
}

/** Longer lines are no passwords; what is typed beyond is dropped. */
const MAX_CHARACTERS = 1024;

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
const CTRL_U = "\u0015";
const BACKSPACES = ["\b", "\u007f"];
const LINE_ENDS = ["\r", "\n"];
/** Cursor keys, paste brackets and the like. */
const ESCAPE_SEQUENCE = /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|O.|(?=[^[O]))/g;
const UNFINISHED_ESCAPE = /\u001b(?:\[[0-9;?]*[ -/]*|O)?$/;

/** The prompt of this process's terminal; null where nobody is there to answer (pm2, systemd, a pipe). */
export function terminalPrompt(): PasswordPrompt | null {
  if (!process.stdin.isTTY) return null;
  // stdout may be captured: it is for results.
  return createPasswordPrompt({ keyboard: process.stdin, screen: process.stderr, interrupt: raiseInterrupt });
}

function raiseInterrupt(): void {
  if (process.listenerCount("SIGINT") > 0) process.emit("SIGINT", "SIGINT");
  else process.kill(process.pid, "SIGINT");
}

/**
 * Reads one line in raw mode, where the terminal echoes nothing. Backspace and Ctrl-U edit, Ctrl-C interrupts the program,
 * Ctrl-D gives up, a paste ends at its first line end. The terminal is as before whenever the promise has settled; should the
 * process end sooner, Node itself restores it.
 */
export function createPasswordPrompt(terminal: Terminal): PasswordPrompt {
  const { keyboard, screen } = terminal;
  return (question, signal) =>
    new Promise((resolve, reject) => {
      const line = createLine();
      const decoder = new StringDecoder("utf8");
      const finish = (settle: () => void): void => {
        keyboard.off("data", onData);
        keyboard.off("end", onEnd);
        signal?.removeEventListener("abort", onAbort);
        keyboard.setRawMode(false);
        keyboard.pause();
        screen.write("\n");
        settle();
      };
      const onAbort = (): void => {
        finish(() => {
          reject(interrupted());
        });
      };
      const onEnd = (): void => {
        finish(() => {
          reject(givenUp());
        });
      };
      const onData = (chunk: Uint8Array): void => {
        switch (line.type(decoder.write(Buffer.from(chunk)))) {
          case "typing":
            return;
          case "done":
            finish(() => {
              resolve(line.text());
            });
            return;
          case "given up":
            onEnd();
            return;
          case "interrupted":
            onAbort();
            terminal.interrupt();
        }
      };
      if (signal?.aborted === true) {
        reject(interrupted());
        return;
      }
      signal?.addEventListener("abort", onAbort, { once: true });
      keyboard.setRawMode(true);
      keyboard.on("data", onData);
      keyboard.on("end", onEnd);
      keyboard.resume();
      screen.write(question);
    });
}

type Typed = "typing" | "done" | "given up" | "interrupted";

/** One line as it is typed. Pure: keys in, text out. */
function createLine(): { type: (keys: string) => Typed; text: () => string } {
  let characters: string[] = [];
  let escape = "";
  const press = (key: string): Typed => {
    if (key === CTRL_C) return "interrupted";
    if (key === CTRL_D) return characters.length === 0 ? "given up" : "typing";
    if (LINE_ENDS.includes(key)) return "done";
    if (key === CTRL_U) characters = [];
    else if (BACKSPACES.includes(key)) characters.pop();
    else if (!/\p{Cc}/u.test(key) && characters.length < MAX_CHARACTERS) characters.push(key);
    return "typing";
  };
  return {
    type: (keys) => {
      // An escape sequence may come in two chunks.
      const all = (escape + keys).replaceAll(ESCAPE_SEQUENCE, "");
      escape = UNFINISHED_ESCAPE.exec(all)?.[0] ?? "";
      for (const key of all.slice(0, all.length - escape.length)) {
        const typed = press(key);
        if (typed !== "typing") return typed;
      }
      return "typing";
    },
    text: () => characters.join(""),
  };
}

/** Not an OperationalError: the program is ending, and main says so. */
function interrupted(): Error {
  return new DOMException("The password prompt was interrupted", "AbortError");
}

function givenUp(): OperationalError {
  return new OperationalError("WALLET_PASSWORD", "No password was given at the prompt");
}
