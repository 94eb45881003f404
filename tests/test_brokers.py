"""What brokers do differently, met by the whole line: mosquitto under both protocols, and amqtt."""

import sys
from contextlib import closing

import pytest
from support.line import Line, Process, reading
from support.publisher import Publisher
from support.waiting import answers, free_port, wait_for


class Embedded(Process):
    """amqtt, which speaks MQTT 3.1.1 only, and does not answer an MQTT 5 CONNECT at all."""

    def __init__(self, folder):
        self.port = free_port()
        program = [sys.executable, "-m", "collector.demo.broker", str(self.port)]
        super().__init__("amqtt", folder, program)

    def start(self):
        super().start()
        wait_for(lambda: answers(self.port), "amqtt")
        return self


def test_a_broker_of_3_1_1_alone_carries_the_whole_line(line_folder):
    line = Line(line_folder, mqtt={"protocol": "3.1.1"})
    line.broker = Embedded(line_folder)
    line._sections["mqtt"]["url"] = f"mqtt://127.0.0.1:{line.broker.port}"
    line.write_config()
    with line:
        line.publisher().publish([reading(number) for number in range(300)])
        line.wait_delivered(range(300))
        assert line.status()["broker"]["protocol"] == "3.1.1"
        assert sorted(line.zerobus.ids()) == list(range(300))
        line.check_balances()


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_retained_message_is_stored_once_over_reconnects(line_folder, protocol):
    line = Line(line_folder, mqtt={"protocol": protocol})
    line.broker.start()
    with closing(Publisher(line.broker.port, retain=True)) as publisher:
        publisher.publish([reading(n, device=f"r{n}") for n in range(3)])
    line.broker.stop()
    with line:
        line.wait_delivered(range(3))
        line.broker.restart()
        wait_for(lambda: line.status()["broker"]["connects"] == 2, "the second connection")
        line.daemon.stop()
        line.start_daemon()
        line.publisher().publish([reading(9)])
        line.wait_delivered([9])
        line.wait_drained()
        assert sorted(line.zerobus.ids()) == [0, 1, 2, 9]
        again = line.counters().get(("", "ignored:retained"), 0)
        assert again == (6 if protocol == "3.1.1" else 0)
        line.check_balances()
