import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const LISTEN = "0A";

/** Inodes of a process's sockets. */
function socketInodes(pid: number): ReadonlySet<string> {
  const inodes = new Set<string>();
  for (const descriptor of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${descriptor}`))?.[1];
      if (inode !== undefined) inodes.add(inode);
    } catch {
      // Closed since it was listed.
    }
  }
  return inodes;
}

/** `0100007F` → 127.0.0.1; IPv6 addresses stay as the kernel prints them, without colons. */
function readableAddress(hex: string): string {
  if (hex.length !== 8) return hex;
  return (hex.match(/../g) ?? [])
    .reverse()
    .map((byte) => parseInt(byte, 16))
    .join(".");
}

/** Where a process listens by TCP or has a UDP socket bound, as the kernel has it: `tcp 127.0.0.1:8091`. Linux only. */
export function listeners(pid: number): string[] {
  const own = socketInodes(pid);
  return ["tcp", "tcp6", "udp", "udp6"].flatMap((protocol) => {
    const rows = readFileSync(`/proc/${pid}/net/${protocol}`, "utf8").trimEnd().split("\n").slice(1);
    return rows.flatMap((row) => {
      const fields = row.trim().split(/\s+/);
      const [address, port] = fields[1]!.split(":") as [string, string];
      const isOpen = protocol.startsWith("udp") || fields[3] === LISTEN;
      if (!isOpen || !own.has(fields[9]!)) return [];
      return [`${protocol} ${readableAddress(address)}:${parseInt(port, 16)}`];
    });
  });
}
