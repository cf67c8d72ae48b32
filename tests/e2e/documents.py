# SPDX-License-Identifier: Apache-2.0
"""The pages name only files, commands and flags that exist, and so do the examples in the program's help.

usage: documents.py PROGRAM"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = sys.argv[1]


def read_help(path=()):
    """Flags and commands below each command, and all help texts."""
    text = subprocess.run([PROGRAM, *path, "--help"], capture_output=True, text=True, check=True).stdout
    listed = text.partition("Subcommands:\n")[2].partition("\n\n")[0]
    found = {path: {"flags": set(re.findall(r"(?:^  |,)(--?[a-z0-9.-]+)", text, re.M)), "commands": re.findall(r"^  ([a-z-]+) ", listed, re.M), "text": text}}
    for name in found[path]["commands"]:
        found |= read_help((*path, name))
    return found


def wrong_commands(text, known):
    """Of each `trainyard …` in a text what no command, and no flag of its command, is called."""
    for words in re.findall(r"(?:^|[`\s])trainyard ((?:--)?[a-z-]+[^`#;|&\n]*)", re.sub(r'\\\n|"', " ", text.replace("\\n", "\n")), re.M):
        path, rest = (), words.split()
        while rest and rest[0] in known[path]["commands"]:
            path += (rest.pop(0),)
        flags = known[path]["flags"] | known[()]["flags"]
        wrong = [w for w in rest if w.startswith("--") and w.rstrip(".,)").split("=")[0] not in flags]
        if rest and known[path]["commands"] and re.fullmatch("[a-z][a-z-]*", rest[0]):
            wrong.append(rest[0])
        yield from (f"trainyard {' '.join(path)} {w}" for w in wrong if path)


def missing_files(page, text):
    links = [page.parent / target for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)]
    named = [ROOT / name for name in re.findall(rf"(?<![\w/.])((?:{FOLDERS})/[\w./-]*\.[a-z]+)\b", text)]
    return [path.relative_to(ROOT) for path in links + named if not path.exists() and path.name not in LATER]


FOLDERS = "|".join(p.name for p in ROOT.iterdir() if p.is_dir() and p.name != "build")
LATER = {"cuda.md"}  # bench/results/cuda.md is written where there is a device
known = read_help()
problems = []
for page in (p for p in sorted(ROOT.rglob("*.md")) if not {"build", "node_modules"} & set(p.relative_to(ROOT).parts)):
    text = page.read_text()
    problems += [f"{page.relative_to(ROOT)}: there is no {what}" for what in [*missing_files(page, text), *wrong_commands(text, known)]]
for source in ROOT.glob("node/**/*.?pp"):
    said = "\n".join(re.findall("`trainyard [^`]*", source.read_text()))
    problems += [f"{source.relative_to(ROOT)}: there is no {what}" for what in wrong_commands(said, known)]
problems += [f"help of {' '.join(path)}: there is no {what}" for path, command in known.items() for what in wrong_commands(command["text"], known)]
print("\n".join(problems) or f"{len(known)} commands and all pages: what they name is there")
sys.exit(1 if problems else 0)
