import type { RuntimeApiMethodMetadataV16 } from "@polkadot/types/interfaces";
import type { Codec } from "@polkadot/types-codec/types";
import { compactAddLength, compactToU8a, u8aConcat } from "@polkadot/util";
import { metagraph, neurons, selectiveMetagraph, subnetState } from "./metagraph-api.ts";
import { nonceIn } from "./pool.ts";
import { METADATA_VERSIONS, typed, type Runtime } from "./runtime.ts";
import type { ChainState } from "./state.ts";
import { subnetsOf } from "./subnet.ts";

/** state_call: arguments and answers are encoded as the metadata says. */

/** A method of the metadata that the double has no answer for, or none of the metadata at all. */
export class UnknownRuntimeMethod extends Error {}
/** Arguments that do not decode: a trap in the runtime. */
export class BadRuntimeArguments extends Error {}

type Answer = (state: ChainState, args: readonly Codec[]) => unknown;

const netuidOf = (args: readonly Codec[]): number => Number(args[0]!.toString());

/** Fields of the struct inside an Option, in order: the indices of a selective metagraph count them. */
function fieldsOf(runtime: Runtime, path: string): string[] {
  const found = runtime.metadata.lookup.types.find(({ type }) => type.path.join("::") === path);
  const fields = found?.type.def.asComposite.fields ?? [];
  return fields.map(({ name }) =>
    name
      .unwrap()
      .toString()
      .replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
  );
}

const selective = (position: number): Answer => {
  return (state, args) => {
    const fields = fieldsOf(state.runtime, "pallet_subtensor::rpc_info::metagraph::SelectiveMetagraph");
    const indices = [...(args[position] as Codec & Iterable<Codec>)].map((index) => Number(index.toString()));
    return selectiveMetagraph(state, netuidOf(args), { indices, fields });
  };
};

const ANSWERS: Readonly<Record<string, Answer>> = {
  Core_version: ({ runtime }) => runtime.versionBytes,
  AccountNonceApi_account_nonce: (state, args) => nonceIn(state, args[0]!.toString()),
  AuraApi_slot_duration: () => 12_000,
  // serve_axon is free, and nothing else can be paid for here.
  TransactionPaymentApi_query_info: () => ({ weight: { refTime: 0, proofSize: 0 }, class: "Normal", partialFee: 0 }),
  TransactionPaymentApi_query_fee_details: () => ({ inclusionFee: null, tip: 0 }),
  TransactionPaymentCallApi_query_call_info: () => ({
    weight: { refTime: 0, proofSize: 0 },
    class: "Normal",
    partialFee: 0,
  }),
  SubnetInfoRuntimeApi_get_subnet_state: (state, args) => subnetState(state, netuidOf(args)),
  SubnetInfoRuntimeApi_get_metagraph: (state, args) => metagraph(state, netuidOf(args)),
  SubnetInfoRuntimeApi_get_mechagraph: (state, args) => metagraph(state, netuidOf(args)),
  SubnetInfoRuntimeApi_get_selective_metagraph: selective(1),
  SubnetInfoRuntimeApi_get_selective_mechagraph: selective(2),
  SubnetInfoRuntimeApi_get_all_metagraphs: (state) => subnetsOf(state).map((netuid) => metagraph(state, netuid)),
  NeuronInfoRuntimeApi_get_neurons: (state, args) => neurons(state, netuidOf(args)),
  NeuronInfoRuntimeApi_get_neurons_lite: (state, args) => neurons(state, netuidOf(args)),
  NeuronInfoRuntimeApi_get_neuron: (state, args) => neurons(state, netuidOf(args))[Number(args[1]!.toString())] ?? null,
  NeuronInfoRuntimeApi_get_neuron_lite: (state, args) =>
    neurons(state, netuidOf(args))[Number(args[1]!.toString())] ?? null,
};

/** `form` "wrapped": as older runtimes had it, a Vec<u8> around the struct itself or nothing. Throws the two errors above. */
export function callRuntime(
  state: ChainState,
  call: { readonly method: string; readonly input: Uint8Array; readonly wrapped: boolean },
): Uint8Array {
  const { method, input } = call;
  const { runtime } = state;
  const metadata = metadataAnswer(runtime, method, input);
  if (metadata !== null) return metadata;
  const definition = definitionOf(runtime, method);
  const answer = ANSWERS[method];
  if (answer === undefined) throw new UnknownRuntimeMethod(method);
  const output = encodeOutput(runtime, method, answer(state, decodeArguments(runtime, definition, input)));
  return call.wrapped ? wrap(runtime, definition, output) : output;
}

export function encodeOutput(runtime: Runtime, method: string, value: unknown): Uint8Array {
  return typed(runtime, definitionOf(runtime, method).output, value).toU8a();
}

function wrap(runtime: Runtime, definition: RuntimeApiMethodMetadataV16, output: Uint8Array): Uint8Array {
  const { path } = runtime.metadata.lookup.types[definition.output.toNumber()]!.type;
  const isOption = path.at(-1)?.toString() === "Option";
  return compactAddLength(isOption ? output.subarray(1) : output);
}

function definitionOf(runtime: Runtime, method: string): RuntimeApiMethodMetadataV16 {
  for (const api of runtime.metadata.apis) {
    const prefix = `${api.name.toString()}_`;
    if (!method.startsWith(prefix)) continue;
    const found = api.methods.find(({ name }) => name.toString() === method.slice(prefix.length));
    if (found !== undefined) return found;
  }
  throw new UnknownRuntimeMethod(method);
}

function decodeArguments(runtime: Runtime, definition: RuntimeApiMethodMetadataV16, input: Uint8Array): Codec[] {
  let rest = input;
  try {
    const args = definition.inputs.map(({ type }) => {
      const argument = typed(runtime, type.toNumber(), rest);
      if (argument.encodedLength > rest.length) throw new BadRuntimeArguments("the arguments end early");
      rest = rest.subarray(argument.encodedLength);
      return argument;
    });
    return args;
  } catch (error) {
    throw new BadRuntimeArguments("the arguments do not decode", { cause: error });
  }
}

/** The Metadata API; its OpaqueMetadata is the encoded metadata as Vec<u8>. */
function metadataAnswer(runtime: Runtime, method: string, input: Uint8Array): Uint8Array | null {
  switch (method) {
    case "Metadata_metadata":
      return compactAddLength(runtime.metadataAt(14));
    case "Metadata_metadata_versions": {
      const versions = METADATA_VERSIONS.map((version) => Uint8Array.of(version, 0, 0, 0));
      return u8aConcat(compactToU8a(versions.length), ...versions);
    }
    case "Metadata_metadata_at_version": {
      const wanted = METADATA_VERSIONS.find((version) => version === Buffer.from(input).readUInt32LE(0));
      if (wanted === undefined) return Uint8Array.of(0);
      return u8aConcat(Uint8Array.of(1), compactAddLength(runtime.metadataAt(wanted)));
    }
    default:
      return null;
  }
}
