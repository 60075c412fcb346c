"""A client that knows a broker by its published .proto files alone.

    python grpc_client.py --bootstrap 127.0.0.1:7420     talks to a broker that runs
    python grpc_client.py --tidelog target/debug/tidelog  starts one, talks to it, and stops it

Creates topics, publishes plain records and reads them back, publishes batches that kafka-python has encoded and reads raw
batches that kafka-python decodes, asks for a description of the services by reflection, and for their health.

Needs grpcio, grpcio-tools, grpcio-reflection, grpcio-health-checking, kafka-python and lz4 (see README.md).
"""

import argparse
import importlib
import json
import pathlib
import queue
import signal
import subprocess
import sys
import tempfile
import uuid

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_tools import protoc
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatchBuilder

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
DEADLINE_S = 30
NOW_MS = 1_700_000_000_000


def generate(into):
    """Generates the messages and stubs, as any client in Python would."""
    files = sorted(str(path) for path in PROTO.glob("tidelog/v1/*.proto"))
    assert files, f"no .proto files below {PROTO}"
    code = protoc.main(["protoc", f"-I{PROTO}", f"--python_out={into}", f"--grpc_python_out={into}", *files])
    assert code == 0, "the .proto files do not compile"
    sys.path.insert(0, into)
    names = [pathlib.Path(file).stem for file in files]
    modules = {name: importlib.import_module(f"tidelog.v1.{name}_pb2") for name in names}
    stubs = {name: importlib.import_module(f"tidelog.v1.{name}_pb2_grpc") for name in ("admin", "broker")}
    return modules, stubs


