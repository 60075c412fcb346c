"""Record batches exchanged with kafka-python, an independent implementation of the format.

    python kafka_python_vectors.py --write from-kafka-python    writes batches and what is in them
    python kafka_python_vectors.py --check from-tidelog         reads batches and compares

Needs kafka-python 3.0.12 and lz4 4.4.5 (see README.md). Writing again gives the same bytes.
"""

import argparse
import json
import pathlib
import sys
from unittest import mock

import kafka
import lz4
import lz4.frame
from kafka.record import MemoryRecords
from kafka.record import default_records
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

KAFKA_PYTHON_VERSION = "3.0.12"

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
NOW = 1_700_000_000_000
I64_MIN, I64_MAX = -(2**63), 2**63 - 1

# Enough to be worth compressing; 70,000 bytes are more than one LZ4 block of 64 KiB.
LONG = {"hex": b"0123456789abcdef".hex(), "times": 30}
LONGER = {"hex": b"tidelog".hex(), "times": 10_000}


def record(timestamp=NOW, key=None, value=None, headers=()):
    """What the manifest says of a record: bytes in hexadecimal, null as null."""
    return {"timestamp": timestamp, "key": hex_of(key), "value": hex_of(value),
            "headers": [[name, hex_of(header)] for name, header in headers]}


def hex_of(field):
    return field.hex() if isinstance(field, bytes) else field


def bytes_of(field):
    if isinstance(field, dict):
        return bytes.fromhex(field["hex"]) * field["times"]
    return None if field is None else bytes.fromhex(field)


SHAPES = [
    record(key=b"key", value=b"value"),
    record(key=None, value=b"null key"),
    record(key=b"", value=b"empty key"),
    record(key=b"tombstone", value=None),
    record(key=b"empty value", value=b""),
    record(key=None, value=None),
    record(key=b"headers", value=LONG, headers=[
        ("repeated", b"1"), ("other", b"2"), ("repeated", b"3"),
        ("null", None), ("empty", b""), ("", b"empty key"), ("schlüssel-鍵", bytes(range(256))),
    ]),
]

NEGATIVE = [record(timestamp=t, value=b"x") for t in (-1, -2, 0, -1_000_000_000_000, 5)]
LARGE = [record(timestamp=t, value=b"x") for t in (I64_MAX, I64_MAX - 1, 2**62, 0)]
# The first is the base, to which the delta is added: no delta may pass 64 bits.
SMALL = [record(timestamp=t, value=b"x") for t in (I64_MIN, I64_MIN + 1, -(2**62), -1)]
# Lengths and times whose varints have one, two and more bytes.
RANGE = [record(timestamp=NOW + delta, key={"hex": "6b", "times": length}, value=LONG)
         for delta, length in ((0, 0), (1, 63), (64, 64), (2**40, 8191), (-(2**40), 8192))]


def cases():
    """Name, codec, records, options of the LZ4 encoder, batch options."""
    for codec in ("none", "gzip", "lz4"):
        yield f"shapes-{codec}", codec, SHAPES, {}, {}
        yield f"ranges-{codec}", codec, RANGE, {}, {}
    for codec in ("gzip", "lz4"):
        yield f"long-{codec}", codec, [record(value=LONGER), record(key=b"k", value=LONGER)], {}, {}
    yield "one-empty-record", "none", [record()], {}, {}
    yield "timestamps-negative", "none", NEGATIVE, {}, {}
    yield "timestamps-largest", "none", LARGE, {}, {}
    yield "timestamps-smallest", "none", SMALL, {}, {}
    yield "not-worth-compressing", "gzip", [record(value=b"x")], {}, {}
    yield "idempotent", "none", SHAPES, {}, {"producer_id": 2**40, "producer_epoch": 7, "base_sequence": 12345}
    yield "transactional", "gzip", SHAPES, {}, {
        "producer_id": I64_MAX, "producer_epoch": 32767, "base_sequence": 2**31 - 1, "is_transactional": True}
    # What the C library can put into a frame, beyond what kafka-python asks it for.
    yield "lz4-without-content-size", "lz4", SHAPES, {"store_size": False}, {}
    yield "lz4-checksums", "lz4", [record(value=LONGER)], {"content_checksum": True, "block_checksum": True}, {}
    yield "lz4-linked-blocks", "lz4", [record(value=LONGER)], {"block_linked": True}, {}
    yield "lz4-4mib-blocks", "lz4", [record(value=LONGER)], {"block_size": lz4.frame.BLOCKSIZE_MAX4MB}, {}


