"""A mosquitto of our own, on loopback, that may be stopped and killed."""

import signal
import subprocess

from support.waiting import answers, free_port, wait_for

PLAIN = """
# As root mosquitto would become a user who may not read the folder of a test; else this is ignored.
user root
persistence true
persistence_location {folder}/
autosave_interval 1
max_queued_messages 0
max_inflight_messages {inflight}
allow_anonymous true
log_dest file {folder}/mosquitto.log
listener {port} 127.0.0.1
"""
WEBSOCKETS = """
listener {ws_port} 127.0.0.1
protocol websockets
"""
TLS = """
listener {tls_port} 127.0.0.1
cafile {ca}
certfile {cert}
keyfile {key}
"""


class Broker:
    """`inflight` is mosquitto's max_inflight_messages: its window under MQTT 3.1.1."""

    def __init__(self, folder, inflight=20, certificates=None, extra=""):
        self.folder = folder / "broker"
        self.folder.mkdir()
        self.port, self.ws_port, self.tls_port = free_port(), free_port(), free_port()
        text = PLAIN + WEBSOCKETS + (TLS if certificates else "") + extra
        self.config = self.folder / "mosquitto.conf"
        self.config.write_text(
            text.format(
                folder=self.folder,
                port=self.port,
                ws_port=self.ws_port,
                tls_port=self.tls_port,
                inflight=inflight,
                **(certificates or {}),
            )
        )
        self.process = None

    def start(self):
        if self.process is not None:
            return self
        self.process = subprocess.Popen(
            ["mosquitto", "-c", self.config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(lambda: answers(self.port), "mosquitto")
        return self

    def stop(self, sig=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(sig)
            self.process.wait(20)
            self.process = None

    def restart(self, sig=signal.SIGTERM):
        self.stop(sig)
        self.start()
