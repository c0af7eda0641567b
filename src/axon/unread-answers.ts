/** Some ninety 24h answers: slow readers may keep about this in memory … */
const MAX_BYTES = 256 * 1024 * 1024;
/** … and one of them a quarter. */
const MAX_BYTES_EACH = MAX_BYTES / 4;

/** Answers on their way, by the sender who has not read them yet: one that does not read keeps no other from its answers. */
export interface UnreadAnswers {
  /** Whether the sender may ask for one more. With too many in all, who has less than an even share still may. */
  mayGrow(sender: string): boolean;
  /** Counts an answer until the function that it returns is called. */
  hold(sender: string, bytes: number): () => void;
}

export function createUnreadAnswers(): UnreadAnswers {
  const held = new Map<string, number>();
  let total = 0;
  const add = (sender: string, bytes: number): void => {
    total += bytes;
    const left = (held.get(sender) ?? 0) + bytes;
    if (left === 0) held.delete(sender);
    else held.set(sender, left);
  };
  return {
    mayGrow: (sender) => {
      const own = held.get(sender) ?? 0;
      return own <= MAX_BYTES_EACH && (total <= MAX_BYTES || own <= MAX_BYTES / (held.size + 1));
    },
    hold: (sender, bytes) => {
      add(sender, bytes);
      return () => {
        add(sender, -bytes);
      };
    },
  };
}
