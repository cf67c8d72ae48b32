#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""House rules that a program can check: layers, homes of libraries, lengths, banned words, openings, kernels.

usage: python3 tools/tidy.py [--list]     exit code 0 when clean, 1 with one line per finding
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Each folder and what it may include. The longest matching prefix of a path counts.
LAYERS = {
    "core": [],
    "state": ["core"],
    "vm": ["core"],
    "training": ["core"],
    "cuda": ["core", "training"],
    "consensus": ["core", "state", "vm", "training"],
    "rpc": ["core"],
    "node": ["core", "state", "vm", "training", "cuda", "consensus", "rpc"],
    "tests": ["core", "state", "vm", "training", "cuda", "consensus", "rpc", "node"],
    "bench": ["core", "state", "vm", "training", "cuda", "consensus", "rpc", "node", "tests"],
}
# Inside node/ each subsystem is a folder of its own with its own edges (CMakeLists.txt says the same).
NODE_LAYERS = {
    "runtime": [], "config": [], "blobs": [], "wallet": ["config"], "chain": ["config"],
    "mempool": ["chain"], "backend": ["chain", "mempool"], "p2p": ["runtime"], "metrics": [],
    "bft": ["runtime", "metrics", "chain", "mempool", "p2p"],
    "sync": ["runtime", "p2p", "blobs"], "signer": ["runtime", "p2p"],
    "http": ["runtime", "chain", "mempool", "blobs", "config"],
    "verify": ["runtime", "wallet"], "data": ["wallet"], "imports": ["wallet"], "mpi": [], "provider": ["wallet", "runtime"],
    "cli": ["runtime", "config", "blobs", "wallet", "chain", "mempool", "p2p", "bft", "sync", "signer", "http",
            "metrics", "backend", "verify", "provider", "data", "imports", "mpi"],
}
# Third-party header prefix -> the only folders that may include it.
HOMES = {
    "secp256k1": ["core"], "openssl/": ["core", "node", "vm/precompiles", "bench"], "leveldb/": ["state"],
    "gmp": ["vm"], "isa-l": ["consensus/dispersal"], "cuda": ["cuda", "bench"], "boost/json": ["rpc", "node", "tests"], "boost/": ["node", "tests"],
    "google/protobuf": ["node/p2p", "node/imports"], "proto/": ["node/p2p", "node/imports", "tests/node/imports"], "CLI/": ["node/cli"],
    "seccomp.h": ["node/verify", "tests/node/verify"], "png.h": ["node/data"], "zlib.h": ["node/cli"], "spdlog/": ["node"], "prometheus/": ["node/metrics"], "fmt/": ["node"], "toml++/": ["node/config"],
    "gtest/": ["tests"], "gmock/": ["tests"], "benchmark/": ["bench"], "cblas": ["bench"], "mpi.h": ["node/mpi"],
}
PURE = ["core", "state", "vm", "consensus", "rpc"]
BANNED = [  # (pattern, folders, reason)
    (r"\b(system_clock|steady_clock)\b", PURE + ["training"], "time is handed in"),
    (r"\b(std::rand|rand\(\)|random_device|mt19937)", PURE + ["training"], "randomness is handed in"),
    (r"\bgetenv\b", PURE + ["training", "cuda"], "settings are handed in"),
    (r"\bstd::(thread|async)\b", PURE, "threads live in node/ (training may use them)"),
    (r"\bthrow\b", PURE + ["training", "cuda", "node"], "errors are values"),
    (r"\b(float|double)\b", ["core", "state", "vm", "consensus"], "floats live in training/ and cuda/"),
    (r"\busing namespace std\b", list(LAYERS), "no blanket using"),
    (r"\b(TODO|FIXME)\b", list(LAYERS), "write an issue, not a note"),
]
ALLOW = ROOT / "tools" / "tidy_allow.txt"  # may shrink, never grow: "<kind> <path>[:<function>]"
LINE_MAX, FILE_MAX, FUNCTION_MAX = 100, 800, 70
SOURCES = {".hpp", ".cpp", ".cuh", ".cu"}


def tracked():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    names = out.stdout.splitlines() if out.returncode == 0 else [
        str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if "build" not in p.parts]
    return [n for n in names if (ROOT / n).is_file()]


def under(path, folders):
    return any(path == f or path.startswith(f + "/") or path.startswith(f + ".") for f in folders)


def strip(text):
    """Code without comments and string contents, line structure kept."""
    pattern = r'//[^\n]*|/\*.*?\*/|R"([^(\n]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\''
    keep = lambda m: '""' + "\n" * m.group(0).count("\n") if m.group(0)[0] in "\"R'" else "\n" * m.group(0).count("\n")
    return re.sub(pattern, keep, text, flags=re.S)


def check_includes(path, text, say, edges):
    top = path.split("/")[0]
    for n, line in enumerate(text.splitlines(), 1):
        m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not m:
            continue
        target = m.group(2)
        home = next((HOMES[p] for p in sorted(HOMES, key=len, reverse=True) if target.startswith(p)), None)
        if (m.group(1) == "<" or target.startswith("proto/")) and home is not None and not under(path, home):
            say("home", path, n, f"<{target}> may be included only in {', '.join(home)}")
        first = target.split("/")[0]
        if m.group(1) != '"' or first not in LAYERS or top not in LAYERS:
            continue
        if first != top and first not in LAYERS[top]:
            say("layer", path, n, f"{top}/ may not include {first}/")
        mine, other = path.split("/")[1:2], target.split("/")[1:2]
        if top == first == "node" and path.count("/") > 1 and mine != other:
            if other[0] not in NODE_LAYERS.get(mine[0], []):
                say("layer", path, n, f"node/{mine[0]} may not include node/{other[0]}")
        edges.setdefault(path, set()).add(target)


