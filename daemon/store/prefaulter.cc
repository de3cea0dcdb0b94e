#include "daemon/store/prefaulter.h"

#include <sched.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "common/log.h"

namespace kiln::store {
namespace {

// How often the loop looks whether the thread may go on, and how much longer it may.
constexpr Duration kTick = milliseconds(10);
constexpr Duration kBusyTick = milliseconds(50);
constexpr Duration kGrant = milliseconds(12);  // a tick may come late

// One step; nothing can stop it. Huge pages come whole; of others, what takes 0.1 ms.
uint64_t StepBytes(shm::PageKind pages) {
  return pages == shm::PageKind::kHuge ? shm::kHugePageBytes : 64 * shm::kPageBytes;
}

}  // namespace

uint64_t Prefaulter::DefaultTarget(const shm::Segment& segment) {
  bool huge = segment.pages() == shm::PageKind::kHuge;
  return std::min(segment.size_bytes() / 4, uint64_t{huge ? 1024u : 256u} << 20);
}

Prefaulter::Prefaulter(EventLoop* loop, shm::Segment* segment, Options options)
    : loop_(loop), segment_(segment), options_(std::move(options)) {
  timer_ = loop_->At(Clock::now() + options_.delay, [this] { Tick(); });
}

Prefaulter::~Prefaulter() {
  loop_->CancelTimer(timer_);
  Join();
}

void Prefaulter::Join() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  granted_.notify_one();
  thread_.join();
}

bool Prefaulter::MayWork() const {
  return options_.target_bytes > 0 && !out_of_work_ && options_.available_bytes() > done_bytes();
}

void Prefaulter::Tick() {
  if (!MayWork()) {
    Join();
    has_ended_ = true;
    log::Info("event=store_prefaulted bytes={} wanted={}", done_bytes(), options_.target_bytes);
    return;
  }
  Time now = Clock::now();
  bool idle = options_.is_idle();
  if (idle) {
    std::lock_guard lock(mutex_);
    work_until_ = now + kGrant;
  }
  try {
    if (idle && !thread_.joinable()) thread_ = std::thread([this] { Work(); });
  } catch (const std::system_error&) {
    out_of_work_ = true;  // no threads left for this user
  }
  if (idle) granted_.notify_one();
  timer_ = loop_->At(now + (idle ? kTick : kBusyTick), [this] { Tick(); });
}

bool Prefaulter::AwaitGrant() {
  std::unique_lock lock(mutex_);
  granted_.wait(lock, [this] { return stop_ || Clock::now() < work_until_; });
  return !stop_;
}

void Prefaulter::Work() {
  sched_param no_priority{};
  (void)sched_setscheduler(0, SCHED_IDLE, &no_priority);
  uint64_t step = StepBytes(segment_->pages());
  uint64_t target = std::min(options_.target_bytes, segment_->size_bytes()) / step * step;
  for (uint64_t done = 0; done < target && AwaitGrant(); done += step) {
    if (!segment_->Prefault(done, done + step).ok()) break;
    done_bytes_.store(done + step, std::memory_order_relaxed);
  }
  out_of_work_ = true;
}

}  // namespace kiln::store
