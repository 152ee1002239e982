#!/usr/bin/env python3
"""A service that calls language models, made up: it exports the llm_* metrics that rules/llm reads, and misbehaves on command.

    python3 llm_service.py --listen 127.0.0.1:8000
    curl -X POST http://127.0.0.1:8000/misbehave/errors     # or latency, cost, off

Nobody is called and nothing is paid. Nothing runs between two scrapes either: whoever asks for the metrics is told what
would have happened since the last time.
"""

import argparse
import heapq
import itertools
import random
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Per model: requests a second, usual seconds of a request, dollars for a million tokens in and out.
MODELS = {
    "large": {"rate": 1.5, "seconds": 2.5, "in": 2.0, "out": 10.0},
    "small": {"rate": 5.0, "seconds": 0.7, "in": 0.1, "out": 0.4},
}
USERS = {"search": 5, "support": 3, "batch": 2}  # who calls, and how often beside the others
USUAL_ERRORS = 0.005
ERROR_TYPES = ["timeout", "rate_limit", "server_error"]

# What goes wrong, always with the model `large`, so that `small` shows that a model is judged for itself.
BROKEN = "large"
MISBEHAVIOURS = {
    "off": {},
    "errors": {"errors": 0.8},  # the provider refuses most requests
    "latency": {"seconds": 8},  # so many times slower: most requests take longer than 10 s
    "cost": {"tokens": 40},  # so many times more tokens: a prompt that grows in a loop
}

BUCKETS = [0.5, 1, 2, 5, 10, 20, 30, 60]  # the bounds that the rules rely on; 10 is the one of LLMHighLatencyP95


class Service:
    """The traffic up to now, and what it has added up to."""

    def __init__(self, misbehaviour):
        self.lock = threading.Lock()
        self.random = random.Random()
        self.misbehaviour = misbehaviour
        self.now = time.monotonic()
        self.next_call = {model: self.now for model in MODELS}
        self.under_way = []  # (when it ends, a number, model, user, seconds, failed)
        self.numbers = itertools.count()
        pairs = list(itertools.product(MODELS, USERS))
        # Everything begins at 0, so that the first error is an increase: rate() never counts a series' first sample.
        self.requests = {(model, status, user): 0 for model, user in pairs for status in ("success", "error")}
        self.errors = {(model, kind, user): 0 for model, user in pairs for kind in ERROR_TYPES}
        self.tokens = {(model, way, user): 0 for model, user in pairs for way in ("input", "output")}
        self.dollars = {pair: 0.0 for pair in pairs}
        self.active = {pair: 0 for pair in pairs}
        self.buckets = {pair: [0] * len(BUCKETS) for pair in pairs}
        self.seconds = {pair: 0.0 for pair in pairs}
        self.finished = {pair: 0 for pair in pairs}

    def misbehave(self, how):
        """From this moment on; what was under way ends as it began."""
        with self.lock:
            self.catch_up()
            self.misbehaviour = how

    def effect(self, model, what, usual):
        return MISBEHAVIOURS[self.misbehaviour].get(what, usual) if model == BROKEN else usual

    def catch_up(self):
        """Lets happen what would have happened since the last time, in order."""
        self.now = time.monotonic()
        while True:
            model = min(self.next_call, key=self.next_call.get)
            begins = self.next_call[model]
            ends = self.under_way[0][0] if self.under_way else self.now
            if min(begins, ends) >= self.now:
                return
            if ends <= begins:
                self.end(*heapq.heappop(self.under_way)[2:])
            else:
                self.begin(model, begins)
                self.next_call[model] = begins + self.random.expovariate(MODELS[model]["rate"])

    def begin(self, model, at):
        user = self.random.choices(list(USERS), USERS.values())[0]
        failed = self.random.random() < self.effect(model, "errors", USUAL_ERRORS)
        seconds = MODELS[model]["seconds"] * self.random.lognormvariate(0, 0.4) * self.effect(model, "seconds", 1)
        if failed:
            seconds /= 5  # refused, which is fast
        self.active[model, user] += 1
        heapq.heappush(self.under_way, (at + seconds, next(self.numbers), model, user, seconds, failed))

    def end(self, model, user, seconds, failed):
        self.active[model, user] -= 1
        self.requests[model, "error" if failed else "success", user] += 1
        # Failed requests are observed too.
        self.buckets[model, user] = [n + (seconds <= le) for n, le in zip(self.buckets[model, user], BUCKETS)]
        self.seconds[model, user] += seconds
        self.finished[model, user] += 1
        if failed:
            self.errors[model, self.random.choice(ERROR_TYPES), user] += 1
            return
        times = self.effect(model, "tokens", 1)
        read, written = self.random.randint(300, 1500) * times, self.random.randint(50, 500) * times
        self.tokens[model, "input", user] += read
        self.tokens[model, "output", user] += written
        prices = MODELS[model]
        self.dollars[model, user] += (read * prices["in"] + written * prices["out"]) / 1e6

    def metrics(self):
        """The text that Prometheus reads."""
        with self.lock:
            self.catch_up()
            lines = [
                *family("llm_requests_total", "counter", "Requests that ended.", ("model", "status", "user"), self.requests),
                *family("llm_errors_total", "counter", "Those that failed.", ("model", "error_type", "user"), self.errors),
                *family("llm_tokens_total", "counter", "Tokens.", ("model", "token_type", "user"), self.tokens),
                *family("llm_cost_dollars_total", "counter", "What they cost.", ("model", "user"), self.dollars),
                *family("llm_active_requests", "gauge", "Requests under way.", ("model", "user"), self.active),
                *self.durations(),
            ]
        return "\n".join(lines) + "\n"

    def durations(self):
        name = "llm_request_duration_seconds"
        yield f"# HELP {name} How long requests took, failed ones too."
        yield f"# TYPE {name} histogram"
        for (model, user), counts in self.buckets.items():
            labels = f'model="{model}",user="{user}"'
            for le, count in zip(BUCKETS, counts):
                yield f'{name}_bucket{{{labels},le="{float(le)}"}} {count}'
            yield f'{name}_bucket{{{labels},le="+Inf"}} {self.finished[model, user]}'
            yield f"{name}_sum{{{labels}}} {self.seconds[model, user]}"
            yield f"{name}_count{{{labels}}} {self.finished[model, user]}"