def check_cycles(edges, say):
    state = {}
    def visit(node, trail):
        state[node] = 1
        for nxt in sorted(edges.get(node, ())):
            if state.get(nxt) == 1:
                say("cycle", node, 0, " -> ".join(trail[trail.index(nxt):] + [nxt]) if nxt in trail else nxt)
            elif nxt in edges and nxt not in state:
                visit(nxt, trail + [nxt])
        state[node] = 2
    for node in sorted(edges):
        if node not in state:
            visit(node, [node])


def check_functions(path, code, say):
    """A function body is a top-level-looking brace block that follows ')' and qualifiers."""
    lines = code.splitlines()
    depth, start, name, outer = 0, None, "", 0
    scope = []  # True for namespace/class/struct/enum/extern blocks
    head = ""
    for n, line in enumerate(lines, 1):
        if line.lstrip().startswith("#"):
            continue
        for ch in line:
            if ch == "{":
                block = re.search(r"\b(namespace|class|struct|enum|union|extern)\b[^;(]*$", head) is not None
                is_function = not block and start is None and re.search(r"\)\s*(const|noexcept|override|final|&|->[^;]*|:[^;]*|mutable|\s)*$", head)
                scope.append(block)
                if is_function:
                    start, outer = n, len(scope)
                    found = re.findall(r"([\w:~]+|operator[^\s(]+)\s*\(", head)
                    name = found[0] if found else "?"
                head = ""
            elif ch == "}":
                if start is not None and len(scope) == outer:
                    if n - start + 1 > FUNCTION_MAX:
                        say("function", path, start, f"{name} has {n - start + 1} lines, the limit is {FUNCTION_MAX}", name)
                    start = None
                if scope:
                    scope.pop()
                head = ""
            elif ch == ";":
                head = "" if head.count("(") <= head.count(")") else head + ch
            else:
                head += ch
        head += " "


def check_kernels(path, code, say):
    """Kernels are launched before the one in front has ended: each has to wait for it."""
    for kernel in re.finditer(r"\b__global__\b", code):
        body = re.compile(r"\{\n(.*?)^\}", re.S | re.M).search(code, kernel.start())
        name = re.findall(r"(\w+)\s*\(", code[kernel.start():body.start()] if body else "")
        if not body or "__global__" in body.group(0) or not re.search(r"^\s*follow_kernel_before\(\);", body.group(1), re.M):
            say("kernel", path, code.count("\n", 0, kernel.start()) + 1,
                f"{name[-1] if name else 'it'} does not call follow_kernel_before() (cuda/follow.cuh)")


def check_file(path, say, edges):
    text = (ROOT / path).read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines()
    code = strip(text)
    check_includes(path, text, say, edges)
    if not lines or "SPDX-License-Identifier" not in lines[0]:
        say("opening", path, 1, "the first line is the SPDX line")
    elif len(lines) < 2 or not re.match(r"// \S+.*", lines[1]):
        say("opening", path, 2, "the second line says in a sentence what the file is for")
    if path.endswith((".hpp", ".cuh")) and "#pragma once" not in text:
        say("opening", path, 1, "#pragma once is missing")
    if len(lines) > FILE_MAX:
        say("length", path, len(lines), f"{len(lines)} lines, the limit is {FILE_MAX}")
    for n, line in enumerate(lines, 1):
        if len(line) > LINE_MAX:
            say("line", path, n, f"{len(line)} columns, the limit is {LINE_MAX}")
    for pattern, folders, reason in BANNED:
        where = text if "TODO" in pattern else code
        for m in re.finditer(pattern, where):
            if under(path, folders) and not path.startswith("tests/"):
                say("word", path, where.count("\n", 0, m.start()) + 1, f"'{m.group(0)}': {reason}")
    check_functions(path, code, say)
    if under(path, HOMES["cuda"]):
        check_kernels(path, code, say)


def main():
    allowed = set()
    if ALLOW.exists():
        allowed = {l.split("#")[0].strip() for l in ALLOW.read_text().splitlines() if l.split("#")[0].strip()}
    used, findings, edges = set(), [], {}

    def say(kind, path, line, message, detail=None):
        for key in (f"{kind} {path}", f"{kind} {path}:{detail}"):
            if key in allowed:
                used.add(key)
                return
        findings.append(f"{path}:{line}: [{kind}] {message}")

    files = [n for n in tracked() if pathlib.Path(n).suffix in SOURCES and n.split("/")[0] in LAYERS]
    for path in files:
        check_file(path, say, edges)
    check_cycles(edges, say)
    for stale in sorted(allowed - used):
        findings.append(f"tools/tidy_allow.txt:0: [allow] '{stale}' is no longer needed; delete the line")
    print("\n".join(findings[:400]))
    cycles = sum("[cycle]" in f for f in findings)
    print(f"tidy: {len(files)} files, {len(findings)} findings, {cycles} include cycles, {len(allowed)} exemptions")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
