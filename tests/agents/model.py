# SPDX-License-Identifier: LGPL-2.1-or-later
"""A model that does as it is told: for tests of real agents, without a model.

Speaks the protocols of OpenAI (responses, chat completions), Anthropic (messages) and Gemini
(generateContent), streaming and not. To the first request that offers a tool which runs commands it
answers with a call of that tool, and when the tool's result comes, with a last word. Every request is
noted: what was asked, the credentials that came along, the tools.
"""

import http.server
import json
import threading
import time

LAST_WORD = "Done: the file is as it should be."
CREDENTIALS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
CODE = object()  # a tool that takes a program, which calls another
SHELLS = ("exec", "exec_command", "shell_command", "shell", "local_shell", "run_shell_command", "Bash", "bash")


def arguments_for(parameters, command):
    """The tool's arguments that make it run the command, by its own schema."""
    if parameters is CODE:
        return {"code": f"text(await tools.exec_command({{cmd: {json.dumps(command)}}}));"}
    properties = (parameters or {}).get("properties", {})
    name = next((key for key in ("command", "cmd") if key in properties), "command")
    schema = properties.get(name, {})
    value = ["sh", "-c", command] if schema.get("type") == "array" else command
    arguments = {name: value}
    for key in (parameters or {}).get("required", []):
        if key not in arguments:
            arguments[key] = {"number": 10000, "integer": 10000, "boolean": False}.get(
                properties.get(key, {}).get("type"), "change the file")
    return arguments


def example(schema):
    """The least that a JSON schema allows."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = str(schema.get("type", "string")).lower()
    if kind == "object":
        return {key: example(value) for key, value in schema.get("properties", {}).items()}
    return {"array": [], "number": 1, "integer": 1, "boolean": False}.get(kind, "yes")


def pick(tools):
    """(name, parameters) of the tool that runs commands; None: there is none."""
    by_name = dict(tools)
    for name in SHELLS:
        if name in by_name:
            return name, by_name[name]
    return None


class Protocol:
    """One request: which tools it offers, whether it brings a tool's result, and how to answer."""

    def __init__(self, body, stream):
        self.body, self.stream = body, stream


class Responses(Protocol):
    def tools(self):
        listed = list(self.body.get("tools", []))
        for item in self.body.get("input", []):
            if isinstance(item, dict) and item.get("type") == "additional_tools":
                listed += [tool for space in item["tools"] for tool in space.get("tools", [space])]
        return [(tool.get("name") or tool["type"], CODE if tool["type"] == "custom" else tool.get("parameters"))
                for tool in listed]

    def has_result(self):
        return any(item.get("type", "").endswith("_call_output") for item in self.body.get("input", [])
                   if isinstance(item, dict))

    def events(self, item):
        response = {"id": "resp_1", "object": "response", "status": "completed", "output": [item],
                    "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15,
                              "input_tokens_details": {"cached_tokens": 0},
                              "output_tokens_details": {"reasoning_tokens": 0}}}
        start = dict(response, status="in_progress", output=[])
        return [("response.created", {"type": "response.created", "response": start}),
                ("response.output_item.added",
                 {"type": "response.output_item.added", "output_index": 0, "item": item}),
                ("response.output_item.done",
                 {"type": "response.output_item.done", "output_index": 0, "item": item}),
                ("response.completed", {"type": "response.completed", "response": response})]

    def call(self, name, arguments):
        if "code" in arguments:
            return self.events({"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": name,
                                "input": arguments["code"], "status": "completed"})
        return self.events({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name,
                            "arguments": json.dumps(arguments), "status": "completed"})

    def say(self, text):
        return self.events({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                            "content": [{"type": "output_text", "text": text, "annotations": []}]})

    def whole(self, events):
        return events[-1][1]["response"]


