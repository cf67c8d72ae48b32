# SPDX-License-Identifier: Apache-2.0
"""Wrong flags, files, folders, ports and requests: each gets a clear error and the right exit code, and nothing crashes."""
import json
import os
import pty
import signal
import socket
import subprocess
import threading
import time

from harness import JsonServer, expect, expect_equal, main, say, wait_until
from network import Devnet


def refused(test, code, words, *arguments, seconds=30, variables=None):
    """The command ends with this exit code, and its message has all of the words."""
    test.environment |= variables or {}
    done = test.cli(*arguments, seconds=seconds, code=code)
    for name in variables or {}:
        del test.environment[name]
    for word in words if isinstance(words, (list, tuple)) else [words]:
        expect(word in done.text, f"trainyard {' '.join(map(str, arguments))}: no '{word}' in\n{done.text[-2000:]}")
    expect("terminate called" not in done.text and "assert" not in done.text.lower(), f"a crash:\n{done.text[-2000:]}")


def rejects_wrong_usage(net, test):
    for words, *arguments in [
        ("command is missing", ), ("frobnicate", "frobnicate"), ("did you mean 'submit'", "job", "sumbit"),
        ("--bogus", "node", "--bogus"), ("id", "job", "status"),
        ("abc", "job", "status", "abc"), ("--data", "train"), ("--fault", "provider", "--fault", "what"),
        ("--stake", "provider", "--stake", "-1"), ("--key", "provider"), ("--validators", "devnet", "init", "--validators", "0"),
        ("--validators", "devnet", "init", "--validators", "1000"), ("fish", "completion", "nushell"),
        ("1 to 65532", "devnet", "init", "--http-port", "65533", "--validators", "4"), ("1 to 65533", "devnet", "up", "--http-port", "65535", "--validators", "3"),
        ("1 to 65520", "devnet", "demo", "--http-port", "65521", "--validators", "16"),
        ("'-1' is not a whole number", "job", "status", "-1"), ("too large", "job", "status", 2**64), ("1.5G", "train", "--data", "book.txt", "--memory", "1.5gigs"),
        ("not from 1 to 16", "devnet", "up", "--validators", 17), ("more than once", "train", "--data", "book.txt", "--steps", 1, "--steps", 2),
        ("EIP-55", "account", "send", "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "--amount", 1, "--key", "dev:0"), ("no address", "account", "send", "0x12", "--amount", 1, "--key", "dev:0"),
        ("the key of 0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266", "account", "balance", "dev:0"), ("is no address;", "account", "balance", "dev:10"),
        ("EIP-55", "provider", "earnings", "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"), ("EIP-55", "account", "balance", "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
        ("has 257 bytes, not 1 to 256", "provider", "--name", "x" * 257), ("has 0 bytes", "provider", "--name", ""),
        ("EIP-55", "validator", "status", "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
        ("--job", "verify"), ("http.port", "node", "--http.port", "65536"), ("http.port", "node", "--http.port", "-1"),
        ("log.level", "node", "--log.level", "loud"), ("--segments", "devnet", "demo", "--segments", "0"),
        ("--job", "verify", "--segment", "3"), ("--width", "train", "--data", "book.txt", "--width", "0"),
        ("--account", "light", "--genesis", "genesis.json", "--account", "0x12"), ("--key", "job", "cancel", "0"), ("'0' is not from 1 to 8783", "job", "submit", "--data", "book.txt", "--key", "dev:0", "--deadline-hours", 0), ("--price", "job", "submit", "--data", "book.txt", "--key", "dev:0", "--price", "x"),
    ]:
        refused(test, 2, words, *arguments)


def rejects_wrong_settings(net, test):
    path = test.folder / "node.toml"
    for text, words in [
        ('[http]\nprot = 1\n', ["node.toml:2", "did you mean 'http.port'"]),
        ('datdir = "x"\n', ["node.toml:1", "did you mean 'datadir'"]),
        ('zzzzzzzzzzzz = 1\n', ["unknown key 'zzzzzzzzzzzz'"]),
        ('[http]\nport = "8545"x\n', ["node.toml:2"]),
        ('[http]\nport = 1.5\n', ["node.toml:2", "http.port"]),
        ('[http]\nport = true\n', ["http.port", "type"]),
        ('[http\n', ["node.toml:1"]),
        ('[log]\njson = "yes"\n', ["log.json"]),
        ('\x00\x01\x02', ["node.toml:1"]),
    ]:
        path.write_text(text)
        refused(test, 2, words, "node", "--config", path)
    refused(test, 2, ["TRAINYARD_HTTP_PORT", "many"], "node", variables={"TRAINYARD_HTTP_PORT": "many"})
    for name, words in (("TRAINYARD_HTP_PORT", "did you mean 'TRAINYARD_HTTP_PORT'"), ("TRAINYARD_HOM", "did you mean 'TRAINYARD_HOME'"), ("TRAINYARD_QUITE_ANOTHER", "node --help")):
        test.environment[name] = "1"
        said = test.cli("version")
        expect(name in said.err and words in said.err and "TRAINYARD_E2E" not in said.err, f"a warning of {name}: {said.text}")
        expect_equal(test.cli("--quiet", "version").err, "", "what is said where nothing is to be said")
        del test.environment[name]
    refused(test, 1, "absent.toml", "node", "--config", test.folder / "absent.toml")


def rejects_wrong_keystores(net, test):
    right, wrong = test.folder / "right", test.folder / "wrong"
    right.write_text("a good password\n")
    wrong.write_text("a bad password\n")
    keys = test.folder / "keystores"
    test.cli("account", "new", "--light", "--keystore", keys, "--password-file", right)
    keystore = next(keys.iterdir())
    test.cli("account", "show", keystore, "--password-file", right)
    refused(test, 1, "wrong password", "account", "show", keystore, "--password-file", wrong)
    refused(test, 1, "--password-file", "account", "show", keystore)
    refused(test, 1, "wrong password", "job", "cancel", 0, "--rpc", net.nodes[0].url, "--key", keystore, "--password-file", wrong)
    refused(test, 1, "dev:0 to dev:9", "account", "show", "dev:10")
    content = json.loads(keystore.read_text())
    for change in ({"version": 4}, {"crypto": {}}, {"crypto": content["crypto"] | {"kdfparams": {"n": 2**40, "r": 8, "p": 1, "dklen": 32, "salt": "00"}}}):
        broken = test.folder / "broken.json"
        broken.write_text(json.dumps(content | change))
        refused(test, 1, "keystore", "account", "show", broken, "--password-file", right)
    secret = test.folder / "key.hex"
    for text in ("", "00" * 32, "ff" * 32, "12", "xyz"):
        secret.write_text(text)
        refused(test, 1, "key", "account", "import", secret, "--light", "--keystore", keys, "--password-file", right)


def rejects_a_providers_folder_that_is_in_use(net, test):
    folder = test.folder / "provider data"
    command = ["provider", "--rpc", net.nodes[0].url, "--key", "dev:9", "--no-cuda", "--datadir", folder]
    first = subprocess.Popen([test.program, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=test.environment)
    try:
        wait_until("the first provider's lock", (folder / "lock").exists, 30)
        time.sleep(0.2)
        refused(test, 1, "another provider's that runs", *command)
    finally:
        first.terminate()
        first.wait(timeout=30)
    (test.folder / "a file").write_text("")
    refused(test, 1, "cannot make the folder", *command[:-1], test.folder / "a file")


def answered(test, *answers, command):
    """Exit code and what the command says at a terminal where each (question, answer) is typed."""
    terminal, its_end = pty.openpty()
    child = subprocess.Popen([test.program, *map(str, command)], stdin=its_end, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=test.environment)
    asked = b""
    for question, answer in answers:
        while not asked.endswith(question.encode()):
            byte = child.stderr.read(1)
            expect(byte, f"no question but: {asked}")
            asked += byte
        time.sleep(0.1)  # the echo of a password goes off after the question
        os.write(terminal, answer.encode() + b"\n")
    out, rest = child.communicate(timeout=60)
    os.close(terminal)
    os.close(its_end)
    return child.returncode, (out + asked + rest).decode()


def rejects_a_new_password_that_is_not_typed_twice(net, test):
    for second, code in (("another one", 1), ("a good password", 0)):
        folder = test.folder / f"typed-{code}"
        code_given, said = answered(test, ("new password: ", "a good password"), ("once more: ", second),
                                    command=["account", "new", "--light", "--keystore", folder])
        expect_equal(code_given, code, f"exit code after {said}")
        expect_equal(folder.exists() and len(list(folder.iterdir())) or 0, 1 - code, "keystores written")


def asks_before_a_job_is_paid(net, test):
    submit = ["job", "submit", "--rpc", net.nodes[0].url, "--key", "dev:3", "--data", net.data(), "--layers", 1, "--width", 8, "--heads", 1, "--sequence", 8,
              "--steps", 40, "--audit-fee", "0.1"]
    client = test.json("account", "show", "dev:3")["address"]
    before = net.nodes[0].rpc.balance(client)
    costs = ["2 segments x (1 price + ", "x 0.1 audit fee)", "balance", "deadline", "coins of free stake"]
    dry = test.cli(*submit, "--dry-run").out
    quoted = test.json(*submit, "--dry-run")
    expect_equal(quoted["segments"], 2, "segments of a dry run")
    question = " coins into escrow? [y/N] "
    for answer in ("n", "", "yess"):
        code, said = answered(test, (question, answer), command=submit)
        expect(code == 1 and "nothing was published or paid" in said, f"the answer '{answer}': {code}, {said}")
        for word in costs:
            expect(word in dry and word in said, f"no '{word}' in {dry} or {said}")
    expect_equal(net.nodes[0].rpc.balance(client), before, "the balance after dry runs and answers that are no yes")
    code, said = answered(test, (question, "y"), command=submit)
    expect(code == 0 and "posted in block" in said, f"the answer y: {code}, {said}")
    code, said = answered(test, command=[*submit, "--yes"])
    expect(code == 0 and "[y/N]" not in said, f"nobody is asked with --yes: {code}, {said}")
    posted = test.cli("--json", *submit)
    expect(costs[0] in posted.err, f"what it costs is said to scripts, too: {posted.err}")
    expect_equal(json.loads(posted.out)["escrowWei"], quoted["escrowWei"], "the escrow that was paid")


def rejects_servers_that_are_no_node(net, test):
    """The same result whatever is asked."""
    given = {}
    url = JsonServer(lambda _: {"jsonrpc": "2.0", "id": 1, "result": given["result"]}).url
    for given["result"] in ({}, [], None, "", "0x", "0x" + "ff" * 64, 5, [{}], {"id": "0x", "sentry": "0x"}, [{"id": "0x12", "sentry": "0x"}]):
        for command in (["peers"], ["job", "list"], ["model", "show", 0], ["validator", "list"], ["account", "send", "0x" + "11" * 20, "--amount", 1, "--key", "dev:0"]):
            done = test.cli(*command, "--rpc", url, code=None)
            expect("error" in done.text or "jobs" in done.text, f"{command} with {given['result']}: {done.text[-500:]}")
            expect("terminate called" not in done.text, f"{command} crashed: {done.text[-500:]}")


def rejects_wrong_genesis(net, test):
    good = (net.folder / "genesis.json").read_text()
    path = test.folder / "genesis.json"
    spoilt = json.loads(good)
    spoilt["timestamp"] = "0x1"
    unknown = json.loads(good) | {"difficultyBomb": 1}
    poor = json.loads(good)
    poor["config"]["trainyard"]["validators"] = []
    unreachable = json.loads(good)
    unreachable["config"]["trainyard"]["validators"][0]["endpoint"] = "127.0.0.1:0"
    for text in ("", "{}", "[]", "null", good[:len(good) // 2], good + "x", "[" * 100_000, json.dumps(spoilt),
                 json.dumps(unknown), json.dumps(poor), json.dumps(unreachable)):
        path.write_text(text)
        refused(test, 1, [f"{path}: ", "genesis"], "genesis", "check", path)
        refused(test, 1, ["cannot start", "genesis"], "node", "--genesis", path, "--datadir", test.folder / "unused", "--http.port", 0, "--p2p.port", 0)
    test.cli("genesis", "check", net.folder / "genesis.json")
    refused(test, 1, "holds a devnet already", "devnet", "init", "--dir", net.folder)
    keys = net.folder / "node-0" / "keys"
    refused(test, 1, "@host:port", "genesis", "build", "--validator", f"{keys}@127.0.0.1:99999", "--out", path)
    refused(test, 1, "the port at which the others will find it", "genesis", "build", "--validator", f"{keys}@127.0.0.1:0", "--out", path)
    refused(test, 1, "the keys of one before", "genesis", "build", "--validator", f"{keys}@127.0.0.1:1", "--validator", f"{keys}@127.0.0.1:2", "--out", path)
    path.unlink()
    build = ["genesis", "build", "--validator", f"{keys}@127.0.0.1:1", "--out", path]
    test.cli(*build)
    built = path.read_text()
    refused(test, 1, "is there already", *build)
    expect_equal(path.read_text(), built, "the genesis file that was there")
    path.write_text('{"config":{"chainId":1},"difficulty":"0x1","gasLimit":"0x1000000","alloc":{}}')
    refused(test, 1, "trainyard import", "serve", "--genesis", path, "--datadir", test.folder / "absent")


def follower(net, test, **changes):
    """Arguments of a node without keys that can run beside the others; `http_port` stands for --http.port."""
    flags = {"genesis": net.folder / "genesis.json", "datadir": test.folder / "follower", "http_port": 0,
             "p2p_addr": "127.0.0.1", "p2p_port": 0} | changes
    return ["node", *(part for name, value in flags.items() for part in ("--" + name.replace("_", "."), value))]


def rejects_wrong_folders_and_ports(net, test):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for flag in ("http_port", "p2p_port"):
            refused(test, 1, ["cannot start", str(port), "in use"], *follower(net, test, **{flag: port}))
    refused(test, 1, ["cannot start", "127.0.0.999"], *follower(net, test, http_addr="127.0.0.999"))
    refused(test, 1, "cannot start", *follower(net, test, p2p_peers="nobody@nowhere"))
    own = net.folder / "node-0" / "data"
    refused(test, 1, ["cannot start", str(own)], *follower(net, test, datadir=own))
    a_file = test.folder / "file"
    a_file.write_text("not a folder")
    refused(test, 1, ["cannot start", str(a_file)], *follower(net, test, datadir=a_file))
    refused(test, 1, ["cannot start", "keys"], *follower(net, test, keys=test.folder / "no keys"))
    test.cli("devnet", "init", "--dir", test.folder / "other", "--validators", 1)
    foreign = test.folder / "other" / "node-0" / "keys"
    for name, role, flags in (("candidate", "candidate", {"keys": foreign}), ("stranger", "observer", {})):
        node = net.test.process(name, *follower(net, test, **flags)).start()
        wait_until("a following node is up", lambda: "node is up" in node.text(), 30)
        expect(f"role={role}" in node.text(), f"what a node with keys of no validator says it is: {node.text()}")
        expect_equal(node.stop(), 0, f"exit code of the {name}")
    refused(test, 1, "cannot start", *follower(net, test, genesis=test.folder / "other" / "genesis.json"))


def rejects_wrong_files(net, test):
    path = test.folder / "junk"
    for content in (b"", b"\x00", os.urandom(4096), b"{" * 4096):
        path.write_bytes(content)
        refused(test, 1, "junk", "program", "inspect", path)
        refused(test, 1, "junk", "verify", "--case", path)
    model = test.folder / "model"
    model.mkdir()
    refused(test, 1, "model", "verify", "--model", model, "--offline")
    test.cli("train", "--data", net.data(), "--out", model, "--layers", 1, "--width", 8, "--heads", 1, "--sequence", 8, "--steps", 1, "--segment", 1)
    for name in ("model.safetensors", "trainyard.json"):
        whole = (model / name).read_bytes()
        (model / name).write_bytes(whole[:len(whole) // 2])
        refused(test, 1, [name, "cut off"], "verify", "--model", model, "--offline")
        (model / name).write_bytes(whole)
    test.cli("verify", "--model", model, "--offline")
    shapes, draws, sorts = test.folder / "shapes.tyd", test.folder / "draws", test.folder / "sorts"
    test.cli("data", "shapes", "--count", 64, "--out", shapes)
    for kind, folder, flags in (("diffusion", draws, ["--channels", 8]), ("mlp", sorts, [])):
        test.cli("program", "new", kind, "--data", shapes, "--out", path, *flags, "--steps", 1, "--segment", 1)
        test.cli("train", "--data", shapes, "--program", path, "--out", folder)
    refused(test, 1, "draws no images", "sample", "--model", sorts)
    for steps in (1, 10_000):
        refused(test, 1, "--steps 2 to the program's", "sample", "--model", draws, "--steps", steps)
    refused(test, 1, "learned from images", "program", "finetune", "--model", sorts, "--data", net.data(), "--out", path, "--data-out", test.folder / "d")
    path.write_bytes(os.urandom(100))
    refused(test, 1, "absent", "program", "new", "gpt", "--data", test.folder / "absent", "--out", test.folder / "p")
    refused(test, 1, "absent", "devnet", "demo", "--data", test.folder / "absent", "--out", test.folder / "demo", seconds=5)
    refused(test, 1, "attention", "program", "new", "gpt", "--data", net.data(), "--out", test.folder / "p", "--width", 65, "--heads", 4)
    refused(test, 1, [str(path), "Not a directory"], "train", "--data", net.data(), "--out", path)
    refused(test, 1, ["0xf39f", "9999", "coins"], "account", "send", "0x" + "11" * 20, "--amount", "99999999", "--key", "dev:0", "--rpc", net.nodes[0].url)
    refused(test, 1, "no job 99", "job", "status", 99, "--rpc", net.nodes[0].url)
    refused(test, 1, "no job 99", "job", "cancel", 99, "--key", "dev:0", "--rpc", net.nodes[0].url)
    refused(test, 1, "no such token", "model", "show", 99, "--rpc", net.nodes[0].url)
    refused(test, 1, "refused", "job", "list", "--rpc", "http://127.0.0.1:1")
    refused(test, 1, "http://", "job", "list", "--rpc", "ftp://127.0.0.1")


def rejects_jobs_before_anything_is_published(net, test):
    program = test.folder / "job.program"
    small = ["--layers", 1, "--width", 8, "--heads", 1, "--sequence", 8]
    made = test.cli("program", "new", "gpt", "--data", net.data(), "--out", program, *small, "--steps", 10)
    expect("10 steps do not fill segments of 20" in made.text, f"a program says that it is none for a job: {made.text}")
    submit = ["job", "submit", "--rpc", net.nodes[0].url, "--key", "dev:0", "--data", net.data()]
    refused(test, 1, "10 steps do not fill segments of 20", *submit, "--program", program)
    refused(test, 2, "says itself what is trained", *submit, "--program", program, "--steps", 20)
    refused(test, 2, "says itself what is trained", "train", "--data", net.data(), "--program", program, "--layers", 2)
    tokens = test.folder / "tokens.tyd"
    test.cli("data", "prepare", net.data(), "--merges", 4, "--out", tokens)
    for command in (["train"], ["program", "new", "gpt", "--out", program], ["job", "submit", "--rpc", net.nodes[0].url, "--key", "dev:0"]):
        refused(test, 1, f"--tokenizer {tokens}.tokenizer", *command, "--data", tokens)
    for words, *flags in [("--price is below", "--price", 0), ("--audit-fee is more than --price", "--audit-fee", 2), ("--segment-blocks", "--segment-blocks", 0),
                          ("--licence", "--licence", "a/b"), ("--micro-batches", "--micro-batches", 1),
                          ("never paid", "--recipe", "fp32"), ("in escrow", "--price", 99999)]:
        refused(test, 1, words, *submit, *small, *flags)
    port = int(net.nodes[0].url.rsplit(":", 1)[1])
    metrics = raw(port, b"GET /metrics HTTP/1.0\r\n\r\n", answer_to=20).decode()
    expect_equal([line for line in metrics.splitlines() if line.startswith("trainyard_blobs_used_bytes ")], ["trainyard_blobs_used_bytes 0"], "what was published")


def keeps_a_run_that_is_interrupted(net, test):
    command = ["train", "--data", net.data(), "--out", test.folder / "stopped", "--layers", 1, "--width", 8, "--heads", 1, "--sequence", 8,
               "--segment", 1, "--steps", 100_000, "--checkpoint-every", 50_000]
    run = test.process("stopped run", *command).start()
    wait_until("the run is on its way", lambda: "step 1/" in run.text(), 30)
    expect_equal(run.stop(), 130, "exit code of an interrupted run")
    expect("the same command goes on from there" in run.text(), f"it says how to go on: {run.text()}")
    run.start()
    wait_until("the run goes on", lambda: "going on after step" in run.text(), 30)
    expect_equal(run.stop(by=signal.SIGHUP), 130, "exit code of the run that went on")


def rejects_what_is_no_file(net, test):
    """At once: nobody waits for a pipe without a writer, and no memory fills with what has no end."""
    nowhere = test.folder / "nowhere"
    pipe, huge, out = nowhere / "pipe", nowhere / "huge", nowhere / "out"
    nowhere.mkdir()
    os.mkfifo(pipe)
    huge.touch()
    os.truncate(huge, 1 << 40)
    reads = [["train", "--out", out, "--data"], ["job", "submit", "--key", "dev:0", "--data"], ["program", "new", "gpt", "--out", out, "--data"],
             ["data", "prepare", "--out", out], ["data", "inspect"], ["program", "inspect"], ["program", "import", "--out", out, "--onnx"],
             ["verify", "--case"], ["account", "show"], ["genesis", "check"], ["node", "--config"], ["node", "--genesis"],
             ["signer", "--keys", out, "--genesis"], ["slashing-protection", "import", "--datadir", out]]
    for path, words in (("/dev/zero", "device"), ("/dev/null", "device"), (pipe, "pipe"), (huge, "larger"), (nowhere, "folder"), (out, "No such file")):
        for command in reads:
            if path == nowhere and ("--data" in command or "data" in command):
                continue  # which a folder may hold
            done = test.cli(*command, path, code=None, seconds=10)
            expect(done.code in (1, 2) and words in done.err, f"{command} with {path}: {done.code} {done.text}")
    for command in (["program", "new", "gpt", "--data", net.data(), "--out"], ["data", "shapes", "--out"], ["debug", "bundle", "--out"]):
        done = test.cli(*command, pipe, code=1, seconds=20)
        expect("pipe" in done.err and pipe.is_fifo(), f"{command} with a pipe: {done.text}")
    (out / "nodekey").mkdir(parents=True)
    done = test.cli("node", "--genesis", net.folder / "genesis.json", "--datadir", out, code=1)
    expect("folder" in done.err and "remove it" not in done.err, f"a node with a key that cannot be read: {done.text}")


def says_that_memory_is_not_enough(net, test):
    large = test.folder / "large"
    large.touch()
    os.truncate(large, 2 << 30)
    for flags, words in (([], "error: not enough memory\n"), (["--json"], '{"error":"not enough memory"}\n')):
        done = test.cli("-c", 'ulimit -v 1000000; exec "$@"', "sh", test.program, *flags, "data", "inspect", large, code=1, program="/bin/sh")
        expect_equal(done.err, words, "what is said")


def keeps_its_log_out_of_its_files(net, test):
    """Started with stdin, stdout and stderr closed: no file gets their numbers, and with one what is said there."""
    node = test.process("closed", "node", "--genesis", net.folder / "genesis.json", "--datadir", test.folder / "closed", "--http.port", 0, "--p2p.port", 0)
    node.command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *node.command]
    node.start()
    wait_until("the node has its databases", (test.folder / "closed" / "votes" / "LOCK").exists, 30)
    held = [os.readlink(f"/proc/{node.child.pid}/fd/{number}") for number in range(3)]
    expect_equal(held, ["/dev/null"] * 3, "the standard descriptors")
    node.kill()


def rejects_a_full_disk(net, test):
    """What is lost behind stdout is a failure, also of commands that have nothing else to fail at."""
    with open("/dev/full", "wb") as full_disk:
        for command in (["version"], ["job", "submit", "--help"], ["completion", "bash"], ["peers", "--json", "--rpc", net.nodes[0].url]):
            done = test.cli(*command, code=1, stdout=full_disk)
            expect("not all of the output" in done.text, f"{command} with a full disk: {done.text}")


def raw(port, content, answer_to=2.0):
    """What a plain socket gets back; a closed connection is an answer too."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), 5) as line:
        line.settimeout(answer_to)
        try:
            line.sendall(content)
            while len(got) < 1 << 20:
                part = line.recv(65536)
                if not part:
                    break
                got += part
        except OSError:
            pass
    return got


def error_code(body):
    answer = json.loads(body)
    return answer["error"]["code"] if isinstance(answer, dict) and "error" in answer else None


def rejects_rpc_garbage(net, test):
    node = net.nodes[0]
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    for body, wanted in [
        (b"", -32700), (b"garbage", -32700), (b"\xff\xfe\x00", -32700), (b'{"jsonrpc":"2.0"', -32700), (b"[" * 100_000, -32700),
        (b"[]", -32600), (b"1", -32600), (b'{"jsonrpc":"2.0","id":1}', -32600),
        (json.dumps(call | {"method": "eth_nothing"}).encode(), -32601),
        (json.dumps(call | {"method": "eth_getBalance"}).encode(), -32602),
        (json.dumps(call | {"method": "eth_getBalance", "params": ["0x12", "latest"]}).encode(), -32602),
        (json.dumps(call | {"method": "eth_getBlockByNumber", "params": ["0x" + "f" * 500, False]}).encode(), -32602),
        (json.dumps(call | {"method": "eth_sendRawTransaction", "params": ["0x02" + "ff" * 200]}).encode(), None),
    ]:
        status, answer = node.rpc.post(body)
        found = error_code(answer)
        expect(found is not None, f"no error for {body[:60]!r}: HTTP {status}, {answer[:200]!r}")
        if wanted is not None:
            expect_equal(found, wanted, f"error code for {body[:60]!r}")
    for content in (b"\x00" * 5000, b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"PUT /blob HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
                    b"GET /blob/0x12 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 2\r\n\r\n{}"):
        answer = raw(int(node.url.rsplit(":", 1)[1]), content)
        expect(not answer.startswith(b"HTTP/1.1 2"), f"{content[:60]!r} is answered with {answer[:60]!r}")
    socket_upgrade = (b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    for frame in (b"\xff" * 64, b"\x81\x05hello", b"\x81\xff" + b"\x7f" + b"\xff" * 11, b"\x81\x87\0\0\0\0garbage"):
        raw(int(node.url.rsplit(":", 1)[1]), socket_upgrade + frame)


def rejects_peer_garbage(net, test):
    endpoint = json.loads((net.folder / "genesis.json").read_text())["config"]["trainyard"]["validators"][0]["endpoint"]
    port = int(endpoint.rsplit(":", 1)[1])
    attacks = [threading.Thread(target=raw, args=(port, content)) for content in
               (b"\x00" * 100, b"\xff" * 100_000, os.urandom(5000), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01")]
    for attack in attacks:
        attack.start()
    for attack in attacks:
        attack.join()


def run(test):
    net = Devnet(test, validators=1).start()
    for reject in (rejects_wrong_usage, rejects_wrong_settings, rejects_wrong_keystores,
                   rejects_a_providers_folder_that_is_in_use, rejects_a_new_password_that_is_not_typed_twice, rejects_servers_that_are_no_node, rejects_wrong_genesis,
                   rejects_wrong_folders_and_ports, rejects_wrong_files, rejects_jobs_before_anything_is_published, asks_before_a_job_is_paid, keeps_a_run_that_is_interrupted, rejects_what_is_no_file, says_that_memory_is_not_enough, keeps_its_log_out_of_its_files, rejects_a_full_disk, rejects_rpc_garbage, rejects_peer_garbage):
        reject(net, test)
        say(reject.__name__.replace("_", " "))
    net.wait_growth(net.nodes, 3)
    expect_equal(net.nodes[0].process.stop(), 0, "exit code of the node after all this")


main(run)
