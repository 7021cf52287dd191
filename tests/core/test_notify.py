"""Alerts to a real script and a real HTTP server; the watch inside a worker; what the app keeps and claims."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from core.alert_log import AlertLog, is_news
from core.alert_settings import AlertSettings
from core.alert_state import AlertState
from core.alerts import Alert
from core.notify import Notifier, call_webhook, payload, run_command
from core.recorder import Recorder
from core.runs import create_run_dir, process_start, write_status
from core.tail import JsonlTail
from core.watch import Watch

NASTY = "$(touch hacked); `touch hacked` ' \" \n\x1b]0;x\x07 재밌다"


class Server:
    """An HTTP server on this machine that keeps what it is sent and answers with `status`."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.got.append((self.headers["Content-Type"], json.loads(body)))
                self.send_response(server.status)
                if server.status == 302:
                    self.send_header("Location", server.address + "/elsewhere")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A program that appends what it is told to `told.jsonl` beside it."""
    path = tmp_path / "tell me.py"
    path.write_text(
        f"#!{sys.executable}\n"
        "import json, os, pathlib, sys\n"
        "told = json.load(sys.stdin)\n"
        "told['environment'] = {k: v for k, v in os.environ.items() if k.startswith('NSMC_TUI_ALERT_')}\n"
        "told['arguments'] = sys.argv[1:]\n"
        "with open(pathlib.Path(__file__).with_name('told.jsonl'), 'a') as file:\n"
        "    file.write(json.dumps(told) + '\\n')\n"
    )
    path.chmod(0o755)
    return path


def told(script: Path) -> list[dict[str, Any]]:
    path = script.with_name("told.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def until(condition: Callable[[], Any], timeout: float = 240) -> Any:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("nothing came")


def test_a_command_gets_the_alert_and_nothing_of_it_is_run(script: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "20260101-000000-x"
    alert = Alert("error", "failed", NASTY, "a hint")
    assert run_command((str(script), "--to", "$HOME"), payload(alert, run_dir), 20) == ""
    (got,) = told(script)
    assert got["message"] == got["environment"]["NSMC_TUI_ALERT_MESSAGE"] == NASTY
    assert (got["level"], got["code"], got["run"], got["v"]) == ("error", "failed", run_dir.name, 1)
    assert got["arguments"] == ["--to", "$HOME"]
    assert not list(tmp_path.rglob("hacked"))
    assert not Path("hacked").exists()


def test_a_command_that_fails_or_hangs_is_told(tmp_path: Path) -> None:
    message = payload(Alert("info", "x", "y"), tmp_path)
    failing = (sys.executable, "-c", "import sys; sys.exit('no such room')")
    assert "no such room" in run_command(failing, message, 20)
    assert run_command(("/no/such/program",), message, 5)
    pid = tmp_path / "pid"
    hanging = (
        "import subprocess, sys, time; started = subprocess.Popen(['sleep', '60']); "
        f"open({str(pid)!r}, 'w').write(str(started.pid)); time.sleep(60)"
    )
    assert run_command((sys.executable, "-c", hanging), message, 2.0)
    if pid.exists():
        # What it started is gone as well.
        until(lambda: process_start(int(pid.read_text())) is None)


def test_a_webhook_gets_json(server: Server, tmp_path: Path) -> None:
    assert call_webhook(server.address, payload(Alert("warning", "plateau", NASTY, "h"), tmp_path), 10) == ""
    ((kind, got),) = server.got
    assert kind.startswith("application/json")
    assert got["message"] == NASTY
    assert NASTY in got["text"]


def test_a_webhook_that_refuses_redirects_or_is_not_there_is_told(server: Server, tmp_path: Path) -> None:
    message = payload(Alert("info", "x", "y"), tmp_path)
    server.status = 500
    assert "500" in call_webhook(server.address, message, 10)
    server.status = 302
    assert "302" in call_webhook(server.address, message, 10)
    assert len(server.got) == 2
    server.close()
    assert call_webhook(server.address, message, 2)


def test_a_failure_is_told_once_and_the_others_still_go_out(server: Server, tmp_path: Path) -> None:
    server.status = 404
    complaints: list[str] = []
    settings = AlertSettings(command="/no/such/program --secret", webhook=server.address + "/secret")  # type: ignore[arg-type]
    notifier = Notifier(settings, complaints.append)
    for number in range(3):
        notifier.send(Alert("error", "failed", str(number)), tmp_path)
    notifier.send(Alert("info", "checkpoint", "not sent"), tmp_path)
    notifier.close()
    assert [got["message"] for _kind, got in server.got] == ["0", "1", "2"]
    assert len(complaints) == 2
    assert not any("secret" in complaint for complaint in complaints)


def test_nothing_is_sent_unless_the_settings_name_a_way(tmp_path: Path) -> None:
    notifier = Notifier(AlertSettings(), pytest.fail)
    notifier.send(Alert("error", "failed", "x"), tmp_path)
    assert not notifier.wanted
    notifier.close()


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    path = create_run_dir(tmp_path / "runs", "watched")
    write_status(path, {"state": "starting", "name": "watched"})
    return path


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config" / "settings.toml"
    path.parent.mkdir()
    monkeypatch.setenv("NSMC_TUI_SETTINGS", str(path))
    return path


def events(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    found = JsonlTail(run_dir / "events.jsonl").read(max_seconds=10)
    return [event for event in found if event["type"] == kind]


def test_the_watch_writes_alerts_of_its_rules_and_sends_all(run_dir: Path, settings: Path, script: Path) -> None:
    settings.write_text(f"[alerts]\ncommand = {json.dumps(json.dumps(str(script)))}\n")
    recorder = Recorder(run_dir)
    with Watch(recorder, run_dir):
        recorder.emit("host", memory_used=99, memory_total=100, disk_free=None)
        until(lambda: events(run_dir, "alert"))
        recorder.alert("error", "nan_loss", "no number")
        recorder.emit("run_finished", state="finished", metrics={})
    recorder.close()
    assert [event["code"] for event in events(run_dir, "alert")] == ["host_memory", "nan_loss"]
    assert [got["code"] for got in told(script)] == ["host_memory", "nan_loss", "finished"]


def test_a_way_that_does_not_work_is_told_in_the_log_once(run_dir: Path, settings: Path) -> None:
    settings.write_text('[alerts]\ncommand = "/no/such/program"\nplateau = "x"\n')
    recorder = Recorder(run_dir)
    with Watch(recorder, run_dir):
        recorder.alert("error", "nan_loss", "no number")
        recorder.alert("error", "nan_loss", "again")
        until(lambda: len(events(run_dir, "alert")) == 4)
    recorder.close()
    notes = [event["message"] for event in events(run_dir, "alert") if event["code"] == "notify"]
    assert len(notes) == 2
    assert any("plateau" in note for note in notes)
    assert any("/no/such/program" in note for note in notes)


def test_the_alert_log_gives_each_alert_once(run_dir: Path) -> None:
    recorder = Recorder(run_dir)
    recorder.set_state("running")
    log = AlertLog(run_dir.parent)
    assert log.poll() == []
    recorder.alert("warning", "plateau", "flat", "stop it")
    (one,) = log.poll()
    assert (one.run, one.path, one.alert.code, one.alert.hint) == ("watched", run_dir, "plateau", "stop it")
    assert log.poll() == []
    with (run_dir / "events.jsonl").open("a") as file:
        file.write('{"v":1,"ts":9.0,"type":"alert","level":"error","code":"x","mess')
        file.flush()
        assert log.poll() == []
        file.write('age":"whole"}\n{"type":"alert" no json\n')
    assert [found.alert.message for found in log.poll()] == ["whole"]
    again = AlertLog(run_dir.parent).poll()
    assert {found.key for found in again} >= {one.key}
    recorder.close()


def test_a_crash_and_a_silence_are_told_by_the_reader(run_dir: Path) -> None:
    log = AlertLog(run_dir.parent)
    gone = {"state": "running", "pid": 2**22 + 1, "pid_start": 1.0, "host": os.uname().nodename, "name": "watched"}
    write_status(run_dir, {**gone, "updated": time.time()})
    (crashed,) = log.poll()
    assert (crashed.alert.code, crashed.alert.level) == ("crashed", "error")
    assert is_news(crashed, time.time())
    assert not is_news(crashed, time.time() + 7200)
    assert log.poll() == []
    write_status(run_dir, {**gone, "host": "elsewhere", "updated": time.time() - 300})
    (silent,) = log.poll()
    assert (silent.alert.code, silent.alert.level) == ("silent", "warning")
    assert log.poll() == []
    write_status(run_dir, {**gone, "host": "elsewhere", "updated": time.time()})
    assert log.poll() == []


def test_old_runs_have_no_news(run_dir: Path) -> None:
    write_status(run_dir, {"state": "failed", "updated": time.time() - 3 * 24 * 3600})
    (run_dir / "events.jsonl").write_text('{"v":1,"ts":1.0,"type":"run_failed","message":"x"}\n')
    assert AlertLog(run_dir.parent).poll() == []
    assert AlertLog(run_dir.parent / "missing").poll() == []


def test_acknowledged_alerts_stay_so_and_one_app_of_several_sends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "alerts.json"
    first, second = AlertState(path), AlertState(path)
    first.acknowledge(["a", "b"])
    assert first.acknowledged("a")
    assert not first.acknowledged("c")
    second.acknowledge(["c"])
    assert second.acknowledged("a")
    assert AlertState(path).acknowledged("b")
    assert first.claim("crash") is True
    assert second.claim("crash") is False
    path.write_text("not json")
    assert not AlertState(path).acknowledged("a")
