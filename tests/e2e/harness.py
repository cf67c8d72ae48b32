# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: a network of real processes, JSON-RPC, waiting, cleaning up."""
import argparse
import ctypes
import fcntl
import http.server
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request
import uuid

from signing import address_of, transaction

SKIPPED = 77  # SKIP_RETURN_CODE in CMakeLists.txt
MARK = "TRAINYARD_E2E"  # every process that a test starts, and their children, carry it
COIN = 10**18
# The first accounts of the usual development mnemonic: dev:0, dev:1, dev:2.
DEV = [
    "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
    "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
    "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
]
BEACON, STAKING, PROVIDERS, MARKET, MODELS = (f"0x{0xb00 + i:040x}" for i in range(5))


class JsonServer:
    """Answers each POST with what `answer` gives for its body, as JSON."""

    def __init__(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                content = json.dumps(answer(self.rfile.read(int(self.headers["Content-Length"])))).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Failure(Exception):
    """The product did not do what the test expects."""


class Skip(Exception):
    """Something that the test needs is not on this machine."""


def say(text):
    print(f"[{time.monotonic() - say.start:6.1f}s] {text}", flush=True)


say.start = time.monotonic()


def expect(condition, what):
    if not condition:
        raise Failure(what)


def expect_equal(found, wanted, what):
    expect(found == wanted, f"{what}: expected {wanted!r}, found {found!r}")


def wait_until(what, ask, seconds=60, every=0.2):
    """Asks until the answer is truthy, and returns it. RPC errors count as 'not yet'."""
    end = time.monotonic() + seconds
    last = "nothing"
    while True:
        try:
            answer = ask()
            if answer:
                return answer
            last = repr(answer)
        except (RpcError, OSError) as error:
            last = str(error)
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what} (last answer: {last})")
        time.sleep(every)


# --- processes


