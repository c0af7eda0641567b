import type { SynapseService } from "./synapse-service.ts";

/** `/Synapse`, the authenticated ping that every axon serves: it has no fields and nothing to do. */
export const pingService: SynapseService<null> = {
  name: "Synapse",
  requiredHashFields: [],
  responseFields: [],
  accept: () => ({ ok: true, work: null, cost: 0 }),
  run: () => Promise.resolve({ ok: true, fields: {}, evidence: null }),
};
