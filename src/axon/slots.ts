/** Bounded places, altogether and per owner. */
export interface Slots {
  /** The function that frees the place; undefined when none is free. */
  take(owner: string): (() => void) | undefined;
  taken(): number;
}

export function createSlots(limits: { total: number; perOwner: number }): Slots {
  const owners = new Map<string, number>();
  let taken = 0;
  const release = (owner: string): void => {
    taken -= 1;
    const left = (owners.get(owner) ?? 1) - 1;
    if (left === 0) owners.delete(owner);
    else owners.set(owner, left);
  };
  return {
    take: (owner) => {
      const held = owners.get(owner) ?? 0;
      if (taken >= limits.total || held >= limits.perOwner) return undefined;
      taken += 1;
      owners.set(owner, held + 1);
      let open = true;
      return () => {
        if (open) release(owner);
        open = false;
      };
    },
    taken: () => taken,
  };
}