def _die_with_parent():
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run under nohup
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def marked_processes(mark):
    """Pids of living processes whose environment carries the mark; zombies are dead."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if f"{MARK}={mark}".encode() not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            if (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                found.append(int(entry.name))
        except OSError:
            continue
    return found


class Process:
    """One child with its log file; a restart appends to the same log."""

    def __init__(self, test, name, command):
        self.test, self.name, self.command = test, name, command
        self.log = test.folder / f"{name}.log"
        self.child = None

    def start(self):
        expect(self.child is None, f"{self.name} runs already")
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.test.folder,
                env=self.test.environment, preexec_fn=_die_with_parent, start_new_session=True)
        return self

    def is_alive(self):
        return self.child is not None and self.child.poll() is None

    def kill(self):
        """kill -9; what the process had not made durable is lost."""
        expect(self.is_alive(), f"{self.name} has ended by itself before it could be killed")
        self.child.kill()
        self.child.wait()
        self.child = None

    def stop(self, seconds=20, by=signal.SIGTERM):
        """Returns the exit code."""
        expect(self.is_alive(), f"{self.name} has ended by itself before it could be stopped")
        self.child.send_signal(by)
        try:
            code = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} does not end within {seconds} s of {by.name}") from None
        self.child = None
        return code

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def text(self):
        return self.out + self.err


class Test:
    """A temporary folder, the program, and every process of one test."""

    def __init__(self, program, keep):
        self.program = str(pathlib.Path(program).resolve())
        self.keep = keep
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="trainyard-e2e-"))
        self.mark = uuid.uuid4().hex
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("TRAINYARD_")}
        self.environment |= {MARK: self.mark, "NO_COLOR": "1", "TRAINYARD_HOME": str(self.folder / "home")}
        self.processes = []

    def process(self, name, *arguments):
        made = Process(self, name, [self.program, *map(str, arguments)])
        self.processes.append(made)
        return made

    def cli(self, *arguments, seconds=60, code=0, program=None, cwd=None, stdout=subprocess.PIPE):
        """Runs one command to its end. `code` None accepts any exit code but death by a signal. `stdout`: another place for its output."""
        command = [program or self.program, *map(str, arguments)]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, timeout=seconds,
                                  cwd=cwd or self.folder, env=self.environment, preexec_fn=_die_with_parent)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"{' '.join(command)}: not done within {seconds} s\n{tail(late.stdout)}{tail(late.stderr)}") from None
        result = Result(done.returncode, (done.stdout or b"").decode(errors="replace"), done.stderr.decode(errors="replace"))
        if result.code < 0 or (code is not None and result.code != code):
            raise Failure(f"{' '.join(command)}: exit code {result.code}, expected {code}\n{result.text[-4000:]}")
        return result

    def json(self, *arguments, **options):
        return json.loads(self.cli("--json", *arguments, **options).out.splitlines()[-1])

    def left_over(self):
        return marked_processes(self.mark)

    def clean_up(self):
        for _ in range(50):
            pids = self.left_over()
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            for process in self.processes:
                if process.child is not None:
                    process.child.poll()
            if not pids:
                break
            time.sleep(0.1)
        if self.keep:
            say(f"kept {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def show_logs(self, lines=40):
        for process in self.processes:
            if process.log.exists():
                print(f"--- the end of {process.name}'s log\n{tail(process.log.read_bytes(), lines)}", flush=True)


def tail(content, lines=40):
    if not content:
        return ""
    text = content if isinstance(content, str) else content[-200_000:].decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:]) + "\n"


def main(run):
    """Runs a test: exit code 0, 1 with the ends of all logs, or 77 when it cannot be run here."""
    parser = argparse.ArgumentParser(description=run.__doc__)
    parser.add_argument("--program", default=os.environ.get("TRAINYARD", "build/release/bin/trainyard"))
    parser.add_argument("--keep", action="store_true", help="leave the temporary folder")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if not os.access(arguments.program, os.X_OK):
        print(f"SKIPPED: there is no program {arguments.program}", flush=True)
        return sys.exit(SKIPPED)
    test, code = Test(arguments.program, arguments.keep), 1
    try:
        run(test)
        say("passed")
        code = 0
    except Skip as why:
        print("*" * 72 + f"\nSKIPPED: {why}\n" + "*" * 72, flush=True)
        code = SKIPPED
    except Exception as error:
        if isinstance(error, Failure):
            say(f"FAILED: {error}")
        else:
            traceback.print_exc()
        test.show_logs()
    finally:
        test.clean_up()
    sys.exit(code)


# Lines of "process port", and those of this process.
CLAIMS = pathlib.Path(tempfile.gettempdir()) / f"trainyard-e2e-ports-{os.getuid()}"
own_ports = set()


def is_running(pid):
    return pathlib.Path(f"/proc/{pid}").exists()


def claim_ports(ports):
    """False if one of them belongs to another test that runs now, which may not listen there yet, or not at the moment."""
    with open(CLAIMS, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        claims = [tuple(map(int, line.split())) for line in file]
        claims = [(pid, port) for pid, port in claims if pid != os.getpid() and is_running(pid)]
        if {port for _, port in claims} & set(ports):
            return False
        own = [(os.getpid(), port) for port in set(ports) | own_ports]
        own_ports.update(ports)
        file.truncate(0)
        file.writelines(f"{pid} {port}\n" for pid, port in claims + own)
    return True


def free_ports(count):
    """Ports below the range from which the kernel gives clients theirs, so that none is taken between two runs."""
    ports, tries = [], random.Random()
    while len(ports) < count:
        port = tries.randrange(10_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports and claim_ports([port]):
            ports.append(port)
    return ports


# --- JSON-RPC


class RpcError(Exception):
    pass


class Rpc:
    def __init__(self, url):
        self.url = url

    def post(self, body, seconds=10, headers=None, method="POST"):
        """Status and bytes of one HTTP request."""
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"} | (headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def __call__(self, method, *params):
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        status, body = self.post(json.dumps(call).encode())
        try:
            answer = json.loads(body)
        except ValueError:
            raise RpcError(f"{method}: HTTP {status}, {body[:200]!r}") from None
        if "error" in answer:
            raise RpcError(f"{method}: {answer['error']}")
        return answer["result"]

    def finalised(self):
        """Number of the last final block."""
        block = self("eth_getBlockByNumber", "finalized", False)
        return int(block["number"], 16) if block else 0

    def balance(self, address, block="latest"):
        return int(self("eth_getBalance", address, block), 16)

    def keccak(self, text):
        return self("web3_sha3", "0x" + text.encode().hex())

    def view(self, contract, signature, *words, block="latest"):
        """The words that a view function returns, as numbers; arguments are numbers or 0x-text."""
        data = self.keccak(signature)[:10]
        for word in words:
            data += f"{int(word, 16) if isinstance(word, str) else word:064x}"
        answer = self("eth_call", {"to": contract, "data": data}, block)[2:]
        return [int(answer[i:i + 64], 16) for i in range(0, len(answer), 64)]

    def send(self, key, contract, signature, *words, value=0, tail=b""):
        """The receipt of a call that succeeds, signed here: for what no command of the program sends. Words as those of `view`."""
        data = bytes.fromhex(self.keccak(signature)[2:10]) + b"".join(
            (int(word, 16) if isinstance(word, str) else word).to_bytes(32, "big") for word in words) + tail
        nonce = int(self("eth_getTransactionCount", address_of(key), "pending"), 16)
        raw, tx = transaction(key, int(self("eth_chainId"), 16), nonce, contract, value=value, data=data, gas=4_000_000)
        self("eth_sendRawTransaction", raw)
        receipt = wait_until(f"{signature} is in a block", lambda: self("eth_getTransactionReceipt", tx), 20)
        expect_equal(receipt["status"], "0x1", f"status of {signature}")
        return receipt

    def logs(self, contract, signature, *topics):
        """All logs of one event whose first indexed arguments are `topics`, oldest first."""
        wanted = [self.keccak(signature), *(f"0x{int(t, 16) if isinstance(t, str) else t:064x}" for t in topics)]
        return self("eth_getLogs", {"address": contract, "fromBlock": "0x0", "toBlock": "latest", "topics": wanted})

    def fee_of(self, tx):
        receipt = self("eth_getTransactionReceipt", tx)
        return int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)


def log_word(log, index):
    """A word of a log's data as a number."""
    return int(log["data"][2 + 64 * index:66 + 64 * index], 16)