class Talk:
    """One run of the script against one broker."""

    def __init__(self, channel, modules, stubs):
        self.channel = channel
        self.pb = modules
        self.admin = stubs["admin"].AdminStub(channel)
        self.broker = stubs["broker"].BrokerStub(channel)
        self.topic = f"python-{uuid.uuid4().hex}"

    def topic_ref(self, name=None):
        return self.pb["cluster"].TopicRef(name=name or self.topic)

    def run(self):
        for step in (self.health, self.reflection, self.topics, self.plain_records, self.raw_batches, self.refusals,
                     self.deletion):
            step()
            print(f"ok  {step.__name__}")

    def health(self):
        stub = health_pb2_grpc.HealthStub(self.channel)
        for service in ("", "tidelog.v1.Broker"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=DEADLINE_S)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING, (service, answer)

    def reflection(self):
        database = ProtoReflectionDescriptorDatabase(self.channel)
        services = set(database.get_services())
        assert {"tidelog.v1.Broker", "tidelog.v1.Admin", "grpc.health.v1.Health"} <= services, services
        described = database.FindFileContainingSymbol("tidelog.v1.Broker")
        calls = {method.name for service in described.service for method in service.method}
        assert {"Produce", "Fetch", "ProduceRecords"} <= calls, calls

    def topics(self):
        pb = self.pb["admin"]
        new = pb.NewTopic(name=self.topic, partition_count=2)
        created = self.admin.CreateTopics(pb.CreateTopicsRequest(topics=[new]), timeout=DEADLINE_S)
        assert created.results[0].created.partition_count == 2, created
        again = self.admin.CreateTopics(pb.CreateTopicsRequest(topics=[new]), timeout=DEADLINE_S)
        assert again.results[0].error.code == self.pb["errors"].ERROR_CODE_TOPIC_ALREADY_EXISTS, again
        listed = self.admin.ListTopics(pb.ListTopicsRequest(), timeout=DEADLINE_S)
        assert self.topic in [topic.name for topic in listed.topics], listed
        request = self.pb["cluster"].MetadataRequest(topics=[self.topic_ref()])
        metadata = self.broker.Metadata(request, timeout=DEADLINE_S)
        assert len(metadata.topics[0].partitions) == 2 and metadata.brokers, metadata

    def plain_records(self):
        produce, fetch, records = self.pb["produce"], self.pb["fetch"], self.pb["records"]
        new = [records.NewRecord(key=b"k", value=f"value {number}".encode(), timestamp_ms=NOW_MS + number)
               for number in range(100)]
        request = produce.ProduceRecordsRequest(topic=self.topic_ref(), partition=0, acks=produce.ACKS_ALL, records=new)
        answer = self.broker.ProduceRecords(request, timeout=DEADLINE_S)
        assert [result.appended.offset for result in answer.results] == list(range(100)), answer
        request = fetch.FetchRecordsRequest(topic=self.topic_ref(), partition=0, offset=0, records_max=100)
        read = [record for response in self.broker.FetchRecords(request, timeout=DEADLINE_S)
                for record in response.fetched.records]
        assert [record.value for record in read] == [record.value for record in new], read
        assert [record.offset for record in read] == list(range(100))

    def raw_batches(self):
        """Batches that kafka-python encodes go in, and come out as it decodes them."""
        produce, fetch = self.pb["produce"], self.pb["fetch"]
        sent = []
        requests = []
        # 0 none, 1 gzip, 3 lz4.
        for number, codec in enumerate((0, 1, 3)):
            builder = DefaultRecordBatchBuilder(magic=2, compression_type=codec, is_transactional=0, producer_id=-1,
                                                producer_epoch=-1, base_sequence=-1, batch_size=1 << 20)
            for place in range(10):
                value = f"{codec}/{place} ".encode() * 20
                builder.append(place, timestamp=NOW_MS + place, key=b"key", value=value,
                               headers=[("codec", str(codec).encode())])
                sent.append(value)
            batch = produce.ProduceBatch(correlation_id=number, topic=self.topic_ref(), partition=1,
                                         record_batch=bytes(builder.build()))
            requests.append(produce.ProduceRequest(acks=produce.ACKS_ALL, batches=[batch]))
        acks = [ack for response in self.broker.Produce(iter(requests), timeout=DEADLINE_S) for ack in response.acks]
        assert [(ack.correlation_id, ack.appended.base_offset) for ack in acks] == [(0, 0), (1, 10), (2, 20)], acks

        opening = fetch.FetchOpen(topic=self.topic_ref(), partition=1, offset=0, end_offset=30)
        commands = queue.SimpleQueue()
        commands.put(fetch.FetchRequest(credit_bytes=1 << 20, commands=[fetch.FetchCommand(fetch_id=7, open=opening)]))
        stream = self.broker.Fetch(iter(commands.get, None), timeout=DEADLINE_S)
        raw, is_open = b"", True
        for response in stream:
            for item in response.items:
                assert item.fetch_id == 7, item
                raw += b"".join(item.batches.record_batches)
                if item.HasField("closed"):
                    assert item.closed.reason == fetch.FETCH_CLOSE_REASON_END_REACHED, item
                    is_open = False
            if not is_open:
                # Half-closes the stream; the broker ends the call.
                commands.put(None)
        read = []
        batches = MemoryRecords(raw)
        while (batch := batches.next_batch()) is not None:
            assert batch.validate_crc()
            read += [(record.offset, record.value) for record in batch]
        assert read == list(enumerate(sent)), read

    def refusals(self):
        produce, errors = self.pb["produce"], self.pb["errors"]
        request = produce.ProduceRecordsRequest(topic=self.topic_ref("there-is-none"), acks=produce.ACKS_ALL,
                                                records=[self.pb["records"].NewRecord(value=b"v")])
        answer = self.broker.ProduceRecords(request, timeout=DEADLINE_S)
        code = answer.results[0].error.code
        assert code == errors.ERROR_CODE_UNKNOWN_TOPIC_OR_PARTITION, answer
        broken = produce.ProduceBatch(correlation_id=1, topic=self.topic_ref(), partition=1, record_batch=b"no batch")
        acks = [ack for response in self.broker.Produce(iter([produce.ProduceRequest(batches=[broken])]),
                                                        timeout=DEADLINE_S) for ack in response.acks]
        assert len(acks) == 1 and acks[0].HasField("error"), acks

    def deletion(self):
        pb = self.pb["admin"]
        answer = self.admin.DeleteTopics(pb.DeleteTopicsRequest(topics=[self.topic_ref()]), timeout=DEADLINE_S)
        assert not answer.results[0].HasField("error"), answer


def talk(bootstrap, modules, stubs):
    with grpc.insecure_channel(bootstrap) as channel:
        grpc.channel_ready_future(channel).result(timeout=DEADLINE_S)
        Talk(channel, modules, stubs).run()


def start(tidelog, data_dir):
    """Starts a broker on ports of the machine's choice; gives it and its address."""
    broker = subprocess.Popen([tidelog, "serve", "--data-dir", data_dir, "--listen", "127.0.0.1:0", "--http",
                               "127.0.0.1:0", "--output", "json"], stdout=subprocess.PIPE, text=True)
    told = json.loads(broker.stdout.readline())
    return broker, told["address"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--bootstrap", help="host:port of a broker that runs")
    which.add_argument("--tidelog", help="the binary, to start a broker with")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        modules, stubs = generate(scratch)
        if arguments.bootstrap:
            talk(arguments.bootstrap, modules, stubs)
            return
        broker, address = start(arguments.tidelog, str(pathlib.Path(scratch) / "data"))
        try:
            talk(address, modules, stubs)
        finally:
            broker.send_signal(signal.SIGTERM)
            code = broker.wait(timeout=DEADLINE_S)
        assert code == 0, f"the broker ended with {code}"
        print("ok  broker stopped in order")


if __name__ == "__main__":
    main()
