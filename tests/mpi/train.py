#!/usr/bin/env python3
"""One training run in one, two and four processes, killed and resumed, planned, and with less memory: the same bits.

usage: train.py PATH_OF_TRAINYARD [mpirun]
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

TRAINYARD = sys.argv[1]
MPIRUN = sys.argv[2] if len(sys.argv) > 2 else None
SHAPE = ["--layers", "2", "--width", "64", "--heads", "2", "--sequence", "32", "--micro-batches", "4", "--no-cuda"]
STEPS = 40


def command(folder, data, *extra, steps=STEPS, sequences=2):
    words = [TRAINYARD, "--json", "train", "--data", data, "--out", folder, *SHAPE, *extra]
    return [*words, "--steps", str(steps), "--sequences", str(sequences)]


def under_mpi(processes):
    return [MPIRUN, "--allow-run-as-root", "--oversubscribe", "-n", str(processes)]


def run(words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def result(words):
    code, out, err = run(words)
    assert code == 0, f"{words}: {code}\n{out}{err}"
    return json.loads(out.strip().splitlines()[-1])


def kill_after(words, line_wanted):
    """Kills the run as soon as it reports that step."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for line in process.stdout:
            if json.loads(line).get("step") == line_wanted:
                process.send_signal(signal.SIGKILL)
                break
        process.stdout.read()


def check_kill_and_resume(folder, data, due):
    words = command(folder / "killed", data, "--checkpoint-every", "10")
    kill_after(words, 25)
    assert (folder / "killed" / "checkpoint").exists(), "no checkpoint after step 10"
    code, out, err = run(command(folder / "killed", data, "--seed", "01" * 32))
    assert code != 0 and "another --seed" in err, f"another seed took the checkpoint up: {err}"
    code, out, err = run(words)
    steps = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and steps[0]["step"] == 21, f"began at {steps[0]}: {err}"
    assert steps[-1]["stateRoot"] == due, "a resumed run reached other bits"
    assert not (folder / "killed" / "checkpoint").exists()
    for name in ["loss.svg", "loss.csv", "model.safetensors", "config.json"]:
        assert (folder / "killed" / name).exists(), name
    losses = (folder / "killed" / "loss.csv").read_text().splitlines()
    assert len(losses) == STEPS + 1, "the losses before the kill are missing"
    print("killed after step 25, resumed after step 20: the same bits")


def check_memory(folder, data):
    """Under a limit activations are computed twice, with the same bits; a limit that nothing meets is refused."""
    wide = {"steps": 3, "sequences": 32}
    free = result(command(folder / "wide", data, **wide))
    limit = ["--memory", str(free["forecastBytes"] - 3_000_000)]
    plan = result(command(folder / "none", data, *limit, "--dry-run", **wide))
    assert plan["recomputedOperators"] > 0, plan
    limited = result(command(folder / "limited", data, *limit, **wide))
    assert limited["stateRoot"] == free["stateRoot"], "a limit of memory changed the bits"
    assert limited["peakBytes"] < free["peakBytes"], f"{limited}, without a limit {free}"
    code, out, err = run(command(folder / "none", data, "--memory", "1M"))
    assert code != 0 and "more than the 1 MiB of --memory" in err, f"{code}: {out}{err}"
    print(f"{plan['recomputedOperators']} operators computed twice: the same bits, peak {limited['peakBytes']} for {free['peakBytes']}")


def check_processes(folder, data, due):
    for processes in [2, 4]:
        got = result([*under_mpi(processes), *command(folder / f"of{processes}", data)])
        assert got["stateRoot"] == due, f"{processes} processes reached other bits"
        print(f"{processes} processes: the same bits")
    code, out, err = run([*under_mpi(3), *command(folder / "of3", data)])
    assert code != 0 and "3 processes cannot share the 4 micro-batches" in err, f"{code}: {out}{err}"
    print("3 processes: refused")
    code, out, err = run([*under_mpi(2), *command(folder / "of2", data, "--memory", "1M")])
    assert code != 0 and "more than the 1 MiB of --memory" in err, f"{code}: {out}{err}"
    check_failing_alone(data)


def check_failing_alone(data):
    """The first process cannot write its checkpoint: nobody waits for it."""
    code, out, err = run([*under_mpi(2), *command(pathlib.Path(data) / "no-folder", data, "--checkpoint-every", "5")])
    assert code != 0 and "process 0: " in err and "no-folder" in err, f"{code}: {out}{err}"
    print("a process that fails alone ends all: " + next(line for line in err.splitlines() if "process 0: " in line))


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data = str(folder / "text")
        pathlib.Path(data).write_text("".join(f"line {i * i % 977} of the yard\n" for i in range(2000)))
        plan = result(command(folder / "none", data, "--dry-run"))
        assert plan["memoryBytes"] > 0 and plan["totalSeconds"] > 0 and not (folder / "none").exists()
        one = result(command(folder / "one", data))
        print(f"one process: {one['stateRoot']}, peak {one['peakBytes']} of {one['forecastBytes']} bytes forecast")
        check_kill_and_resume(folder, data, one["stateRoot"])
        check_memory(folder, data)
        if MPIRUN:
            check_processes(folder, data, one["stateRoot"])
        else:
            print("no MPI in this build: one process only")


if __name__ == "__main__":
    main()
