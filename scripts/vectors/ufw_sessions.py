"""Test vectors of the firewall command: what ufw itself says and lists after each of a few commands. Prints JSON.
Run on Debian or Ubuntu, not as a service: apt-get download ufw && python3 ufw_sessions.py ufw_*.deb > test/vectors/ufw.json

The package is unpacked below a temporary folder and run there with stubs in place of iptables, so nothing is installed and no
packet is filtered; rules and messages are ufw's own.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

OWN = ["comment", "synth-axon 50"]


def admit(ip):
    return ["prepend", "allow", "proto", "tcp", "from", ip, "to", "any", "port", "8091", *OWN]


def withdraw(ip):
    return ["delete", "allow", "proto", "tcp", "from", ip, "to", "any", "port", "8091"]


REFUSE_OTHERS = ["deny", "proto", "tcp", "to", "any", "port", "8091", *OWN]

SESSIONS = {
    "DROP": [
        ["status"],
        ["allow", "22/tcp"],
        admit("8.8.8.8"),
        admit("9.9.9.9"),
        admit("2606:4700:0::1111"),
        admit("8.8.8.8"),
        ["prepend", "deny", "proto", "tcp", "from", "8.8.8.8", "to", "any", "port", "8091"],
        withdraw("8.8.8.8"),
        withdraw("8.8.8.8"),
        ["allow", "8091", "comment", "mine"],
        ["delete", "allow", "8091"],
        ["delete", "allow", "8091"],
        withdraw("2606:4700::1111"),
    ],
    "ACCEPT": [["allow", "8091/tcp"], admit("8.8.8.8"), REFUSE_OTHERS, ["delete", *REFUSE_OTHERS[:-2]]],
    "REJECT": [
        ["deny", "8091"],
        ["limit", "8091/tcp"],
        ["allow", "log", "8091/tcp"],
        ["delete", "allow", "8091/tcp"],
        ["delete", "allow", "log", "8091/tcp"],
        ["reject", "proto", "tcp", "from", "9.9.9.0/24", "to", "any", "port", "8091"],
        admit("9.9.9.9"),
        admit("2606:4700::1"),
        REFUSE_OTHERS,
    ],
}
RICH = [
    ["limit", "22/tcp"],
    ["deny", "from", "198.51.100.0/24"],
    ["prepend", "deny", "8000:9000/tcp", "comment", "mine # and yours"],
    ["allow", "in", "on", "eth0", "to", "any", "port", "8091", "proto", "tcp"],
    ["allow", "log", "8091/tcp"],
    ["allow", "log-all", "from", "9.9.9.9", "to", "any", "port", "8091"],
    ["allow", "out", "53"],
    ["route", "allow", "in", "on", "eth0", "out", "on", "eth1", "to", "10.0.0.2", "port", "80", "proto", "tcp"],
    ["allow", "80,443,8091/tcp", "comment", "x ALLOW OUT y"],
    ["allow", "WWW Full"],
    ["allow", "from", "any", "to", "192.0.2.10", "port", "8091", "proto", "tcp"],
    ["allow", "from", "203.0.113.9"],
    ["deny", "8091/udp"],
    ["reject", "from", "2001:db8:1::/48", "to", "any", "port", "8091"],
    ["allow", "proto", "tcp", "from", "203.0.113.50", "port", "999", "to", "any", "port", "8091"],
    ["allow", "proto", "tcp", "from", "1.0.0.0/8"],
    ["allow", "proto", "udp", "from", "1.0.0.0/8"],
    ["allow", "in", "on", "wg0"],
    ["deny", "from", "2001:db8:2::5"],
    ["allow", "from", "any", "port", "999", "proto", "tcp"],
    admit("8.8.8.8"),
]


def unpack(package, root):
    subprocess.run(["dpkg", "-x", package, root], check=True)
    stubs = root / "stubs"
    stubs.mkdir()
    for name in ("iptables", "ip6tables", "iptables-restore", "ip6tables-restore"):
        stub = stubs / name
        reads = "cat >/dev/null\n" if name.endswith("restore") else '[ "$1" = -V ] && echo "iptables v1.8.9 (legacy)"\n'
        stub.write_text(f"#!/bin/sh\n{reads}exit 0\n")
        stub.chmod(0o755)
    common = root / "usr/lib/python3/dist-packages/ufw/common.py"
    text = common.read_text().replace('iptables_dir = "/usr/sbin"', f'iptables_dir = "{stubs}"')
    common.write_text(text.replace("do_checks = True", "do_checks = False"))
    for pattern in ("iptables/*.rules", "*.init"):
        for file in (root / "usr/share/ufw").glob(pattern):
            shutil.copy(file, root / "etc/ufw")
    enabled = (root / "usr/share/ufw/ufw.conf").read_text().replace("ENABLED=no", "ENABLED=yes")
    (root / "etc/ufw/ufw.conf").write_text(enabled)


def fresh(root, policy):
    for file in (root / "usr/share/ufw/iptables").glob("user*.rules"):
        shutil.copy(file, root / "etc/ufw")
    defaults = root / "etc/default/ufw"
    lines = [f'DEFAULT_INPUT_POLICY="{policy}"' if line.startswith("DEFAULT_INPUT") else line for line in
             defaults.read_text().splitlines()]
    defaults.write_text("\n".join(lines) + "\n")


def ufw(root, *args):
    env = {**os.environ, "LC_ALL": "C", "PYTHONPATH": str(root / "usr/lib/python3/dist-packages")}
    command = ["/usr/bin/python3", str(root / "usr/sbin/ufw"), f"--rootdir={root}", f"--datadir={root}", *args]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode != 0:
        raise SystemExit(f"{args}: {done.stdout}{done.stderr}")
    return done.stdout


def session(root, policy, commands):
    fresh(root, policy)
    incoming = {"DROP": "deny", "ACCEPT": "allow", "REJECT": "reject"}[policy]
    steps = [{"args": args, "said": ufw(root, *args), "status": ufw(root, "status", "verbose")} for args in commands]
    return {"incoming": incoming, "steps": steps}


with tempfile.TemporaryDirectory() as folder:
    root = Path(folder) / "root"
    unpack(sys.argv[1], root)
    version = ufw(root, "version").split()[1]
    vectors = {
        "provenance": f"scripts/vectors/ufw_sessions.py, ufw {version} ({Path(sys.argv[1]).name})",
        "sessions": [session(root, policy, commands) for policy, commands in SESSIONS.items()],
        "rich": session(root, "DROP", RICH)["steps"][-1]["status"],
    }
print(json.dumps(vectors, indent=2))
