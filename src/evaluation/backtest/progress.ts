import type { Clock } from "../../clock.ts";

export interface ProgressOptions {
  readonly write: (text: string) => void;
  /** True: one line that is drawn over; false: a line of its own now and then. */
  readonly isTerminal: boolean;
  readonly clock: Clock;
}

const BAR_WIDTH = 30;
const TERMINAL_EVERY_MS = 200;
const LINE_EVERY_MS = 10_000;

/** A bar with the time that is left, from the share that is done and the time it took. */
export function createProgress({ write, isTerminal, clock }: ProgressOptions): {
  /** `text`: what is being done, for bars of several parts. */
  readonly update: (done: number, total: number, text?: string) => void;
  /** Ends the drawn-over line. */
  readonly end: () => void;
} {
  const startMs = clock.nowMs();
  const everyMs = isTerminal ? TERMINAL_EVERY_MS : LINE_EVERY_MS;
  let shownMs: number = startMs;
  return {
    update(done, total, text = "") {
      const nowMs = clock.nowMs();
      if (nowMs - shownMs < everyMs && done < total) return;
      shownMs = nowMs;
      const line = `${progressLine(total > 0 ? done / total : 1, nowMs - startMs)}  ${text}`.trimEnd();
      write(isTerminal ? `\r${line}\u001b[K` : `${line}\n`);
    },
    end() {
      if (isTerminal) write("\r\u001b[K");
    },
  };
}

/** "[#####-----]  50 %  elapsed 0:10  ETA 0:10" */
export function progressLine(share: number, elapsedMs: number): string {
  const full = Math.round(share * BAR_WIDTH);
  const left = share > 0 ? clockTime((elapsedMs * (1 - share)) / share) : "?";
  const percent = String(Math.floor(share * 100)).padStart(3);
  return `[${"#".repeat(full)}${"-".repeat(BAR_WIDTH - full)}] ${percent} %  elapsed ${clockTime(elapsedMs)}  ETA ${left}`;
}

function clockTime(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
