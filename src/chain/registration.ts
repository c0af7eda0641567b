/** What an operator does about a hotkey without a uid. */

export interface RegistrationContext {
  readonly netuid: number;
  readonly hotkey: string;
  readonly wallet: { readonly name: string; readonly hotkey: string };
  /** Network name, or the URLs of the endpoints. */
  readonly network: string;
}

/** The btcli command that registers the hotkey (its spelling of Bittensor CLI 9; the dotted flags are accepted since 6). */
export function registerCommand(context: RegistrationContext): string {
  const { netuid, wallet, network } = context;
  const first = network.split(",")[0] ?? network;
  return [
    `btcli subnets register --netuid ${netuid}`,
    `--wallet.name ${quoted(wallet.name)} --wallet.hotkey ${quoted(wallet.hotkey)}`,
    `--subtensor.network ${quoted(first)}`,
  ].join(" ");
}

function quoted(word: string): string {
  return /^[\w.:/~-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

export function notRegisteredMessage(context: RegistrationContext): string {
  const { hotkey, netuid, network } = context;
  return `Hotkey ${hotkey} is not registered on netuid ${netuid} of ${network}. Register it with: ${registerCommand(context)}`;
}
