"""Writes the seeds of tests/fuzz/corpus anew. The formats are in ring_fuzz.cc and session_fuzz.cc.

  KILN_BIN_DIR=build/bin KILN_LIB_DIR=build/lib /usr/bin/python3 tests/fuzz/make_corpus.py
"""

import struct
import sys
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus"
sys.path.insert(0, str(CORPUS.parents[1] / "rpc"))
from head import actor_pb2, group_pb2, session_pb2, task_pb2  # noqa: E402

LAST, PART, SKIP = 0, 1, 2
MOVE, JUMP, READ, RELEASE, FORGE, WRITE, PUBLISH, LIE = range(8)


def record(data, kind=LAST):
    return struct.pack("<II", len(data), kind) + data + bytes(-len(data) % 8)


def ring(steps, content=b""):
    packed = b"".join(struct.pack("<I", kind | argument << 8) for kind, argument in steps)
    return bytes([len(steps)]) + packed + content


def rings():
    frame, parts = record(b"hello"), record(b"a" * 20, PART) + record(b"b" * 9)
    yield "frame", ring([(MOVE, len(frame) // 8), (READ, 0), (RELEASE, 0)], frame)
    yield "parts", ring([(MOVE, len(parts) // 8), (READ, 0), (RELEASE, 0)], parts)
    yield "skip", ring([(MOVE, 4), (READ, 0)], record(b"12345678", SKIP) + record(b"x"))
    yield "too_long", ring([(MOVE, 2), (READ, 0), (READ, 0)], struct.pack("<II", 1 << 31, LAST))
    yield "jump", ring([(JUMP, 12345), (READ, 0)])
    honest = [(WRITE, 60_000), (PUBLISH, 0), (READ, 0), (RELEASE, 0)]
    yield "honest", ring(honest * 12)
    yield "parts_without_end", ring([(WRITE, 0x800000), (PUBLISH, 0), (READ, 0), (RELEASE, 0)] * 6)
    yield "lying_reader", ring([(WRITE, 60_000)] * 5 + [(PUBLISH, 0), (LIE, 77)] + [(WRITE, 60_000)] * 3)


def frames(*parts):
    data = b""
    for selector, message in parts:
        body = message if isinstance(message, bytes) else message.SerializeToString()
        data += struct.pack("<BH", selector, len(body)) + body
    return data


def frame(**kind):
    return session_pb2.PeerFrame(**kind)


def sessions():
    def id(session, number):
        return session << 40 | number

    pb = session_pb2
    task_class = frame(task_class=task_pb2.TaskClass(class_id=1, library="/l.so", function="F",
                                                     num_returns=2, max_retries=3))
    submit = frame(submit=pb.Submit(task_id=id(1, 10), class_id=1, args=b"a", refs=[id(1, 1)],
                                    nested_refs=[id(2, 1)]))
    put = frame(put=pb.Put(id=id(1, 1), value=b"value"))
    want = frame(want=pb.Want(ids=[id(1, 1), id(1, 10), 7], values=True))
    release = frame(release=pb.Release(ids=[id(1, 1)]))
    finished = frame(finished=pb.Finished(task_id=id(1, 10), run_us=5, results=[
        task_pb2.TaskResult(value=b"r"), task_pb2.TaskResult(created_id=id(4, 5))]))
    create = frame(create=pb.Create(id=id(4, 5), size_bytes=100_000))
    yield "task", frames((0, task_class), (0, put), (0, submit), (0, want), (3, create),
                         (3, finished), (0, release))
    yield "retry", frames((0, task_class), (0, put), (0, submit), (0x83, b""), (3, finished))
    yield "returned", frames((0, task_class), (0, put), (0, submit), (3, frame(
        returned=pb.Returned(task_ids=[id(1, 10)], leaving=True))))
    yield "cancel", frames((0, task_class), (0, submit), (1, frame(
        cancel=pb.Cancel(id=id(1, 10), force=True))), (0x80, want))
    yield "store", frames(
        (1, frame(create=pb.Create(id=id(2, 1), size_bytes=1 << 20))),
        (1, frame(create=pb.Create(id=id(2, 2), size_bytes=1 << 45))),
        (0, frame(want=pb.Want(ids=[id(2, 1)]))), (1, frame(seal=pb.Seal(id=id(2, 1)))),
        (1, frame(abort=pb.Abort(id=id(2, 2)))))
    yield "block", frames((0, task_class), (0, put), (0, submit), (3, frame(want=pb.Want(
        ids=[id(1, 10), id(1, 11)], blocked_task_id=id(1, 10), needed=1))),
        (3, frame(unblock=pb.Unblock(blocked_task_id=id(1, 10)))))
    yield "refs", frames((0, put), (1, frame(put=pb.Put(id=id(2, 1), contained=[id(1, 1)]))),
                         (2, frame(retain=pb.Retain(ids=[id(2, 1)]))), (0x80, release))
    streaming = frame(task_class=task_pb2.TaskClass(class_id=2, library="/l.so", function="S",
                                                    streaming=True, stream_window=1, max_retries=3))
    stream = frame(submit=pb.Submit(task_id=id(1, 20), class_id=2))

    def item(index, **result):
        return frame(yielded=pb.Yielded(task_id=id(1, 20), index=index, object_id=id(4, 30 + index),
                                        result=task_pb2.TaskResult(**result)))

    def consumed(count, dropped=False):
        return frame(stream_consumed=pb.StreamConsumed(task_id=id(1, 20), count=count,
                                                       dropped=dropped))

    yield "stream", frames((0, streaming), (0, stream), (3, item(0, value=b"i", contained=[id(1, 1)])),
                           (0, consumed(1)), (3, create), (3, item(1, created_id=id(4, 5))),
                           (0, consumed(1, dropped=True)), (3, item(2, value=b"j")),
                           (0, frame(release=pb.Release(ids=[id(1, 20)]))), (3, item(3, value=b"k")))
    yield "stream_again", frames((0, streaming), (0, stream), (3, item(0, value=b"i")), (0x83, b""),
                                 (3, item(0, value=b"i")), (3, item(1, value=b"j")), (0x80, b""))
    yield "await_item", frames((0, streaming), (0, task_class), (0, submit), (3, frame(
        await_item=pb.AwaitItem(blocked_task_id=id(1, 10), task_id=id(1, 20), count=1))),
        (0, stream), (3, item(0, value=b"i")), (0, consumed(9)))
    counter = frame(task_class=task_pb2.TaskClass(
        class_id=3, library="/l.so", function="C", actor=task_pb2.ActorOptions(
            max_restarts=1, max_concurrency=2, concurrency_groups={"io": 1})))
    method = frame(task_class=task_pb2.TaskClass(class_id=4, function="Add", method=True,
                                                 concurrency_group="io"))
    make = frame(create_actor=pb.CreateActor(
        submit=pb.Submit(task_id=id(1, 40), class_id=3, refs=[id(1, 1)]), name="c",
        **{"class": actor_pb2.ActorClass(name="C")}))
    made = frame(finished=pb.Finished(task_id=id(1, 40), actor_repr="C()",
                                      results=[task_pb2.TaskResult(value=b"")]))

    def call(session, number):
        return frame(submit=pb.Submit(task_id=id(session, number), class_id=4, actor_id=id(1, 40)))

    def called(session, number, **more):
        return frame(finished=pb.Finished(task_id=id(session, number), run_us=5, results=[
            task_pb2.TaskResult(value=b"r")], **more))

    seek = frame(find_actor=pb.FindActor(request_id=1, name="c"))
    setup = [(0, put), (0, counter), (0, method), (0, make)]
    yield "actor", frames(*setup, (3, made), (0, call(1, 50)), (0, call(1, 51)), (3, called(1, 50)),
                          (1, seek), (1, method), (1, call(2, 50)), (3, called(2, 50)),
                          (0, frame(release=pb.Release(ids=[id(1, 40)]))), (3, called(1, 51)))
    yield "actor_again", frames(*setup, (3, made), (0, call(1, 50)), (0x83, b""), (3, made),
                                (0, call(1, 51)), (3, called(1, 51, actor_exits=True)))
    yield "actor_killed", frames(*setup, (0, call(1, 50)), (1, seek), (1, frame(
        kill_actor=pb.KillActor(id=id(1, 40), may_restart=True))), (0, frame(
            kill_actor=pb.KillActor(id=id(1, 40)))), (0, call(1, 51)))
    yield "actor_blocked", frames(*setup, (3, made), (0, call(1, 50)), (0, task_class), (3, frame(
        want=pb.Want(ids=[id(1, 10)], blocked_task_id=id(1, 50), needed=1))), (0, submit),
        (3, frame(returned=pb.Returned(task_ids=[id(1, 50)], leaving=True))), (0x80, b""))
    yield "actor_returned", frames(*setup, (3, frame(returned=pb.Returned(
        task_ids=[id(1, 40)]))), (3, frame(find_actor=pb.FindActor(id=id(1, 40)))), (0, make))
    gang = frame(create_group=group_pb2.CreateGroup(
        id=id(1, 60), bundles=[task_pb2.Resources(num_cpus=1)], name="gang", value=b"v"))
    member = frame(task_class=task_pb2.TaskClass(
        class_id=5, library="/l.so", function="G", placement_group=id(1, 60), bundle_index=-1,
        resources=task_pb2.Resources(num_cpus=1)))
    joins = frame(submit=pb.Submit(task_id=id(1, 61), class_id=5))
    leaves = frame(remove_group=group_pb2.RemoveGroup(id=id(1, 60)))
    yield "group", frames((0, gang), (0, member), (0, frame(want=pb.Want(ids=[id(1, 60)]))),
                          (0, joins), (3, called(1, 61)), (1, leaves), (0, joins), (0x80, b""))
    yield "group_removed", frames((0, gang), (0, member), (0, joins), (0, leaves), (0x83, b""), (0, gang))
    yield "hello_twice", frames((0, frame(hello=pb.Hello(protocol_version=1, kind=1))))
    yield "garbage", frames((0, b"\xff\xff\xff"), (1, b""), (2, b"\x0a\x05"))


for kind, seeds in (("ring", rings()), ("session", sessions())):
    (CORPUS / kind).mkdir(parents=True, exist_ok=True)
    for name, data in seeds:
        (CORPUS / kind / name).write_bytes(data)