class Chat(Protocol):
    def tools(self):
        return [(tool["function"]["name"], tool["function"].get("parameters"))
                for tool in self.body.get("tools", [])]

    def has_result(self):
        return any(message.get("role") == "tool" for message in self.body.get("messages", []))

    def events(self, delta, reason):
        def chunk(delta, reason):
            return (None, {"id": "chat_1", "object": "chat.completion.chunk", "created": int(time.time()),
                           "model": self.body.get("model", "m"),
                           "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        last = chunk({}, reason)
        last[1]["usage"] = usage
        return [chunk(dict(delta, role="assistant"), None), last, (None, "[DONE]")]

    def call(self, name, arguments):
        return self.events({"content": None, "tool_calls": [
            {"index": 0, "id": "call_1", "type": "function",
             "function": {"name": name, "arguments": json.dumps(arguments)}}]}, "tool_calls")

    def say(self, text):
        return self.events({"content": text}, "stop")

    def whole(self, events):
        delta = dict(events[0][1]["choices"][0]["delta"])
        for call in delta.get("tool_calls", []):
            call.pop("index", None)
        return dict(events[0][1], object="chat.completion", usage=events[1][1]["usage"], choices=[
            {"index": 0, "message": delta, "finish_reason": events[1][1]["choices"][0]["finish_reason"]}])


class Messages(Protocol):
    def tools(self):
        return [(tool["name"], tool.get("input_schema")) for tool in self.body.get("tools", [])]

    def has_result(self):
        return any(part.get("type") == "tool_result"
                   for message in self.body.get("messages", []) if isinstance(message["content"], list)
                   for part in message["content"])

    def events(self, block, deltas, reason):
        message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [],
                   "model": self.body.get("model", "m"), "stop_reason": None, "stop_sequence": None,
                   "usage": {"input_tokens": 10, "output_tokens": 1}}
        events = [("message_start", {"type": "message_start", "message": message}),
                  ("content_block_start", {"type": "content_block_start", "index": 0,
                                           "content_block": block})]
        events += [("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta})
                   for delta in deltas]
        return events + [
            ("content_block_stop", {"type": "content_block_stop", "index": 0}),
            ("message_delta", {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None},
                               "usage": {"output_tokens": 5}}),
            ("message_stop", {"type": "message_stop"})]

    def call(self, name, arguments):
        return self.events({"type": "tool_use", "id": "toolu_1", "name": name, "input": {}},
                           [{"type": "input_json_delta", "partial_json": json.dumps(arguments)}], "tool_use")

    def say(self, text):
        return self.events({"type": "text", "text": ""}, [{"type": "text_delta", "text": text}], "end_turn")

    def whole(self, events):
        block, delta = dict(events[1][1]["content_block"]), events[2][1]["delta"]
        if "text" in delta:
            block["text"] = delta["text"]
        else:
            block["input"] = json.loads(delta["partial_json"])
        return dict(events[0][1]["message"], content=[block], stop_reason=events[-2][1]["delta"]["stop_reason"])


class Gemini(Protocol):
    def tools(self):
        return [(declared["name"], declared.get("parametersJsonSchema") or declared.get("parameters"))
                for tool in self.body.get("tools", []) for declared in tool.get("functionDeclarations", [])]

    def has_result(self):
        return any("functionResponse" in part for content in self.body.get("contents", [])
                   for part in content.get("parts", []))

    def events(self, part):
        return [(None, {"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0,
                                        "finishReason": "STOP"}], "modelVersion": "m",
                        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5,
                                          "totalTokenCount": 15}})]

    def call(self, name, arguments):
        return self.events({"functionCall": {"name": name, "args": arguments}})

    def say(self, text):
        config = self.body.get("generationConfig", {})
        schema = config.get("responseJsonSchema") or config.get("responseSchema")
        return self.events({"text": json.dumps(example(schema)) if schema else text})

    def whole(self, events):
        return events[0][1]


def protocol_of(path, body):
    path = path.split("?")[0]
    if path.endswith("/responses"):
        return Responses(body, body.get("stream", False))
    if path.endswith("/chat/completions"):
        return Chat(body, body.get("stream", False))
    if path.endswith("/messages"):
        return Messages(body, body.get("stream", False))
    if ":streamGenerateContent" in path or ":generateContent" in path:
        return Gemini(body, ":stream" in path)
    return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    command_to_run, seen = None, None

    def note(self, **more):
        credentials = {name: self.headers[name] for name in CREDENTIALS if self.headers[name]}
        self.seen.append({"method": self.command, "path": self.path, "host": self.headers["host"],
                          "credentials": credentials, **more})

    def read_body(self):
        if "chunked" in self.headers.get("transfer-encoding", ""):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def send_json(self, value, status=200):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def send_events(self, events):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for name, data in events:
            text = (f"event: {name}\n" if name else "") + "data: " + (
                data if isinstance(data, str) else json.dumps(data)) + "\n\n"
            self.wfile.write(f"{len(text.encode()):x}\r\n{text}\r\n".encode())
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def do_GET(self):
        self.note()
        if self.path.split("?")[0].endswith("/models"):
            self.send_json({"object": "list", "data": [{"id": "test-model", "object": "model"}]})
        else:
            self.send_json({"error": {"message": "there is nothing here"}}, 404)

    def do_POST(self):
        try:
            body = json.loads(self.read_body() or b"{}")
        except ValueError:
            body = {}
        protocol = protocol_of(self.path, body)
        if not protocol:
            self.note()
            self.send_json({"input_tokens": 10, "totalTokens": 10})  # count_tokens and the like
            return
        tool = pick(protocol.tools())
        self.note(tools=[name for name, _ in protocol.tools()], result=protocol.has_result())
        if protocol.has_result() or not tool:
            events = protocol.say(LAST_WORD)
        else:
            events = protocol.call(tool[0], arguments_for(tool[1], self.command_to_run))
        if protocol.stream:
            self.send_events(events)
        else:
            self.send_json(protocol.whole(events))

    def log_message(self, *_):
        pass


def serve(listener, command):
    """Answers on a socket that listens, in a thread; returns the list of requests. `command` is what
    the agent is told to run."""
    class Told(Handler):
        command_to_run, seen = command, []

    server = http.server.ThreadingHTTPServer(("", 0), Told, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_name, server.server_port, server.daemon_threads = "model", 0, True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return Told.seen
