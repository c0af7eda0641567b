import { BlockList, isIP, SocketAddress } from "node:net";

/** One spelling per address: IPv4-mapped IPv6 becomes IPv4, IPv6 its shortest form; undefined for any other text. */
export function normaliseIp(text: string): string | undefined {
  const address = text.split("%", 1)[0]!.trim();
  const version = isIP(address);
  if (version === 0) return undefined;
  if (version === 4) return address;
  const shortest = new SocketAddress({ address, family: "ipv6" }).address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(shortest);
  return mapped?.[1] ?? shortest;
}

/** The network of one customer: of IPv6 (normalised) a /64 (RFC 6177), for which its first address stands; IPv4 addresses themselves. */
export function networkOf(ip: string): string {
  if (isIP(ip) !== 6) return ip;
  const [left, right] = ip.split("::").map((part) => part.split(":").filter(Boolean));
  const zeros = new Array<string>(8 - left!.length - (right?.length ?? 0)).fill("0");
  return `${[...left!, ...zeros, ...(right ?? [])].slice(0, 4).join(":")}::`;
}

/** What the registries of special-purpose addresses (RFC 6890, IANA) do not call globally reachable, and multicast. */
const SPECIAL_IPV4 = [
  ...["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"],
  ...["192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"],
  ...["224.0.0.0/4", "240.0.0.0/4"],
];
/** All that is handed out to networks is in 2000::/3; these parts of it are protocols, documentation and 6to4. */
const GLOBAL_IPV6 = "2000::/3";
const SPECIAL_IPV6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

const special = blockListOf([...SPECIAL_IPV4, ...SPECIAL_IPV6]);
const globalIpv6 = blockListOf([GLOBAL_IPV6]);

/** Whether the Internet can route to this address. */
export function isPublicIp(text: string): boolean {
  const ip = normaliseIp(text);
  if (ip === undefined) return false;
  if (isIP(ip) === 4) return !special.check(ip, "ipv4");
  return globalIpv6.check(ip, "ipv6") && !special.check(ip, "ipv6");
}

function blockListOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [network = "", bits] = range.split("/");
    list.addSubnet(network, Number(bits), isIP(network) === 4 ? "ipv4" : "ipv6");
  }
  return list;
}
