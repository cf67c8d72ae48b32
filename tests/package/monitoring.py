# SPDX-License-Identifier: Apache-2.0
"""Dashboard and alert rules ask only for metrics and labels that the sources export, and cover what an operator must hear of.
With --promtool Prometheus' own tool reads the rules and plays tests/package/alerts_test.yaml; tests/e2e/status.py asks a live validator.

usage: monitoring.py [--promtool]"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ALERTS, DASHBOARD = (ROOT / "tools" / "monitoring" / name for name in ("alerts.yaml", "grafana.json"))
# What has to be told -> the metrics by which an alert knows it.
COVERED = {
    "not synced": ["trainyard_chain_head_age_seconds"],
    "no finality": ["trainyard_consensus_blocks_final_total"],
    "few peers": ["trainyard_p2p_peers"],
    "disk low": ["trainyard_disk_free_bytes"],
    "missed proposals": ["trainyard_staking_turns_missed", "trainyard_staking_turns_led"],
    "missed votes": ["trainyard_signer_voting", "trainyard_consensus_own_weight"],
    "verifier fell back to the CPU": ["trainyard_verifier_without_cuda"],
    "verifier can reach the keys": ["trainyard_verifier_confined"],
    "slash risk": ["trainyard_signer_refusals_total", "trainyard_signer_contentions_total"],
    "answers stuck": ["trainyard_sender_stuck"],
}
SUFFIXES = "_(bucket|sum|count)$"  # of histograms
problems = []


def expect(condition, what):
    if not condition:
        problems.append(what)


def expressions():
    """(where, PromQL)"""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield f"panel '{panel['title']}'", target["expr"]
    for alert in alerts():
        yield alert["name"], alert["expr"]


def alerts():
    """The rules' own few forms of YAML: no library for it is at hand everywhere."""
    for text in re.split(r"^      - alert: ", ALERTS.read_text(), flags=re.M)[1:]:
        expr = re.search(r"^        expr: (?:>-\n)?((?:.|\n)*?)\n        [a-z]+:", text, re.M).group(1)
        yield {"name": text.split("\n")[0], "expr": expr, "text": text}


def check_static():
    sources = "\n".join(path.read_text() for path in (ROOT / "node").rglob("*.cpp"))
    exported = set(re.findall(r'"(trainyard_[a-z0-9_]+)"', sources))
    for where, expr in expressions():
        names = set(re.findall(r"\btrainyard_\w+", expr))
        expect(names or "up{" in expr, f"{where}: asks for nothing")
        unknown = {name for name in names if name not in exported and re.sub(SUFFIXES, "", name) not in exported}
        expect(not unknown, f"{where}: nothing exports {sorted(unknown)}")
        for key, value in re.findall(r'(\w+)!?="([^"]*)"', expr):
            if key != "job":
                expect(f'"{key}"' in sources and f'"{value}"' in sources, f"{where}: no label {key} has the value {value}")
    for what, names in COVERED.items():
        expect(any(all(name in alert["expr"] for name in names) for alert in alerts()), f"no alert covers: {what}")
    for alert in alerts():
        for part in ("severity: ", "summary: ", "description: "):
            expect(part in alert["text"], f"{alert['name']}: no {part}")
    panels = json.loads(DASHBOARD.read_text())["panels"]
    expect(len({panel["id"] for panel in panels}) == len(panels), "two panels have one id")
    cells = [(x, y) for panel in panels for at in [panel["gridPos"]]
             for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
    expect(len(set(cells)) == len(cells) and max(cells)[0] < 24, "panels lie over each other")
    return f"{len(list(expressions()))} expressions ask for what there is"


def check_by_promtool():
    if shutil.which("promtool") is None:
        print("*" * 72 + "\nSKIPPED: there is no promtool (Debian: prometheus), which should play the alerts' test\n" + "*" * 72)
        sys.exit(77)
    for words in (["check", "rules", ALERTS], ["test", "rules", HERE / "alerts_test.yaml"]):
        done = subprocess.run(["promtool", *words], capture_output=True, text=True)
        expect(done.returncode == 0, done.stdout + done.stderr)
    return "promtool agrees"


said = check_by_promtool() if "--promtool" in sys.argv else check_static()
print("\n".join(problems) or said)
sys.exit(1 if problems else 0)