def encode(codec, records, lz4_options, batch_options):
    options = {"is_transactional": False, "producer_id": -1, "producer_epoch": -1, "base_sequence": -1}
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=CODECS.index(codec), batch_size=2**30, **{**options, **batch_options})
    for offset, fields in enumerate(records):
        headers = [(name, bytes_of(header)) for name, header in fields["headers"]]
        appended = builder.append(
            offset, fields["timestamp"], bytes_of(fields["key"]), bytes_of(fields["value"]), headers)
        assert appended is not None

    def lz4_encode(payload):
        return lz4.frame.compress(payload, **{"block_linked": False, **lz4_options})

    # gzip writes the time into its header.
    with mock.patch("gzip.time.time", return_value=0), mock.patch.object(default_records, "lz4_encode", lz4_encode):
        return bytes(builder.build())


def write(folder):
    batches = []
    for name, codec, records, lz4_options, batch_options in cases():
        encoded = encode(codec, records, lz4_options, batch_options)
        (folder / f"{name}.bin").write_bytes(encoded)
        producer = {key.removeprefix("producer_"): batch_options[key]
                    for key in ("producer_id", "producer_epoch", "base_sequence") if key in batch_options}
        batches.append({
            "file": f"{name}.bin",
            # As stored: a batch that would not shrink is stored plain.
            "codec": CODECS[DefaultRecordBatch(encoded).compression_type],
            "base_offset": 0,
            "last_offset": len(records) - 1,
            "leader_epoch": 0,
            "transactional": batch_options.get("is_transactional", False),
            "control": False,
            "log_append_time": False,
            "max_timestamp": max(fields["timestamp"] for fields in records),
            "producer": producer or None,
            "records": [{"offset": offset, **fields} for offset, fields in enumerate(records)],
        })
    manifest = {"encoder": f"kafka-python {kafka.__version__}, lz4 {lz4.__version__}", "batches": batches}
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
    print(f"{len(batches)} batches written to {folder}")


def read(encoded):
    """What kafka-python finds in a batch, in the form of the manifest."""
    batch = DefaultRecordBatch(encoded)
    assert batch.magic == 2, "magic"
    assert batch.size_in_bytes == len(encoded), "length"
    assert batch.validate_crc(), "CRC"
    producer = None
    if batch.has_producer_id():
        sequence = batch.base_sequence if batch.has_sequence else None
        producer = {"id": batch.producer_id, "epoch": batch.producer_epoch, "base_sequence": sequence}
    return {
        "codec": CODECS[batch.compression_type],
        "base_offset": batch.base_offset,
        "last_offset": batch.last_offset,
        "leader_epoch": None if batch.leader_epoch == -1 else batch.leader_epoch,
        "transactional": batch.is_transactional,
        "control": batch.is_control_batch,
        "log_append_time": batch.timestamp_type == batch.LOG_APPEND_TIME,
        "max_timestamp": batch.max_timestamp,
        "producer": producer,
        "records": [
            {"offset": found.offset, **record(found.timestamp, found.key, found.value, found.headers)}
            for found in ([] if batch.records_count == 0 else batch)
        ],
    }


def plain(fields):
    """The manifest's record with long fields written out."""
    return {**fields, "key": hex_of(bytes_of(fields["key"])), "value": hex_of(bytes_of(fields["value"]))}


def check(folder):
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    failures = 0
    for batch in manifest["batches"]:
        expected = {key: value for key, value in batch.items() if key != "file"}
        expected["records"] = [plain(fields) for fields in expected["records"]]
        try:
            found = read((folder / batch["file"]).read_bytes())
            differing = [key for key in expected if found[key] != expected[key]]
            assert not differing and found.keys() == expected.keys(), f"{differing} differ"
        except Exception as error:  # whatever the library throws is a difference
            failures += 1
            print(f"{batch['file']}: {type(error).__name__}: {error}", file=sys.stderr)
    listed = {batch["file"] for batch in manifest["batches"]}
    present = {path.name for path in folder.glob("*.bin")}
    if listed != present:
        failures += 1
        print(f"only listed or only present: {sorted(listed ^ present)}", file=sys.stderr)
    # All of them as one stream, as a fetch returns them.
    stream = MemoryRecords(b"".join((folder / name).read_bytes() for name in sorted(present)))
    count = 0
    while stream.has_next():
        stream.next_batch()
        count += 1
    if count != len(present):
        failures += 1
        print(f"{count} batches in the stream of {len(present)}", file=sys.stderr)
    if failures:
        sys.exit(f"{failures} failures")
    print(f"{count} batches of {manifest['encoder']} read by kafka-python {kafka.__version__}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=pathlib.Path, metavar="DIR")
    action.add_argument("--check", type=pathlib.Path, metavar="DIR")
    arguments = parser.parse_args()
    if kafka.__version__ != KAFKA_PYTHON_VERSION:
        sys.exit(f"kafka-python is {kafka.__version__}, the vectors belong to {KAFKA_PYTHON_VERSION}")
    if arguments.write:
        arguments.write.mkdir(parents=True, exist_ok=True)
        write(arguments.write)
    else:
        check(arguments.check)


if __name__ == "__main__":
    main()
