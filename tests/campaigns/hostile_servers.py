"""Downloads from random hostile servers: the right file or a DownloadError, within a bound.

    python -m tests.campaigns.hostile_servers --servers 60 --seed 0 --output out/servers.json
    python -m tests.campaigns.hostile_servers --server 0:17

A server redirects, answers and is damaged at random, and sends at a random pace. Each is asked
alone, and again with a good server after it. Faults are: another exception, a wrong file, a failure
where the good one could be asked, anything left behind, a message with control characters, and a
download that takes longer than it may; each is printed with what makes that server again. A quarter
of a second stands for the 5 s that a server has to answer, a half for the 10 s for 10,000 bytes.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np

from minisca.datasets import DownloadError, mirror
from minisca.datasets.download import download
from tests.support.hostile_server import RESET, chunks, dripping, endless, moved, playing

TIMEOUT, WINDOW = 0.25, 0.5
CONTENTS = np.random.default_rng(0).bytes(30_000)
SHA256 = hashlib.sha256(CONTENTS).hexdigest()
MOST_BYTES = 100_000
#: Seconds for all redirects' connections and headers, then for windows of the largest file; and as
#: many again for a machine that does other things.
BOUND = 2 * (2 * TIMEOUT * 11 + WINDOW * (1 + MOST_BYTES / mirror.LEAST))
MOST_MEMORY = 64 << 20
GOOD = [b"HTTP/1.1 200 OK\r\n\r\n", CONTENTS]
AT_ONCE = 4

STATUS = [b"HTTP/1.1 200 OK"] * 30 + [
    *(b"HTTP/1.0 200", b"HTTP/1.1 404 \x1b[2J", b"HTTP/1.1 206 X", b"HTTP/1.1 204 X"),
    *(b"HTTP/1.1 302 F", b"HTTP/1.1 -1 x", b"HTTP/9 200 OK", b"\x16\x03\x01", b""),
]
BEFORE = [[]] * 12 + [
    [b"HTTP/1.1 100 Continue\r\n\r\n"],
    [endless(b"HTTP/1.1 100 Continue\r\n\r\n")],
    [dripping(b"HTTP/1.1 100 Continue\r\n\r\n" * 20)],
    [b"\r\n"],
]
HEADERS = [
    *(b"Content-Encoding: gzip", b"Content-Range: bytes 5-9/4", b"\x1b[31m: \x07", b"A", b" b"),
    *(b"Connection: keep-alive", b"Location: file:///x", b"Location: http://[", b"B:" + b"b" * 999),
    *(b"Content-Length: -7", b"Content-Length: 99999999999999999999", b"Content-Length: x"),
    *(b"Content-Length: 30000", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: CHUNKED"),
]
ADDRESSES = [
    *(b"/", b"http://[::1/x", b"//a..b/", b"file:///etc/hosts", b"ftp://127.0.0.1/", b"\xe9\x00/1"),
    *(b"http://127.0.0.1:99999/", b"http://a%0d%0ab/", b"https://127.0.0.1:1/", b"\x1b[2J", b"/1"),
]
SIZES = [1, 7, 100, 4096, 10**6]
DAMAGED_SIZES = [b"-1", b"-5", b"fffffffffffffffff", b"zz", b"", b"0" * 99, b"5;" + b"x" * 999]


def pick(random, choices):
    return choices[random.integers(len(choices))]


def random_script(random):
    """What a random server does, in steps of `tests.support.hostile_server`."""
    if random.random() < 0.15:
        return [moved(pick(random, ADDRESSES), pick(random, [301, 302, 303, 307, 308]))]
    headers = [pick(random, HEADERS) for _ in range(pick(random, [0, 0, 1, 3]))]
    body = CONTENTS[: pick(random, [0, 1, 15_000, 29_999])] if random.random() < 0.3 else CONTENTS
    framing = pick(random, ["length", "chunks", "close"])
    if framing == "length":
        length = len(body) + (pick(random, [-1, 1, 9999]) if random.random() < 0.2 else 0)
        headers.append(b"Content-Length: %d" % length)
    elif framing == "chunks":
        headers.append(b"Transfer-Encoding: chunked")
        body = chunks(body, pick(random, SIZES))
        if random.random() < 0.3:
            body += pick(random, DAMAGED_SIZES) + b"\r\n"
        body += b"0\r\n" + pick(random, [b"", b"A: b\r\n" * 5]) + b"\r\n"
    head = b"\r\n".join([pick(random, STATUS), *headers, b"", b""])
    end = pick(random, [[]] * 12 + [[9.0], [RESET], [endless(b"x")], [endless(b"A: b\r\n")]])
    return [*pick(random, BEFORE), *random_pace(random, random_damage(random, head + body)), *end]


def random_damage(random, answer):
    """The answer, or one with bytes changed, left out or put in."""
    if random.random() < 0.6:
        return answer
    start = random.integers(min(len(answer), pick(random, [200, len(answer)])))
    stop = start + pick(random, [0, 1, 9])
    return answer[:start] + pick(random, [b"", b"\r\n", b"\x1b", random.bytes(9)]) + answer[stop:]


def random_pace(random, answer):
    """The answer in steps: at once, or stopping, breaking off or dripping at some place."""
    place = random.integers(min(len(answer), pick(random, [200, len(answer)])))
    start, rest = answer[:place], answer[place:]
    return pick(
        random,
        [
            *[[answer]] * 6,
            *([start, 0.05, rest], [start, 9.0, rest], [start], [start, RESET]),
            *([start, dripping(rest)], [dripping(answer, 0.02, 500)], [dripping(answer, 0.02, 50)]),
        ],
    )


def faults_of(name):
    """The outcome alone, and all faults, of the server of that name, SEED:NUMBER."""
    random = np.random.default_rng([int(part) for part in name.split(":")])
    script = random_script(random)
    found = []
    with playing(script, GOOD) as server, tempfile.TemporaryDirectory() as folder:
        alone = _outcome([f"{server}/0"], Path(folder), found)
        if _outcome([f"{server}/0", f"{server}/1"], Path(folder), found) != "the file":
            found.append("the good mirror was not used")
    return alone, found


def _outcome(urls, folder, found):
    """What a download ended in; faults are added to `found`."""
    ended, target = ["held"], folder / "a"

    def fetch():
        try:
            download(urls, target, SHA256, TIMEOUT, MOST_BYTES)
            ended[0] = "the file"
        except DownloadError as error:
            ended[0] = "DownloadError"
            if not "".join(str(error).split("\n  ")).isprintable():
                found.append(f"control characters: {str(error)!r}")
        except BaseException as error:
            ended[0] = type(error).__name__
            found.append(ascii(error))

    thread = threading.Thread(target=fetch, daemon=True)
    start = time.monotonic()
    thread.start()
    thread.join(BOUND)
    if thread.is_alive():
        found.append(f"held for more than {time.monotonic() - start:.1f} s")
        return ended[0]
    if ended[0] == "the file":
        if target.read_bytes() != CONTENTS:
            found.append("a wrong file")
        target.unlink()
    if os.listdir(folder):
        found.append(f"left behind: {os.listdir(folder)}")
    return ended[0]


def campaign(names):
    """(counts by outcome, {name of a server: its faults})."""
    counts, faults = Counter(), {}
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for name, (outcome, found) in zip(names, pool.map(faults_of, names), strict=True):
            counts[outcome] += 1
            if found:
                faults[name] = found
    return counts, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", type=int, default=60, help="how many (default: 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--server", metavar="SEED:NUMBER", help="this one alone")
    parser.add_argument("--output", type=Path, help="a JSON file of the counts and faults")
    options = parser.parse_args()
    import resource  # Windows has none, and what is above is of the suite too

    mirror.WINDOW = WINDOW
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1"
    names = [f"{options.seed}:{number}" for number in range(options.servers)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts, faults = campaign([options.server] if options.server else names)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    if grown > MOST_MEMORY:
        faults["memory"] = [f"it grew by {grown} bytes; {MOST_MEMORY} are allowed"]
    print(f"{sum(counts.values())} servers: {dict(counts)}; memory grew by {grown >> 20} MiB")
    for name, found in faults.items():
        print(f"fault at {name}: {'; '.join(found)}")
    print(f"{len(faults)} faults")
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        found = {"counts": counts, "faults": faults, "bytes of memory": grown}
        options.output.write_text(json.dumps(found, indent=1) + "\n")
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
