"""The few answers of GitLab's API that the note and the issues job ask for, on loopback. What is posted is kept in a folder.

Usage: forge.py FOLDER. Prints its address when it listens.
"""

import http.server
import json
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])


class Forge(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        if self.headers.get("private-token") != "component-token":
            self.answer(401, {"message": "401 Unauthorized"})
        elif self.path == "/api/v4/user":
            self.answer(200, {"username": "project_42_bot"})
        else:
            self.answer(200, [])

    def do_POST(self):
        content = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.headers.get("private-token") != "component-token":
            self.answer(401, {"message": "401 Unauthorized"})
            return
        kind = self.path.split("?")[0].rsplit("/", 1)[1]
        with open(folder / f"{kind}.posted", "a", encoding="utf-8") as file:
            for key in ("title", "body", "description", "labels"):
                if key in content:
                    file.write(f"{key}: {content[key]}\n")
        self.answer(201, {"id": 1, "iid": 1})

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forge)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
