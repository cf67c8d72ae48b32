# SPDX-License-Identifier: Apache-2.0
"""The systemd units: their commands are the program's, they are hardened, and systemd itself finds nothing wrong.

usage: units.py PROGRAM"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "tools" / "package"
PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
GPU = ["trainyard.service", "trainyard-provider.service"]
UNITS = [*GPU, "trainyard-signer.service"]
# These would take translated code or the GPU away.
HARMFUL = ["MemoryDenyWriteExecute", "PrivateDevices", "DevicePolicy", "DeviceAllow", "ProtectClock", "PrivateUsers"]
HARDENED = {
    "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes",
    "ProtectKernelTunables": "yes", "ProtectKernelModules": "yes", "RestrictNamespaces": "yes", "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native", "UMask": "0077", "Type": "notify", "Restart": "on-failure",
}
# Whoever starts verifiers allows them to confine themselves.
CALLS = {unit: {"@system-service"} for unit in UNITS}
CALLS["trainyard.service"] |= {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp"}
EXPOSURE_MAX = 25  # tenths, as `systemd-analyze security` counts: 0 is a wall, 100 an open door
problems = []


def expect(condition, what):
    if not condition:
        problems.append(what)


def settings(unit):
    lines = (PACKAGE / unit).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match("[A-Za-z]+=", line))


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def check_hardening(unit):
    has = settings(unit)
    for key, value in HARDENED.items():
        expect(has.get(key) == value, f"{unit}: {key} is {has.get(key)!r}, expected {value!r}")
    calls = set(has.get("SystemCallFilter", "").split())
    expect(calls == CALLS[unit], f"{unit}: SystemCallFilter is {sorted(calls)}, expected {sorted(CALLS[unit])}")
    if unit in GPU:
        for key in HARMFUL:
            expect(key not in has, f"{unit}: {key} would stop translated code or CUDA")
    expect(has["User"] != "root" and f"u {has['User']} " in (PACKAGE / "sysusers.conf").read_text(), f"{unit}: no user {has['User']}")
    folder = f"/var/lib/{has['StateDirectory']} {has['StateDirectoryMode']} {has['User']} "
    expect(f"d {folder}" in (PACKAGE / "tmpfiles.conf").read_text(), f"{unit}: tmpfiles.conf does not make {folder}")


def check_command(unit):
    """Command and flags are known to the program; those of the environment file, too."""
    has = settings(unit)
    words = has["ExecStart"].split()
    expect(words[0] == "/usr/bin/trainyard", f"{unit}: starts {words[0]}")
    flags = [word for word in words if word.startswith("--")]
    if "EnvironmentFile" in has:
        path = has["EnvironmentFile"]
        expect(path.startswith("/etc/trainyard/"), f"{unit}: {path}")
        name, value = re.search(r"^(\w+)=(.*)$", (PACKAGE / pathlib.Path(path).name).read_text(), re.M).groups()
        expect(words[-1] == f"${name}", f"{unit}: does not take ${name}")
        flags += [word for word in value.split() if word.startswith("--")]
    code, text = run(PROGRAM, words[1], "--help")
    expect(code == 0, f"{unit}: no command {words[1]}")
    for flag in flags:
        expect(re.search(rf"(^|[ ,]){flag}\b", text, re.M), f"{unit}: `trainyard {words[1]}` has no {flag}")


def check_settings():
    """The program reads node.toml, also with all that is commented out."""
    text = (PACKAGE / "node.toml").read_text()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "node.toml"
        path.write_text(re.sub(r'^# (\w+ = ")', r"\1", text, flags=re.M))
        code, said = run(PROGRAM, "node", "--config", str(path), "--print-config")
    expect(code == 0, f"node.toml: {said}")
    for line in ('datadir = "/var/lib/trainyard/data"', 'keys = "/var/lib/trainyard/keys"', 'signer = "unix:/run/trainyard-signer/signer.sock"'):
        expect(line in said, f"node.toml: not in effect: {line}")


def check_by_systemd():
    with tempfile.TemporaryDirectory() as folder:
        for unit in UNITS:
            text = (PACKAGE / unit).read_text()
            (pathlib.Path(folder) / unit).write_text(text.replace("=/usr/bin/trainyard ", f"={PROGRAM} "))
        paths = [f"{folder}/{unit}" for unit in UNITS]
        _, said = run("systemd-analyze", "verify", "--man=no", *paths)
        expect(not said.strip(), f"systemd-analyze verify:\n{said}")  # its exit code is 0 for unknown settings, too
        code, said = run("systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE_MAX}", *paths)
        expect(code == 0, f"systemd-analyze security, at most {EXPOSURE_MAX / 10}:\n{said[-2000:]}")


for one in UNITS:
    check_hardening(one)
    check_command(one)
check_settings()
has_systemd = shutil.which("systemd-analyze") is not None
if has_systemd:
    check_by_systemd()
print("\n".join(problems) or f"{len(UNITS)} units are as they should be")
if problems:
    sys.exit(1)
if not has_systemd:
    print("*" * 72 + "\nSKIPPED: there is no systemd-analyze here, which should look at the units\n" + "*" * 72)
    sys.exit(77)