def family(name, kind, text, labels, values):
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for key, value in values.items():
        pairs = ",".join(f'{label}="{of}"' for label, of in zip(labels, key))
        yield f"{name}{{{pairs}}} {value}"


class Handler(BaseHTTPRequestHandler):
    """GET /metrics, GET /-/healthy, POST /misbehave/…"""

    def do_GET(self):
        if self.path == "/metrics":
            self.answer(200, self.server.service.metrics(), "text/plain; version=0.0.4; charset=utf-8")
        elif self.path == "/-/healthy":
            self.answer(200, "healthy\n")
        else:
            self.answer(404, "there are GET /metrics, GET /-/healthy and POST /misbehave/…\n")

    def do_POST(self):
        how = self.path.removeprefix("/misbehave/")
        if how == self.path or how not in MISBEHAVIOURS:
            self.answer(404, f"it misbehaves by POST /misbehave/ and one of {', '.join(MISBEHAVIOURS)}\n")
            return
        self.server.service.misbehave(how)
        say(f"misbehaves: {how}")
        self.answer(200, f"misbehaves: {how}\n")

    def answer(self, status, text, kind="text/plain; charset=utf-8"):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """A line for each scrape says nothing."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def address(text):
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT")
    return host, int(port)


def main():
    parser = argparse.ArgumentParser(description="A made-up service that calls language models.")
    parser.add_argument("--listen", type=address, default="127.0.0.1:8000", metavar="HOST:PORT", help="port 0 takes a free one")
    parser.add_argument("--misbehave", choices=MISBEHAVIOURS, default="off", help="how to begin (default: %(default)s)")
    options = parser.parse_args()
    # As the first process of a container it would not be ended by SIGTERM otherwise.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server = ThreadingHTTPServer(options.listen, Handler)
    except OSError as error:
        sys.exit(f"error: cannot listen on {':'.join(map(str, options.listen))} (--listen): {error.strerror}")
    server.service = Service(options.misbehave)
    say(f"listening on {server.server_address[0]}:{server.server_address[1]}")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
