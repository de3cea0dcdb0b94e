// Every bound in kiln: unit, reason, and what happens beyond it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/clock.h"

namespace kiln::limits {

// --- tasks -------------------------------------------------------------------------------------

// Unfinished tasks in the head. A task with small arguments costs about 220 bytes of head memory,
// so this is 1 GB.
// Beyond it no credit is granted: submits of drivers block, or fail with ResourceExhausted.
inline constexpr uint64_t kMaxQueuedTasks = 4'000'000;
// Bytes of arguments of unfinished tasks. Beyond it as above.
inline constexpr uint64_t kMaxQueuedBytes = uint64_t{2} << 30;
// What one session may submit ahead of the head's answer; the overshoot of the bounds above.
// Tasks: enough to hide a round trip of 1 ms at 1 M tasks/s with a wide margin.
inline constexpr uint64_t kSessionCreditTasks = 16'384;
inline constexpr uint64_t kSessionCreditBytes = uint64_t{64} << 20;
// Results of one task. Beyond it the class is refused with InvalidArgument.
inline constexpr uint32_t kMaxReturns = 65'536;
// Items of one stream: what the counter in an object's id can name. Beyond it the worker's session
// is ended.
inline constexpr uint64_t kMaxStreamItems = uint64_t{1} << 40;
// Arguments of one task, and refs inside one value. Beyond it InvalidArgument.
inline constexpr uint32_t kMaxArgs = 1'000'000;
// Classes of tasks one session may define; each distinct set of options is one. Beyond it the
// session is ended with ResourceExhausted.
inline constexpr uint32_t kMaxClassesPerSession = 100'000;
// Tasks named in the chain of an error that ran through them; later ones are not named, so that the
// error of a long chain does not grow with it.
inline constexpr size_t kMaxErrorChain = 64;
// Tasks and objects together. When that many were there and seven of eight are gone, their memory
// is given back to the system. That takes about 10 ns for each, once: 22 ms after a million tasks.
inline constexpr size_t kManyRecords = 100'000;
// Finished tasks remembered for `kiln list tasks`, oldest forgotten first.
inline constexpr size_t kFinishedTasksKept = 1'000;

// --- dispatch ----------------------------------------------------------------------------------

// Worker processes above the number of CPUs, for tasks blocked in get whose waited tasks cannot run
// on their own stack. Beyond it ready tasks wait.
inline constexpr int kExtraWorkers = 8;
// Tasks on the stack of one worker: one runs, the others wait for it. At about 5 KB a level this is
// far inside kTaskStackBytes. Beyond it a task that could only run deeper fails.
inline constexpr int kMaxNestedDepth = 1'000;
// Stack of a worker's task thread; virtual, touched only as deep as used.
inline constexpr size_t kTaskStackBytes = size_t{256} << 20;
// Tasks given to one worker ahead of their turn, if they are short. 128 to a frame is where
// batching stops paying (4 M tasks/s over a gRPC stream, against 1.3 M at 16).
inline constexpr uint32_t kMaxPipelined = 128;
// Work given ahead to one worker, by the measured run times of the classes. A hand-over takes 4 us
// through a ring and 200 us through gRPC; the rest is for a head that does not get a CPU at once.
// It is also what a task of higher priority may find before it.
inline constexpr Duration kPipelineWork = milliseconds(1);
// Work that must lie in a worker's queue for half of it to be taken back for an idle one. Taking it
// back wakes a thread of a worker that is busy, 50 us: with less the idle one had better wait.
inline constexpr Duration kStealWork = microseconds(200);
// A worker that finished nothing for this long gives its queued tasks back: what a task behind one
// that turns out long is delayed by.
inline constexpr Duration kRecallAfter = milliseconds(2);
// Dispatches of other classes after which a ready task that does not fit is waited for.
inline constexpr uint32_t kMaxBypasses = 256;
// Tasks looked at to find one that a blocked worker waits for. Beyond it the search is given up
// until nothing else runs, then it is made in full.
inline constexpr size_t kMaxAwaitedWalk = 256;
// Time between asking a task to stop (time-out, session end) and killing its worker.
inline constexpr Duration kCancelGrace = milliseconds(500);

// --- workers -----------------------------------------------------------------------------------

// A worker that has not said hello by then is killed and counts as failed to start.
inline constexpr Duration kWorkerStartTimeout = seconds(20);
// Wait before the next start of a program whose workers die before they are ready: doubles from the
// first to the second; after kMaxStartFailures in a row its queued tasks fail with WorkerCrashed.
inline constexpr Duration kStartBackoffFirst = milliseconds(100);
inline constexpr Duration kStartBackoffMost = seconds(5);
inline constexpr int kMaxStartFailures = 5;
// A worker that was told to leave and has not ended by then is killed.
inline constexpr Duration kLeaveGrace = seconds(5);
// Idle workers above the number of CPUs end after this.
inline constexpr Duration kIdleWorkerLife = seconds(5);
// Fork servers without a worker kept warm; beyond it the one not used for the longest ends. A
// Python with numpy loaded takes about 30 MB.
inline constexpr size_t kIdleForkServers = 4;
// Lines of a worker's output kept for the report of its crash, and bytes of each.
inline constexpr size_t kCrashLines = 20;
inline constexpr size_t kCrashLineBytes = 1'024;

// --- actors ------------------------------------------------------------------------------------

// Actors that are not dead. Each has a process and half a megabyte of rings; a system allows a user
// some 10,000 processes and each some threads. Beyond it a new one is dead with RESOURCE_EXHAUSTED.
inline constexpr size_t kMaxActors = 4'096;
// Calls sent to an actor beyond those that may run, if they are short (kPipelineWork): what may be
// lost, or run again, when it dies. At 1 us a call this hides a round trip of 0.5 ms.
inline constexpr uint32_t kMaxCallsAhead = 512;
// Wait before an actor that died without having ended a call is started anew: doubles from the
// first to the second. The first time there is none.
inline constexpr Duration kRestartBackoffFirst = milliseconds(100);
inline constexpr Duration kRestartBackoffMost = seconds(5);
// How often the head looks whether a driver's actors get no instance, and says so.
inline constexpr Duration kActorNotices = seconds(5);
// Dead actors remembered for `kiln list actors`, oldest forgotten first.
inline constexpr size_t kDeadActorsKept = 1'000;
// Groups of calls of one actor. Beyond it the class is refused with InvalidArgument.
inline constexpr size_t kMaxCallGroups = 64;
// Calls of one group that may run at the same time; beyond it InvalidArgument.
inline constexpr uint32_t kMaxConcurrency = 1'000'000;

// --- placement groups --------------------------------------------------------------------------

// Bundles of one placement group. Each adds a few names to those that resources are looked up by;
// beyond it the group is refused with InvalidArgument.
inline constexpr size_t kMaxBundles = 256;
// Placement groups that were not removed; beyond it a new one fails with RESOURCE_EXHAUSTED.
inline constexpr size_t kMaxGroups = 1'024;
// Removed ones that lists still show, oldest forgotten first.
inline constexpr size_t kRemovedGroupsKept = 100;

// --- objects -----------------------------------------------------------------------------------

// Values up to this size ride in frames; larger ones go through the store. See docs/benchmarks.md.
inline constexpr uint64_t kInlineLimitBytes = 64 * 1024;
// Smallest store: one page table's worth of work for tests. Less is refused at start.
inline constexpr uint64_t kMinStoreBytes = uint64_t{1} << 20;
// Biggest holders named when the store is full.
inline constexpr size_t kHoldersNamed = 5;

// --- wire --------------------------------------------------------------------------------------

inline constexpr uint32_t kProtocolVersion = 1;
// One gRPC message. A batch is cut well before; a longer one ends its session.
inline constexpr int kMaxMessageBytes = 256 << 20;
// A batch is sent when it has grown to this, even while more is being queued.
inline constexpr size_t kBatchBytes = 256 * 1024;
inline constexpr size_t kBatchFrames = 1'024;
// Bytes queued for one peer that does not read. Beyond it the peer's session is ended.
inline constexpr size_t kMaxOutboxBytes = size_t{1} << 30;
// Lines of tasks' output that a peer keeps for a program that does not take them. Beyond it they
// are counted and dropped; the workers' logs have them.
inline constexpr size_t kMostLinesKept = 10'000;
// How often a call that waits asks whether it was interrupted: what Ctrl-C may take at most.
inline constexpr Duration kInterruptPoll = milliseconds(50);
// A session that was ended and whose peer does not take the last frames is cut off after this.
inline constexpr Duration kCloseGrace = seconds(1);
// Part of a value in one message of Objects.Put and Objects.Get.
inline constexpr size_t kChunkBytes = size_t{1} << 20;
// A peer that has not said hello by then is disconnected.
inline constexpr Duration kHelloTimeout = seconds(10);
// Peers with rings (half a megabyte each) that have not said hello; beyond it the oldest of them is
// disconnected.
inline constexpr size_t kMaxUngreeted = 64;
// Rows of a list when the caller names no limit.
inline constexpr uint32_t kListRows = 100;

// --- jobs and logs -----------------------------------------------------------------------------

// Jobs pending or running; beyond it SubmitJob fails with ResourceExhausted.
inline constexpr size_t kMaxActiveJobs = 1'000;
// Ended jobs remembered, oldest forgotten first, with their logs.
inline constexpr size_t kEndedJobsKept = 1'000;
// One log file; when full it is moved to ".1" and a new one begun.
inline constexpr size_t kLogFileBytes = size_t{16} << 20;
inline constexpr size_t kLogFiles = 3;
// Log files of ended workers kept, and as many of ended fork servers, oldest removed first.
inline constexpr size_t kWorkerLogsKept = 64;
// Time a stopping head gives running tasks and jobs.
inline constexpr Duration kStopGrace = seconds(3);

}  // namespace kiln::limits
