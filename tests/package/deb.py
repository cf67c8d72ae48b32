# SPDX-License-Identifier: Apache-2.0
"""The Debian package: what is in it, and that it installs, updates and goes away as operators expect, in a root of its own.

usage: deb.py CPACK_CONFIG PROGRAM"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

CONFIG, PROGRAM = sys.argv[1:]
PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "tools" / "package"
WANTED = [
    "usr/bin/trainyard", "usr/lib/systemd/system/trainyard.service", "usr/lib/systemd/system/trainyard-provider.service",
    "usr/lib/systemd/system/trainyard-signer.service", "usr/lib/sysusers.d/trainyard.conf", "usr/lib/tmpfiles.d/trainyard.conf", "etc/trainyard/node.toml",
    "etc/trainyard/provider.env", "etc/trainyard/signer.env", "usr/share/bash-completion/completions/trainyard",
    "usr/share/zsh/vendor-completions/_trainyard", "usr/share/fish/vendor_completions.d/trainyard.fish",
    "usr/share/man/man1/trainyard.1.gz", "usr/share/doc/trainyard/changelog.gz", "usr/share/trainyard/grafana.json", "usr/share/trainyard/alerts.yaml", "usr/share/doc/trainyard/copyright", "usr/share/doc/trainyard/validator.md", "usr/share/doc/trainyard/provider.md",
]


def expect(condition, what):
    if not condition:
        print(f"FAILED: {what}")
        sys.exit(1)


def run(*command, code=0):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    expect(done.returncode == code, f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def skip(why):
    print("*" * 72 + f"\nSKIPPED: {why}\n" + "*" * 72)
    sys.exit(77)


def make(folder, version=None):
    newer = ["-D", f"CPACK_PACKAGE_VERSION={version}"] if version else []
    run("cpack", "--config", CONFIG, "-B", folder, "-D", "CPACK_DEBIAN_COMPRESSION_TYPE=gzip", *newer)
    return next(folder.glob("*.deb"))


def check_contents(deb):
    field = lambda name: run("dpkg-deb", "-f", deb, name).strip()
    version = run(PROGRAM, "version").split()[1]
    expect(field("Version") == version, f"version {field('Version')}, the program's is {version}")
    depends = field("Depends")
    for library in ("libc6", "libssl3", "libleveldb1d", "libseccomp2", "systemd | systemd-standalone-sysusers"):
        expect(library in depends, f"depends on {library}: {depends}")
    lines = [line.split(None, 5) for line in run("dpkg-deb", "-c", deb).splitlines()]
    files = {line[5].removeprefix("./"): line for line in lines if line[0].startswith("-")}
    for path in WANTED:
        expect(path in files, f"{path} is not in the package")
    for path, (mode, owner, *_) in files.items():
        due = "-rwxr-xr-x" if path == "usr/bin/trainyard" else "-rw-r--r--"
        expect((mode, owner) == (due, "root/root"), f"{path}: {mode} {owner}")
        expect(path.startswith(("usr/", "etc/trainyard/")), f"{path}: outside of /usr and /etc/trainyard")
    settings = {"/" + path for path in files if path.startswith("etc/")}
    listed = set((PACKAGE / "conffiles").read_text().split())
    expect(listed == settings, f"conffiles lists {sorted(listed)}, the package has {sorted(settings)}")


def check_life(deb, newer, root):
    for name in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "etc"):
        (root / name).mkdir(parents=True)
    for name in ("status", "available"):
        (root / "var/lib/dpkg" / name).touch()
    # The libraries are not in this root, and its scripts run from outside.
    dpkg = lambda *words: run("dpkg", f"--root={root}", "--force-depends", "--force-script-chrootless", "--log=/dev/null", *words)
    dpkg("-i", deb)
    users = (root / "etc/passwd").read_text()
    for user in ("trainyard", "trainyard-provider"):
        expect(f"{user}:x:" in users, f"no user {user} after the installation:\n{users}")
    for folder, mode in (("trainyard", 0o750), ("trainyard-provider", 0o750), ("trainyard-signer", 0o700)):
        found = (root / "var/lib" / folder).stat()
        expect((found.st_mode & 0o777, found.st_uid != 0) == (mode, True), f"/var/lib/{folder}: {found}")
    program, settings = root / "usr/bin/trainyard", root / "etc/trainyard/node.toml"
    expect(run(program, "version").startswith("trainyard "), "the installed program runs")
    expect("/var/lib/trainyard/data" in run(program, "node", "--config", settings, "--print-config"), "it reads its settings")
    complete = f'. {root}/usr/share/bash-completion/completions/trainyard; COMP_WORDS=(trainyard sta); COMP_CWORD=1; _trainyard; echo "${{COMPREPLY[@]}}"'
    expect(run("bash", "-c", complete).strip() == "status", "bash completes `trainyard sta`")
    page = run("gzip", "-cd", root / "usr/share/man/man1/trainyard.1.gz")
    expect(".B provider earnings\n" in page and page.startswith(".TH TRAINYARD 1 "), f"the manual:\n{page}")
    if shutil.which("groff"):
        shown = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z"], input=page, capture_output=True, text=True)
        expect((shown.returncode, shown.stderr) == (0, ""), f"groff on the manual: {shown.stderr}")
    # What an operator has, and has changed, outlives an update.
    keys = root / "var/lib/trainyard/keys"
    keys.mkdir()
    (keys / "consensus.json").write_text("{}")
    settings.write_text(settings.read_text() + "# mine\n")
    dpkg("-i", newer)
    expect(re.search(r"^Version: 99$", (root / "var/lib/dpkg/status").read_text(), re.M), "updated")
    expect(settings.read_text().endswith("# mine\n"), "an update keeps the settings")
    dpkg("-r", "trainyard")
    expect(not program.exists() and settings.exists(), "a removal leaves the settings alone")
    dpkg("-P", "trainyard")
    expect(not settings.exists(), "a purge removes them")
    expect((keys / "consensus.json").exists(), "and never keys and data")


for tool in ("cpack", "dpkg", "dpkg-deb", "dpkg-shlibdeps", "file", "systemd-sysusers", "systemd-tmpfiles"):
    if shutil.which(tool) is None:
        skip(f"there is no {tool} here, which makes or tests the package")
with tempfile.TemporaryDirectory(prefix="trainyard-deb-") as name:
    folder = pathlib.Path(name)
    made = make(folder / "old")
    check_contents(made)
    if os.geteuid() != 0:
        skip("the contents are right; to install the package in a root of its own takes root")
    check_life(made, make(folder / "new", "99"), folder / "root")
print("the package has what it should, installs, updates and goes away")
