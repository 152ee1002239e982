"""An SMTP server for tests: aiosmtpd on a free port of loopback, which says on standard error what it does, one line each.

    listening on 127.0.0.1:PORT
    refused ADDRESS CODE
    received {"from": …, "to": […], "headers": {…}, "text": …, "html": …, "defects": […], …}

It ends with the process that started it, or when it is killed.
"""

import argparse
import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


def say(line):
    print(line, file=sys.stderr, flush=True)


def defects(message):
    """Whatever Python's parser did not like, in the message, its parts and their headers."""
    found = []
    for part in message.walk():
        found += [repr(defect) for defect in part.defects]
        for name, value in part.items():
            found += [f"{name}: {defect!r}" for defect in getattr(value, "defects", ())]
    return found


class Handler:
    def __init__(self, options):
        self.options = options
        self.replies = {"rcpt": list(options.rcpt), "data": list(options.data)}

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        refusal = dict(item.split("=", 1) for item in self.options.refuse).get(address)
        if refusal is None and self.replies["rcpt"]:
            refusal = self.replies["rcpt"].pop(0)
        if refusal is not None:
            say(f"refused {address} {refusal}")
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.options.hang:
            say("hanging")
            await asyncio.sleep(3600)
        if self.replies["data"]:
            reply = self.replies["data"].pop(0)
            say(f"refused message {reply}")
            return reply
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        text, html = [message.get_body((kind,)).get_content().replace("\r\n", "\n") for kind in ("plain", "html")]
        say("received " + json.dumps({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "hello": session.host_name,
            "tls": server.transport.get_extra_info("sslcontext") is not None,
            "user": session.auth_data.login.decode() if session.authenticated else None,
            "headers": {name: str(value) for name, value in message.items()},
            "parts": [part.get_content_type() for part in message.walk()],
            "text": text,
            "html": html,
            "defects": defects(message),
            "is_ascii": envelope.content.isascii(),
        }))
        return "250 2.0.0 Ok: queued as 1"


def authenticator(login):
    def check(server, session, envelope, mechanism, data):
        given = f"{data.login.decode()}:{data.password.decode()}"
        if given != login:
            say(f"refused login by {mechanism}")
            return AuthResult(success=False, handled=False)
        return AuthResult(success=True, auth_data=data)
    return check


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", choices=["none", "starttls", "tls"], default="none")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--login", help="USER:PASSWORD, required of everybody")
    parser.add_argument("--rcpt", action="append", default=[], help="the reply to the next RCPT; then all is well")
    parser.add_argument("--data", action="append", default=[], help="the reply to the next message; then all is well")
    parser.add_argument("--refuse", action="append", default=[], help="ADDRESS=REPLY, always")
    parser.add_argument("--hang", action="store_true", help="never answer a message")
    options = parser.parse_args()

    context = None
    if options.tls != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.cert, options.key)
    handler = Handler(options)
    arguments = {"hostname": "mail.example", "loop": asyncio.get_running_loop()}
    if options.tls == "starttls":
        arguments |= {"tls_context": context, "require_starttls": True}
    if options.login:
        arguments |= {
            "authenticator": authenticator(options.login),
            "auth_required": True,
            # With TLS from the first byte aiosmtpd does not know that there is any.
            "auth_require_tls": options.tls == "starttls",
        }
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, **arguments), "127.0.0.1", 0, ssl=context if options.tls == "tls" else None)
    say(f"listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await server.serve_forever()


asyncio.run(main())
